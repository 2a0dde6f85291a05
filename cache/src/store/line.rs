//! The lines of the journal and of its compacted form: JSON with a checksum before it.

use super::Finished;
use crate::Digest;
use serde::Deserialize;

const SUM: &[u8] = b"{\"sum\":\"";
const KEY: &[u8] = b"\",\"key\":\"";
const SUM_DIGITS: usize = 8;

/// A line with its checksum and its line break.
pub(super) fn line(finished: &Finished) -> Vec<u8> {
    let json = serde_json::to_vec(finished).expect("a finished step always serialises");
    // `{"key":…` becomes `{"sum":"…","key":…`.
    let rest = &json[1..];
    let mut line = SUM.to_vec();
    line.extend_from_slice(sum(rest).as_bytes());
    line.extend_from_slice(b"\",");
    line.extend_from_slice(rest);
    line.push(b'\n');
    line
}

/// CRC-32, which detects every flipped bit and is fast compared with the parsing.
fn sum(rest: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(rest))
}

/// The key at its fixed position in a line.
pub(super) fn key_of(line: &[u8]) -> Option<Digest> {
    let key = line.strip_prefix(SUM)?.get(SUM_DIGITS..)?.strip_prefix(KEY)?;
    Digest::from_hex(key.get(..64)?)
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
    serde_json::from_slice(line).ok()
}

/// The first line of a new journal.
pub(super) fn fresh_id() -> Vec<u8> {
    let random = std::hash::BuildHasher::hash_one(
        &std::collections::hash_map::RandomState::new(),
        (std::process::id(), std::time::SystemTime::now()),
    );
    format!("{{\"journal\":\"{random:016x}\"}}\n").into_bytes()
}
