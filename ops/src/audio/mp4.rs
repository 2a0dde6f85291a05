//! The frames that an encoder puts before and after a recording in an MP4 file: AAC comes in packets of one size, of which
//! the first is a start-up. Symphonia does not remove them; the edit list of the file and the table of the packets' durations
//! give their numbers.

use super::input::Input;

/// The part of the first audio track that is the recording, in units of the time of the track.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Edit {
    pub start: u64,
    /// Where it ends, if that is known to the frame.
    pub end: Option<u64>,
}

/// The edit of a file; all of the track if the file says nothing.
pub(crate) fn edit(input: &Input<'_>) -> Edit {
    edit_of(input).unwrap_or_default()
}

fn edit_of(input: &Input<'_>) -> Option<Edit> {
    let movie = find(*input, b"moov")?;
    let mut tracks = Boxes { input: movie, at: 0 };
    let is_audio = |media| find(media, b"hdlr").is_some_and(|handler| handler.has(8, b"soun"));
    let (_, track) = tracks
        .find(|(name, track)| name == b"trak" && find(*track, b"mdia").is_some_and(is_audio))?;
    let media = find(track, b"mdia")?;
    let played = played(media);
    let Some((start, length)) =
        find(track, b"edts").and_then(|it| find(it, b"elst")).and_then(only)
    else {
        return Some(Edit { start: 0, end: played });
    };
    // A length is in the time of the movie, which may be too coarse to name a frame.
    let scales = time_scale(movie, b"mvhd").zip(time_scale(media, b"mdhd"));
    let exact = scales.filter(|(of_movie, of_media)| of_movie >= of_media && length > 0);
    let cut = exact.and_then(|(of_movie, of_media)| {
        let frames = u128::from(length) * u128::from(of_media) / u128::from(of_movie);
        start.checked_add(u64::try_from(frames).ok()?)
    });
    Some(Edit { start, end: played.into_iter().chain(cut).min() })
}

/// The start of the first entry of an edit list that is no pause, and its length: 0, which is to the end, if there are more.
fn only(list: Input<'_>) -> Option<(u64, u64)> {
    let is_long = list.array::<1>(0)? == [1];
    let entries = u64::from(u32::from_be_bytes(list.array(4)?).min(16));
    let mut plays = (0..entries).filter_map(|entry| {
        let (length, time) = match is_long {
            true => {
                let at = 8 + 20 * entry;
                let length = u64::from_be_bytes(list.array(at)?);
                (length, i64::from_be_bytes(list.array(at + 8)?))
            }
            false => {
                let at = 8 + 12 * entry;
                let length = u32::from_be_bytes(list.array(at)?).into();
                (length, i32::from_be_bytes(list.array(at + 4)?).into())
            }
        };
        // A time of −1 is a pause before the recording.
        Some((u64::try_from(time).ok()?, length))
    });
    let (start, length) = plays.next()?;
    Some((start, if plays.next().is_none() { length } else { 0 }))
}

/// The end of the last packet, if that is shorter than the others.
fn played(media: Input<'_>) -> Option<u64> {
    let table = find(find(find(media, b"minf")?, b"stbl")?, b"stts")?;
    let entry = |at: u64| Some([word(table, at)?, word(table, at + 4)?]);
    if word(table, 4)? != 2 {
        return None;
    }
    let ([packets, each], [last, shorter]) = (entry(8)?, entry(16)?);
    (last == 1 && shorter < each).then(|| packets * each + shorter)
}

/// The units of time in a second of what this header is of.
fn time_scale(of: Input<'_>, header: &[u8; 4]) -> Option<u64> {
    let header = find(of, header)?;
    let is_long = header.array::<1>(0)? == [1];
    word(header, if is_long { 20 } else { 12 }).filter(|scale| *scale > 0)
}

fn word(input: Input<'_>, at: u64) -> Option<u64> {
    Some(u32::from_be_bytes(input.array(at)?).into())
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
