//! Tags around a recording: ID3, APE and Lyrics3, which are not part of the audio.

use super::input::Input;

/// The input without the tags at its start and its end.
pub(crate) fn without(input: Input<'_>) -> Input<'_> {
    let mut start = 0;
    while let Some(length) = id3v2(&input, start) {
        start += length;
    }
    let mut inner = input.after(start);
    while let Some(length) = last(&inner).filter(|&length| length > 0) {
        inner = inner.part(0, inner.length().saturating_sub(length));
    }
    inner
}

/// The length of the tag that starts at `at`.
pub(crate) fn at(input: &Input<'_>, at: u64) -> Option<u64> {
    if input.has(at, b"APETAGEX") {
        let size = u32::from_le_bytes(input.array(at + 12)?);
        return Some(32 + u64::from(size));
    }
    if input.has(at, b"TAG") && input.length() - at <= 128 + 227 {
        return Some(input.length() - at);
    }
    id3v2(input, at)
}

fn id3v2(input: &Input<'_>, at: u64) -> Option<u64> {
    let header: [u8; 10] = input.array(at)?;
    let [b'I', b'D', b'3', major, revision, flags, size @ ..] = header else { return None };
    if major == 0xff || revision == 0xff || size.iter().any(|byte| byte & 0x80 != 0) {
        return None;
    }
    let size = size.iter().fold(0, |size, &byte| size << 7 | u64::from(byte));
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    Some(10 + size + footer)
}

/// The length of the tag at the end of the input.
fn last(input: &Input<'_>) -> Option<u64> {
    let end = input.length();
    if end >= 128 && input.has(end - 128, b"TAG") {
        return Some(128);
    }
    if end >= 227 && input.has(end - 227, b"TAG+") {
        return Some(227);
    }
    if end >= 32 && input.has(end - 32, b"APETAGEX") {
        // The size includes the items and the footer.
        let size = u64::from(u32::from_le_bytes(input.array(end - 20)?)).max(32);
        let has_header = input.has(end.checked_sub(size + 32)?, b"APETAGEX");
        return Some(if has_header { size + 32 } else { size });
    }
    if end >= 10 && input.has(end - 10, b"3DI") {
        let size: [u8; 4] = input.array(end - 4)?;
        return Some(20 + size.iter().fold(0, |size, &byte| size << 7 | u64::from(byte & 0x7f)));
    }
    if end >= 15 && input.has(end - 9, b"LYRICS200") {
        let digits: [u8; 6] = input.array(end - 15)?;
        let size: u64 = std::str::from_utf8(&digits).ok()?.parse().ok()?;
        return input.has(end.checked_sub(size + 15)?, b"LYRICSBEGIN").then_some(size + 15);
    }
    if end >= 20 && input.has(end - 9, b"LYRICSEND") {
        const MAX_LYRICS_BYTES: u64 = 5_100 + 20;
        let tail = input.after(end.saturating_sub(MAX_LYRICS_BYTES));
        let start = (0..tail.length()).rev().find(|&at| tail.has(at, b"LYRICSBEGIN"))?;
        return Some(tail.length() - start);
    }
    None
}
