//! The last frame of a FLAC file with something behind it, which symphonia takes for a part of the frame.

use super::input::Input;
use symphonia::core::{
    packet::Packet,
    units::{Duration, Timestamp},
};

/// The fewest bytes of a frame, and the most that are looked at.
const LEAST: usize = 10;
const MOST: usize = 1 << 21;

/// The frame that starts `bytes` after the first one, up to where its checksum holds. It starts at the sample
/// `made`.
pub(crate) fn last_packet(input: &Input<'_>, bytes: u64, made: u64) -> Option<Packet> {
    let mut room = Vec::new();
    let rest = input.bytes(first_frame(input)?.checked_add(bytes)?, MOST, &mut room).ok()?;
    let [0xff, 0xf8 | 0xf9, ..] = rest else { return None };
    let mut crc = 0_u16;
    for (at, &byte) in rest.iter().enumerate() {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x8005 };
        }
        // The checksum of a frame and its checksum is 0.
        if crc == 0 && at + 1 >= LEAST {
            let time = Timestamp::from(i64::try_from(made).ok()?);
            return Some(Packet::new(0, time, Duration::ZERO, &rest[..=at]));
        }
    }
    None
}

/// Where the blocks of metadata end.
fn first_frame(input: &Input<'_>) -> Option<u64> {
    let mut at = 4;
    loop {
        let [kind, length @ ..]: [u8; 4] = input.array(at)?;
        at += 4 + u64::from(u32::from_be_bytes([0, length[0], length[1], length[2]]));
        if kind & 0x80 != 0 {
            return Some(at);
        }
    }
}
