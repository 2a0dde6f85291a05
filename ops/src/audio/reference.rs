//! References to the samples of a clip, by content and not by path.

use super::{change::Change, excerpt::Excerpt};
use cache::Digest;
use std::{fmt, str::FromStr};

/// The `audio` column of clips. It names content, so moving a folder changes nothing;
/// [`crate::Ctx::files`] locates the content.
#[derive(Clone, Debug, PartialEq)]
pub enum AudioRef {
    /// A file with this content: `file:<digest>`.
    File(Digest),
    /// A part of a file with this content: `file:<digest>#t=<start>,<end>`, in seconds.
    Excerpt {
        /// The file.
        file: Digest,
        /// The part of it.
        excerpt: Excerpt,
    },
    /// An entry of a zip archive with this content: `zip:<digest>/<name>`.
    Entry {
        /// The archive.
        archive: Digest,
        /// The entry's full name in it.
        name: String,
    },
    /// A synthesised clip: `synth:<seed>/<class>/<index>`.
    Synth {
        /// The seed of the corpus.
        seed: u64,
        /// The class, as an index into [`crate::audio::synth::CLASSES`].
        class: u32,
        /// The number of the clip in its class.
        index: u32,
    },
    /// A changed recording: `<change>/<recording>`.
    Changed {
        /// The change.
        change: Change,
        /// The recording.
        of: Box<AudioRef>,
    },
}

impl AudioRef {
    /// The part of the recording, if it is not the whole.
    pub fn excerpt(&self) -> Option<Excerpt> {
        match self {
            AudioRef::Excerpt { excerpt, .. } => Some(*excerpt),
            _ => None,
        }
    }
}

impl fmt::Display for AudioRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AudioRef::File(digest) => write!(f, "file:{digest}"),
            AudioRef::Excerpt { file, excerpt } => write!(f, "file:{file}{excerpt}"),
            AudioRef::Entry { archive, name } => write!(f, "zip:{archive}/{name}"),
            AudioRef::Synth { seed, class, index } => write!(f, "synth:{seed}/{class}/{index}"),
            AudioRef::Changed { change, of } => write!(f, "{change}/{of}"),
        }
    }
}

impl FromStr for AudioRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` does not name a recording");
        let (scheme, rest) = text.split_once(':').ok_or_else(error)?;
        match scheme {
            "file" => match rest.find('#') {
                None => Ok(AudioRef::File(rest.parse()?)),
                Some(at) => Ok(AudioRef::Excerpt {
                    file: rest[..at].parse()?,
                    excerpt: rest[at..].parse().map_err(|()| error())?,
                }),
            },
            "zip" => {
                let (archive, name) = rest.split_once('/').ok_or_else(error)?;
                Ok(AudioRef::Entry { archive: archive.parse()?, name: name.to_owned() })
            }
            "synth" => {
                let mut parts = rest.splitn(3, '/');
                let mut next = || parts.next().ok_or_else(error);
                let (seed, class, index) = (next()?, next()?, next()?);
                Ok(AudioRef::Synth {
                    seed: seed.parse().map_err(|_| error())?,
                    class: class.parse().map_err(|_| error())?,
                    index: index.parse().map_err(|_| error())?,
                })
            }
            _ => {
                let (change, of) = text.split_once('/').ok_or_else(error)?;
                let change = change.parse().map_err(|()| error())?;
                Ok(AudioRef::Changed { change, of: Box::new(of.parse()?) })
            }
        }
    }
}
