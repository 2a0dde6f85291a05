//! Places that keep bytes under names: what a store asks of a store elsewhere. A folder is one
//! ([`Folder`](crate::store::folder::Folder)), made of the calls that the local store makes.

use std::{io, path::Path};

/// A place that keeps bytes under names such as `objects-v1/ab/abcd.parquet`. Its parts are letters,
/// digits, `-`, `_` and `.`, and `/` stands between them.
pub trait Blobs: Send + Sync {
    /// The name of the place, for messages.
    fn place(&self) -> String;

    /// The length of a blob in bytes, if there is one.
    ///
    /// # Errors
    /// When the place cannot be asked.
    fn head(&self, name: &str) -> io::Result<Option<u64>>;

    /// Writes a blob to `to`, but never more than `at_most` bytes. False if there is no such blob.
    ///
    /// # Errors
    /// When the place cannot be read, the blob is longer, or `to` cannot be written.
    fn get(&self, name: &str, at_most: u64, to: &mut dyn io::Write) -> io::Result<bool>;

    /// Keeps the bytes of a file under a name, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be read or the place cannot be written.
    fn put(&self, name: &str, from: &Path) -> io::Result<()>;

    /// The names that begin with a prefix, in order.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn list(&self, prefix: &str) -> io::Result<Vec<String>>;

    /// Removes a blob; one that is not there is no error.
    ///
    /// # Errors
    /// When the place refuses.
    fn delete(&self, name: &str) -> io::Result<()>;
}

/// The error of a blob that is longer than it may be.
pub fn too_long(name: &str, at_most: u64) -> io::Error {
    io::Error::other(format!("`{name}` is longer than {at_most} bytes"))
}
