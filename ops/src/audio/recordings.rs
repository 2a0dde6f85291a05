//! Reads the samples of clips from their `audio` column: files, entries of zip archives, synthesis.

use super::{
    archive::{Archive, ArchiveError},
    change::{Change, Planned},
    decode::{DecodeError, Decoder, Signal},
    encoded::Encoded,
    reference::AudioRef,
    synth,
};
use crate::{Cancel, Locate, OpError};
use cache::{
    Digest,
    verified::{ReadError, Watched},
};
use std::{
    collections::HashMap,
    fmt::Display,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// A reader of recordings, shared between threads. The directory of an archive is read once.
pub struct Recordings<'a> {
    files: &'a dyn Locate,
    cancel: &'a dyn Cancel,
    archives: Mutex<HashMap<Digest, Archive>>,
    /// Long recordings of which excerpts are read, so that they are hashed once.
    long: Mutex<HashMap<Digest, Arc<Watched>>>,
    /// The changes so far, of which there are few.
    changes: Mutex<Vec<(Change, Planned)>>,
}

/// The most long recordings that are kept open.
const MAX_OPEN: usize = 64;

impl<'a> Recordings<'a> {
    /// A reader of the recordings that `files` locates, which stops if `cancel` says so.
    pub fn new(files: &'a dyn Locate, cancel: &'a dyn Cancel) -> Self {
        Self {
            files,
            cancel,
            archives: Mutex::default(),
            long: Mutex::default(),
            changes: Mutex::default(),
        }
    }

    /// Passes the decoder of the clip `clip_id` with audio `reference` to `then`; `bytes` is a scratch
    /// buffer that is reused from clip to clip. Damaged parts are skipped, since the source of the clips
    /// has decided if they are allowed.
    ///
    /// # Errors
    /// When the content cannot be found, read or decoded; the message names the clip.
    pub fn decode<T>(
        &self,
        clip_id: &str,
        reference: &str,
        bytes: &mut Vec<u8>,
        then: impl FnOnce(&mut Decoder<'_>) -> Result<T, DecodeError>,
    ) -> Result<T, OpError> {
        let audio: AudioRef = reference
            .parse()
            .map_err(|reason: String| OpError::data(format!("clip `{clip_id}`: {reason}")))?;
        if let AudioRef::Changed { change, of } = &audio {
            let signal = self.changed(clip_id, *change, of, bytes)?;
            return named(clip_id, then(&mut Decoder::of_signal(signal)));
        }
        self.decode_plain(clip_id, &audio, bytes, then)
    }

    /// The mean of the channels of a recording after a change.
    pub(super) fn changed(
        &self,
        clip_id: &str,
        change: Change,
        of: &AudioRef,
        bytes: &mut Vec<u8>,
    ) -> Result<Signal, OpError> {
        let signal = match of {
            AudioRef::Changed { change, of } => self.changed(clip_id, *change, of, bytes)?,
            plain => {
                let mut samples = Vec::new();
                let rate = self.decode_plain(clip_id, plain, bytes, |decoder| {
                    decoder.mono(usize::MAX, &mut samples)?;
                    Ok(decoder.sample_rate)
                })?;
                Signal { sample_rate: rate, channels: 1, samples }
            }
        };
        named(clip_id, self.planned(change).apply(signal))
    }

    /// A change with its plans, which are made once.
    pub(super) fn planned(&self, change: Change) -> Planned {
        let mut changes = self.changes.lock().expect("no thread panics while it plans a change");
        if let Some((_, planned)) = changes.iter().find(|(own, _)| *own == change) {
            return planned.clone();
        }
        changes.push((change, Planned::new(change)));
        changes[changes.len() - 1].1.clone()
    }

    fn decode_plain<T>(
        &self,
        clip_id: &str,
        audio: &AudioRef,
        bytes: &mut Vec<u8>,
        then: impl FnOnce(&mut Decoder<'_>) -> Result<T, DecodeError>,
    ) -> Result<T, OpError> {
        let made = match audio {
            AudioRef::Changed { .. } => panic!("BUG: a change is made before"),
            AudioRef::Synth { seed, class, index } => {
                then(&mut Decoder::of_signal(synth::render(*seed, *class, *index)))
            }
            AudioRef::File(digest) => {
                let path = self.path_of(clip_id, digest)?;
                let encoded = Encoded::open(&path, digest, bytes, self.cancel);
                encoded
                    .and_then(|encoded| {
                        encoded.with(bytes, |input| then(&mut Decoder::open(input)?))
                    })
                    .map_err(|why| unreadable(clip_id, &path.display().to_string(), why))?
            }
            AudioRef::Excerpt { file, excerpt } => {
                let path = self.path_of(clip_id, file)?;
                let encoded = self.open_encoded(&path, file, bytes);
                let decoded = encoded.and_then(|encoded| {
                    encoded.with(bytes, |input| {
                        let mut decoder = Decoder::open(input)?;
                        decoder.cut(*excerpt);
                        then(&mut decoder)
                    })
                });
                decoded.map_err(|why| unreadable(clip_id, &path.display().to_string(), why))?
            }
            AudioRef::Entry { archive, name } => {
                self.read_entry(clip_id, *archive, name, bytes)?;
                Decoder::open(&*bytes).and_then(|mut decoder| then(&mut decoder))
            }
        };
        named(clip_id, made)
    }

    /// Opens a recording, which may be open already.
    pub(super) fn open_encoded(
        &self,
        path: &Path,
        digest: &Digest,
        bytes: &mut Vec<u8>,
    ) -> Result<Encoded, ReadError> {
        const NO_PANIC: &str = "no thread panics while it holds the open recordings";
        if let Some(known) = self.long.lock().expect(NO_PANIC).get(digest) {
            return Ok(Encoded::File(Arc::clone(known)));
        }
        let encoded = Encoded::open(path, digest, bytes, self.cancel)?;
        if let Encoded::File(watched) = &encoded {
            let mut long = self.long.lock().expect(NO_PANIC);
            if long.len() >= MAX_OPEN {
                long.clear();
            }
            long.insert(*digest, Arc::clone(watched));
        }
        Ok(encoded)
    }

    pub(super) fn path_of(&self, clip_id: &str, digest: &Digest) -> Result<PathBuf, OpError> {
        self.files.path_of(digest).ok_or_else(|| {
            OpError::failure(format!(
                "clip `{clip_id}`: no file with the content {} is known",
                digest.short()
            ))
            .help("run the source of the clips again; its files were moved or changed")
        })
    }

    fn read_entry(
        &self,
        clip_id: &str,
        archive: Digest,
        name: &str,
        bytes: &mut Vec<u8>,
    ) -> Result<(), OpError> {
        let path = self.path_of(clip_id, &archive)?;
        let place = format!("{name}` in `{}", path.display());
        let unread = |error: ArchiveError| unreadable(clip_id, &place, error);
        // The first thread opens and hashes the archive, and all others wait for it.
        let mut archives =
            self.archives.lock().expect("no thread panics while it opens an archive");
        let opened = match archives.get(&archive) {
            Some(opened) => opened.clone(),
            None => {
                let opened = Archive::open(&path, &archive, self.cancel).map_err(unread)?;
                archives.entry(archive).or_insert(opened).clone()
            }
        };
        drop(archives);
        // The source of the clips has already checked the size.
        opened.read(name, Some(u32::MAX), bytes).map_err(unread)
    }
}

/// Names the clip of an error.
pub(super) fn named<T>(clip_id: &str, made: Result<T, DecodeError>) -> Result<T, OpError> {
    made.map_err(|error| {
        OpError::data(format!("clip `{clip_id}`: {}", error.message)).help(error.help)
    })
}

pub(super) fn unreadable(clip_id: &str, place: &str, reason: impl Display) -> OpError {
    OpError::failure(format!("clip `{clip_id}`: `{place}` {reason}"))
        .help("check that the file is there and that nothing writes to it, then run again")
}

#[cfg(test)]
mod tests {
    use super::{super::decode::decode, *};
    use crate::Detached;
    use std::{fs::File, io::Write};
    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    fn read(recordings: &Recordings<'_>, id: &str, audio: &str) -> Result<Vec<f32>, OpError> {
        let mut mono = Vec::new();
        recordings.decode(id, audio, &mut Vec::new(), |it| it.mono(usize::MAX, &mut mono))?;
        Ok(mono)
    }

    struct One(Digest, PathBuf);

    impl Locate for One {
        fn path_of(&self, content: &Digest) -> Option<PathBuf> {
            (*content == self.0).then(|| self.1.clone())
        }
    }

    #[test]
    fn entries_of_an_archive_are_read_by_many_threads() {
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/audio/");
        let wav = std::fs::read(format!("{fixtures}i16.wav")).expect("a fixture");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("clips.zip");
        let mut archive = ZipWriter::new(File::create(&path).expect("a file"));
        for (name, method) in
            [("cel/[cel] a.wav", CompressionMethod::Deflated), ("b.wav", CompressionMethod::Stored)]
        {
            let options = SimpleFileOptions::default().compression_method(method);
            archive.start_file(name, options).expect("an entry");
            archive.write_all(&wav).expect("its bytes");
        }
        archive.start_file("c.wav", SimpleFileOptions::default()).expect("an entry");
        archive.write_all(b"no sound").expect("its bytes");
        archive.finish().expect("an archive");

        let digest = Digest::of(&std::fs::read(&path).expect("an archive"));
        let files = One(digest, path.clone());
        let recordings = Recordings::new(&files, &Detached);
        let mut expected = Vec::new();
        decode(&wav).expect("a recording").mono(&mut expected);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for name in ["cel/[cel] a.wav", "b.wav"] {
                        let audio = AudioRef::Entry { archive: digest, name: name.to_owned() };
                        let mono = read(&recordings, "1", &audio.to_string()).expect(name);
                        assert_eq!(mono, expected);
                    }
                });
            }
        });
        for (audio, reason) in [
            (format!("zip:{digest}/c.wav"), "clip `7`: the file is no recording"),
            (format!("zip:{digest}/d.wav"), "clip `7`: `d.wav` in `"),
            (format!("file:{}", Digest::of(b"")), "clip `7`: no file with the content"),
            ("nonsense".to_owned(), "clip `7`: `nonsense` does not name a recording"),
        ] {
            let error = read(&recordings, "7", &audio).expect_err(reason);
            assert!(error.message.starts_with(reason), "{error}");
        }
        std::fs::write(&path, "another archive").expect("a file");
        for files in [&recordings, &Recordings::new(&files, &Detached)] {
            let audio = format!("zip:{digest}/b.wav");
            let error = read(files, "7", &audio).expect_err("a change");
            assert!(error.message.ends_with("clips.zip` changed while it was read"), "{error}");
        }
    }
}
