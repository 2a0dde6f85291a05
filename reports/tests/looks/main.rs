//! The looks of reports: figures and whole reports.

mod browser;
mod figures;
mod playback;
mod page;
mod study;
mod trials;
