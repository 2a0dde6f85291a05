//! What readers see: figures and whole reports.

mod figures;
mod page;
mod study;
