//! What runs have left behind: their folders, their numbers, their artifacts as files.

pub mod export;
pub mod latest;
pub mod leftovers;
pub mod new;
pub mod results;
pub mod runs;
