//! The priming samples that an AAC encoder puts before a recording. Symphonia does not remove them;
//! the edit list of an MP4 file gives their number.

use super::input::Input;

/// The number of frames at the start of the first audio track that do not belong to the recording.
pub(crate) fn priming(input: &Input<'_>) -> u64 {
    start_of_edit(input).unwrap_or(0)
}

fn start_of_edit(input: &Input<'_>) -> Option<u64> {
    let movie = find(*input, b"moov")?;
    let mut tracks = Boxes { input: movie, at: 0 };
    let track = tracks.find(|(name, track)| {
        name == b"trak"
            && find(*track, b"mdia")
                .and_then(|media| find(media, b"hdlr"))
                .is_some_and(|handler| handler.has(8, b"soun"))
    });
    let list = find(find(track?.1, b"edts")?, b"elst")?;
    let is_long = list.array::<1>(0)? == [1];
    let entries = u32::from_be_bytes(list.array(4)?).min(16);
    // A time of −1 is a pause before the recording.
    (0..u64::from(entries)).find_map(|entry| {
        let time = match is_long {
            true => i64::from_be_bytes(list.array(8 + 20 * entry + 8)?),
            false => i32::from_be_bytes(list.array(8 + 12 * entry + 4)?).into(),
        };
        u64::try_from(time).ok()
    })
}

fn find<'a>(input: Input<'a>, wanted: &[u8; 4]) -> Option<Input<'a>> {
    Boxes { input, at: 0 }.find(|(name, _)| name == wanted).map(|(_, content)| content)
}

struct Boxes<'a> {
    input: Input<'a>,
    at: u64,
}

impl<'a> Iterator for Boxes<'a> {
    type Item = ([u8; 4], Input<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let size = u64::from(u32::from_be_bytes(self.input.array(self.at)?));
        let name = self.input.array(self.at + 4)?;
        let (head, size) = match size {
            0 => (8, self.input.length() - self.at),
            1 => (16, u64::from_be_bytes(self.input.array(self.at + 8)?)),
            size => (8, size),
        };
        let content = self.input.part(self.at + head, size.checked_sub(head)?);
        self.at = self.at.checked_add(size)?;
        Some((name, content))
    }
}
