//! Access to the bytes of a recording, in memory or in an open file.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
};
use symphonia::core::io::MediaSource;

/// A range of bytes in memory or in a file. Copies share the bytes only.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    place: Place<'a>,
    start: u64,
    length: u64,
}

#[derive(Clone, Copy)]
enum Place<'a> {
    Memory(&'a [u8]),
    File(&'a File),
}

impl<'a> From<&'a [u8]> for Input<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { place: Place::Memory(bytes), start: 0, length: bytes.len() as u64 }
    }
}

impl<'a> From<&'a Vec<u8>> for Input<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

impl<'a> Input<'a> {
    /// The whole of a file.
    ///
    /// # Errors
    /// When the length of the file is unknown.
    pub fn of_file(file: &'a File) -> io::Result<Self> {
        Ok(Self { place: Place::File(file), start: 0, length: file.metadata()?.len() })
    }

    /// The number of bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The offset of this range in another one of the same bytes.
    pub(crate) fn offset_in(&self, other: &Self) -> u64 {
        self.start - other.start
    }

    /// At most `length` bytes from `at` on; fewer at the end.
    pub(crate) fn part(&self, at: u64, length: u64) -> Self {
        let at = at.min(self.length);
        Self { start: self.start + at, length: length.min(self.length - at), ..*self }
    }

    /// All bytes from `at` on.
    pub(crate) fn after(&self, at: u64) -> Self {
        self.part(at, u64::MAX)
    }

    /// Fills as much of `buffer` as there are bytes from `at` on; returns their number.
    pub(crate) fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let buffer = &mut buffer[..wanted];
        match self.place {
            Place::Memory(bytes) => {
                let at = (self.start + at.min(self.length)) as usize;
                buffer.copy_from_slice(&bytes[at..at + wanted]);
                Ok(wanted)
            }
            Place::File(file) => {
                let mut done = 0;
                while done < wanted {
                    match file.read_at(&mut buffer[done..], self.start + at + done as u64) {
                        Ok(0) => break,
                        Ok(more) => done += more,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(done)
            }
        }
    }

    /// At most `length` bytes from `at` on, borrowed from memory or read into `room`.
    pub(crate) fn bytes<'b>(
        &self,
        at: u64,
        length: usize,
        room: &'b mut Vec<u8>,
    ) -> io::Result<&'b [u8]>
    where
        'a: 'b,
    {
        let part = self.part(at, length as u64);
        match part.place {
            Place::Memory(bytes) => {
                Ok(&bytes[part.start as usize..(part.start + part.length) as usize])
            }
            Place::File(_) => {
                room.resize(part.length as usize, 0);
                let read = part.read_at(0, room)?;
                Ok(&room[..read])
            }
        }
    }

    /// The `N` bytes at `at`, if there are as many.
    pub(crate) fn array<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let mut array = [0; N];
        (self.read_at(at, &mut array).ok()? == N).then_some(array)
    }

    /// True if these bytes are at `at`.
    pub(crate) fn has<const N: usize>(&self, at: u64, tag: &[u8; N]) -> bool {
        self.array(at).is_some_and(|found: [u8; N]| found == *tag)
    }
}

/// A reader with a position in an [`Input`].
pub(crate) struct Cursor<'a> {
    input: Input<'a>,
    at: u64,
}

impl<'a> Cursor<'a> {
    /// A reader at the start.
    pub fn new(input: Input<'a>) -> Self {
        Self { input, at: 0 }
    }
}

impl Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read_at(self.at, buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.input.length.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::other("a seek before the start"))?;
        Ok(self.at)
    }
}

impl MediaSource for Cursor<'_> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.input.length)
    }
}
