//! The lines of the journal that a process has read, indexed by the key of their step.

use super::line::key_of;
use crate::Digest;
use foldhash::HashMap;
use std::{cmp::Ordering, io::BufRead, sync::Arc, time::Instant};

/// The lines read so far.
#[derive(Default)]
pub(super) struct Known {
    pub(super) texts: Vec<Arc<Vec<u8>>>,
    pub(super) lines: HashMap<Digest, LinePosition>,
    /// The first line of the state that was read.
    pub(super) state: Vec<u8>,
    pub(super) journals: HashMap<String, ReadPosition>,
    /// The largest number of a line.
    pub(super) newest: u64,
}

/// The position up to which a journal was read.
#[derive(Clone, Copy, Default)]
pub(super) struct ReadPosition {
    pub(super) length: u64,
    /// When its writer was first seen to have ended, if it has.
    pub(super) ended: Option<Instant>,
    /// True if nothing can come any more.
    pub(super) is_all: bool,
}

/// The position of a step's line.
#[derive(Clone, Copy)]
pub(super) struct LinePosition {
    pub(super) text: u32,
    start: u32,
    end: u32,
    at: u64,
}

/// New text of a journal.
pub(super) struct JournalText {
    pub(super) name: String,
    pub(super) text: Vec<u8>,
    pub(super) read: ReadPosition,
}

impl Known {
    /// Appends new text of journals.
    pub(super) fn append(&mut self, news: Vec<JournalText>) {
        for JournalText { name, text, read } in news {
            self.journals.insert(name, read);
            if !text.is_empty() {
                self.index(text);
            }
        }
    }

    /// Indexes the key of each line.
    pub(super) fn index(&mut self, text: Vec<u8>) {
        // Positions are 32 bits wide, and no store is nearly as large.
        let Ok(length) = u32::try_from(text.len()) else { return };
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        let mut start = 0;
        while start < length {
            let rest = &text[start as usize..];
            // The standard library's fast search for the next line.
            let end = (&mut &rest[..]).skip_until(b'\n').unwrap_or(rest.len());
            let line = rest[..end].strip_suffix(b"\n").unwrap_or(&rest[..end]);
            if let Some((key, at)) = key_of(line) {
                let end = start + line.len() as u32;
                let new = LinePosition { text: number, start, end, at };
                let is_newer = self.lines.get(&key).is_none_or(|old| match at.cmp(&old.at) {
                    // Two hosts at the same moment: all must choose the same of the two. Lines without a number
                    // stand in order.
                    Ordering::Equal => at == 0 || line > self.line_in(*old, number, &text),
                    order => order.is_gt(),
                });
                if is_newer {
                    self.lines.insert(key, new);
                }
                self.newest = self.newest.max(at);
            }
            start += end as u32;
        }
        self.texts.push(Arc::new(text));
    }

    pub(super) fn line(&self, place: LinePosition) -> &[u8] {
        place.of(&self.texts[place.text as usize])
    }

    /// A line of the known texts, or of the one that is to get this number.
    fn line_in<'t>(&'t self, place: LinePosition, number: u32, text: &'t [u8]) -> &'t [u8] {
        if place.text == number { place.of(text) } else { self.line(place) }
    }
}

impl LinePosition {
    pub(super) fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..self.end as usize]
    }
}
