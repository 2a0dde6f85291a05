//! Places of results elsewhere: a folder, a bucket that speaks S3, an archive.

pub mod archive;
mod s3;

use cache::{blobs::Blobs, store::folder::Folder};
use std::path::Path;

/// The form of the name of a remote, for messages and help.
pub const FORM: &str = "a folder or `s3://BUCKET/PREFIX`";

/// The remote of a name.
///
/// # Errors
/// Returns a sentence if the name is no remote.
pub fn open(name: &str) -> Result<Box<dyn Blobs>, String> {
    match name.split_once("://") {
        None if name.is_empty() => Err(format!("a remote is {FORM}")),
        None => Ok(Box::new(Folder::new(Path::new(name)))),
        Some(("s3", place)) => Ok(Box::new(s3::Bucket::open(place)?)),
        Some((scheme, _)) => {
            Err(format!("`{scheme}://` is not known as a remote; expected {FORM}"))
        }
    }
}
