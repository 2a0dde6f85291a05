//! The forms of a report. Each escapes all text that it is given.

pub mod html;
pub mod latex;
pub mod markdown;
pub mod results;
pub mod wide;
