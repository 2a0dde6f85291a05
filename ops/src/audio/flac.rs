//! Finds the last frame of a FLAC file that has other bytes behind it, which symphonia takes for a
//! part of the frame.

use super::input::Input;
use symphonia::core::{
    packet::Packet,
    units::{Duration, Timestamp},
};

/// The smallest number of bytes in a frame, and the largest number searched.
const MIN_FRAME_BYTES: usize = 10;
const MAX_FRAME_BYTES: usize = 1 << 21;

/// The frame that starts `bytes` after the first one and at sample `made`. It ends at the first
/// position where its checksum is valid and `decodes` accepts it, since a 16-bit checksum may be
/// valid by chance.
pub(crate) fn last_packet(
    input: &Input<'_>,
    bytes: u64,
    made: u64,
    mut decodes: impl FnMut(&Packet) -> bool,
) -> Option<Packet> {
    let mut room = Vec::new();
    let rest =
        input.bytes(first_frame(input)?.checked_add(bytes)?, MAX_FRAME_BYTES, &mut room).ok()?;
    let [0xff, 0xf8 | 0xf9, ..] = rest else { return None };
    let time = Timestamp::from(i64::try_from(made).ok()?);
    let mut crc = 0_u16;
    for (at, &byte) in rest.iter().enumerate() {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x8005 };
        }
        // The checksum over a frame with its checksum is 0.
        if crc == 0 && at + 1 >= MIN_FRAME_BYTES {
            let packet = Packet::new(0, time, Duration::ZERO, &rest[..=at]);
            if decodes(&packet) {
                return Some(packet);
            }
        }
    }
    None
}

/// The position after the metadata blocks.
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
