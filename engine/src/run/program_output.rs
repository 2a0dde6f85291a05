//! The output of a program: its head and its tail, however long it is.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, PipeReader, Read, Write},
    time::Duration,
};

/// Bytes that are kept from the start.
const HEAD: usize = 1 << 20;
/// Bytes that are kept from the end.
const TAIL: usize = 1 << 20;
/// Bytes that are read at once.
const PIECE: usize = 1 << 16;
/// The most pieces that are read once the program has ended.
const REST: usize = 64;

/// The output of a program, and the log that it goes into.
pub struct ProgramOutput {
    pipe: Option<PipeReader>,
    piece: Vec<u8>,
    shown: HeadAndTail<File>,
}

impl ProgramOutput {
    /// Copies from a pipe into a log.
    pub fn new(pipe: PipeReader, log: File) -> Self {
        Self { pipe: Some(pipe), piece: vec![0; PIECE], shown: HeadAndTail::new(log) }
    }

    /// Waits for output, at most `pause`, and keeps it. Returns true if there was any.
    pub fn take(&mut self, pause: Duration) -> bool {
        let Some(pipe) = &mut self.pipe else {
            std::thread::sleep(pause);
            return false;
        };
        if !is_readable(pipe, pause) {
            return false;
        }
        match pipe.read(&mut self.piece) {
            Ok(0) => self.pipe = None,
            Ok(length) => self.shown.add(&self.piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.pipe = None,
        }
        self.pipe.is_some()
    }

    /// Keeps what was printed before the program ended, and closes the log.
    pub fn finish(mut self) {
        // Another process may still hold the pipe and write for ever.
        let mut pieces = 0..REST;
        while self.pipe.is_some() && pieces.next().is_some() && self.take(Duration::ZERO) {}
        self.shown.finish();
    }
}

fn is_readable(pipe: &PipeReader, pause: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = Timespec { tv_sec: 0, tv_nsec: pause.subsec_nanos().into() };
    let mut sources = [PollFd::new(pipe, PollFlags::IN)];
    poll(&mut sources, Some(&timeout)).is_ok_and(|ready| ready > 0)
}

/// Writes the head of a text to the log at once, and its tail at the end. A log that cannot be
/// written is no reason to fail.
struct HeadAndTail<W> {
    log: W,
    head: usize,
    tail: VecDeque<u8>,
    cut: u64,
}

impl<W: Write> HeadAndTail<W> {
    fn new(log: W) -> Self {
        Self { log, head: HEAD, tail: VecDeque::new(), cut: 0 }
    }

    fn add(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.head));
        self.head -= head.len();
        let _ = self.log.write_all(head);
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
        self.cut += over as u64;
    }

    fn finish(&mut self) {
        if self.cut > 0 {
            let _ = write!(self.log, "\n[{} bytes are left out here]\n", self.cut);
        }
        let (first, second) = self.tail.as_slices();
        let _ = self.log.write_all(first).and_then(|()| self.log.write_all(second));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(pieces: &[Vec<u8>]) -> Vec<u8> {
        let mut kept = HeadAndTail::new(Vec::new());
        pieces.iter().for_each(|piece| kept.add(piece));
        kept.finish();
        kept.log
    }

    #[test]
    fn head_and_tail_are_kept_and_the_cut_is_said() {
        assert_eq!(kept(&[b"one ".to_vec(), b"two".to_vec()]), b"one two");
        let whole: Vec<u8> = (0..HEAD + TAIL).map(|at| (at % 251) as u8).collect();
        assert!(kept(&whole.chunks(1000).map(<[u8]>::to_vec).collect::<Vec<_>>()) == whole);
        let long: Vec<u8> = (0..3 * (HEAD + TAIL)).map(|at| (at % 251) as u8).collect();
        let shown = kept(&long.chunks(70_000).map(<[u8]>::to_vec).collect::<Vec<_>>());
        let cut = format!("\n[{} bytes are left out here]\n", 2 * (HEAD + TAIL));
        let expected = [&long[..HEAD], cut.as_bytes(), &long[long.len() - TAIL..]].concat();
        assert!(shown == expected);
    }
}
