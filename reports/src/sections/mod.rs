//! The sections of a report, one file each, and what several of them share. Each gives blocks of a
//! [`crate::document`]; `lib.rs` puts them in order.

pub mod agreement;
pub mod audio_links;
pub mod caveats;
mod compare;
mod confounds;
pub mod findings;
pub mod gallery;
mod grid;
pub mod labelings;
pub mod latent;
pub mod left_out;
pub mod lengths;
pub mod methods;
pub mod multiverse;
pub mod probes;
pub mod provenance;
mod published;
pub mod recordings;
pub mod run_status;
pub mod selection;
pub mod sensitivity;
pub mod summary;
pub mod table;
