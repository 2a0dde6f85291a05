//! The lines of the journal and of its compacted form: JSON with a checksum before it.
//!
//! Of two lines of one step the one with the larger `at` counts. A writer gives its lines a number above all that it
//! has read, so that lines are in order although no clock is asked and nobody has the only journal.

use super::Finished;
use crate::Digest;
use serde::Deserialize;

const SUM: &[u8] = b"{\"sum\":\"";
const KEY: &[u8] = b"\",\"key\":\"";
const SUM_DIGITS: usize = 8;
const KEY_DIGITS: usize = 64;
/// The bytes of `"key":"…"`.
const KEY_BYTES: usize = 8 + KEY_DIGITS;

const AT: &[u8] = b",\"at\":";

/// A line with its checksum and its line break.
pub(super) fn line(finished: &Finished, at: u64) -> Vec<u8> {
    let json = serde_json::to_vec(finished).expect("a finished step always serialises");
    // `{"key":"…",…` becomes `{"sum":"…","key":"…","at":1,…`.
    let (key, after) = json[1..].split_at(KEY_BYTES);
    let rest = [key, AT, at.to_string().as_bytes(), after].concat();
    let mut line = SUM.to_vec();
    line.extend_from_slice(sum(&rest).as_bytes());
    line.extend_from_slice(b"\",");
    line.extend_from_slice(&rest);
    line.push(b'\n');
    line
}

/// CRC-32, which detects every flipped bit and is fast compared with the parsing.
fn sum(rest: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(rest))
}

/// The key at its fixed position in a line, and the line's number, which is 0 in lines of earlier versions.
pub(super) fn key_of(line: &[u8]) -> Option<(Digest, u64)> {
    let key = line.strip_prefix(SUM)?.get(SUM_DIGITS..)?.strip_prefix(KEY)?;
    let (key, rest) = key.split_at_checked(KEY_DIGITS)?;
    let number = rest.strip_prefix(b"\"").and_then(|rest| rest.strip_prefix(AT));
    let digit = |at: u64, digit: &u8| at.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
    let number =
        number.map_or(0, |it| it.iter().take_while(|it| it.is_ascii_digit()).fold(0, digit));
    Some((Digest::from_hex(key)?, number))
}

/// Parses a line. `None` if it is incomplete, damaged or of another version; its step then runs
/// again.
pub(super) fn parse<'t, T: Deserialize<'t>>(line: &'t [u8]) -> Option<T> {
    let after = line.strip_prefix(SUM)?;
    let (said, rest) = after.split_at_checked(SUM_DIGITS)?;
    let rest = rest.strip_prefix(b"\",")?;
    if sum(rest).as_bytes() != said {
        return None;
    }
    // One check of the whole line costs less than one of each text in it.
    serde_json::from_str(simdutf8::basic::from_utf8(line).ok()?).ok()
}

/// The first line of a new compacted form, by which readers see that it is another one.
pub(super) fn fresh_id() -> Vec<u8> {
    let random = std::hash::BuildHasher::hash_one(
        &std::collections::hash_map::RandomState::new(),
        (std::process::id(), std::time::SystemTime::now()),
    );
    format!("{{\"state\":\"{random:016x}\"}}\n").into_bytes()
}

/// The bytes of a line of [`fresh_id`].
pub(super) const ID_BYTES: usize = 29;
