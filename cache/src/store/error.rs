//! Errors of the store.

use crate::Digest;
use std::{
    io,
    path::{Path, PathBuf},
};

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} `{}`: {}", path.display(), plain(source))]
    Io {
        /// The attempted action.
        action: &'static str,
        /// The path of the action.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The folder cannot be a store.
    #[error("`{}` cannot be a store: {reason}", path.display())]
    Unfit {
        /// The folder.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The folder of the store was removed.
    #[error("the store `{}` is no longer there: was it moved or removed while this ran?", .0.display())]
    Gone(PathBuf),
    /// An object does not exist.
    #[error("object `{}` is missing from the store", .0.short())]
    Missing(Digest),
    /// The content of an object differs from its digest.
    #[error("object `{}` is damaged: {reason}", digest.short())]
    Damaged {
        /// The digest that names the object.
        digest: Digest,
        /// A description of the damage.
        reason: String,
    },
    /// A store elsewhere cannot be used.
    #[error("the remote `{place}` {reason}")]
    Remote {
        /// The name of the remote.
        place: String,
        /// The end of the sentence.
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

/// The message of the system without the error number.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
