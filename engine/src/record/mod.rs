//! What runs have left behind: their folders, their numbers, their artifacts as files.

pub mod export;
pub mod results;
pub mod runs;
