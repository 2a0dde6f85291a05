//! Why the store could not do what it was asked.

use crate::Digest;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} `{}`: {}", path.display(), plain(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder cannot be a store.
    #[error("`{}` cannot be a store: {reason}", path.display())]
    Unfit {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder of the store was taken away.
    #[error("the store `{}` is no longer there: was it moved or removed while this ran?", .0.display())]
    Gone(PathBuf),
    /// An object is not there.
    #[error("object `{}` is missing from the store", .0.short())]
    Missing(Digest),
    /// An object does not hold what its name says.
    #[error("object `{}` is damaged: {reason}", digest.short())]
    Damaged {
        /// Its name.
        digest: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// An artifact cannot be written in its format.
    #[error("an artifact cannot be written: {0}")]
    Format(String),
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// What the system said, without the error number.
pub fn plain(fault: &io::Error) -> String {
    let text = fault.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
