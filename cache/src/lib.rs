//! Artifacts, the digests that name them, and the store that keeps them.
//!
//! This crate knows nothing of ops, YAML or the DAG.

#![forbid(unsafe_code)]

pub mod artifact;
pub mod assignment;
pub mod atomic_file;
pub mod blobs;
pub mod cells;
pub mod csv;
pub mod digest;
pub mod file_version;
pub mod files;
pub mod interchange;
pub mod key;
pub mod kind;
pub mod metric;
pub mod missing;
pub mod panics;
pub mod parquet;
pub mod picture;
pub mod record;
pub mod regular;
pub mod rows;
pub mod store;
pub mod table;
pub mod tensors;
pub mod verified;
pub mod versions;

pub use artifact::{Artifact, Data, Meta, Shape};
pub use digest::{Digest, Hasher};
pub use files::{FileEntry, FileIndex};
pub use key::CacheKey;
pub use kind::Kind;
pub use record::Record;
pub use store::{Store, StoreError};
pub use table::{Array, Column, Table};
pub use tensors::{Tensor, Tensors};
