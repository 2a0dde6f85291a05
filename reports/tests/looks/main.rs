//! The looks of reports: figures and whole reports.

mod browser;
mod figures;
mod page;
mod playback;
mod study;
mod trials;
