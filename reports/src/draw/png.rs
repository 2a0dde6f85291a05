//! PNG files (RFC 2083), with a compressor that gives the same bytes on every machine.

use miniz_oxide::deflate::compress_to_vec_zlib;

/// Encodes opaque pixels of three bytes each, row after row.
pub fn rgb(columns: usize, pixels: &[u8]) -> Vec<u8> {
    encode(columns, 3, 2, &[], pixels)
}

/// Encodes pixels that are indices into a palette.
pub fn indexed(columns: usize, pixels: &[u8], palette: &[[u8; 3]]) -> Vec<u8> {
    encode(columns, 1, 3, &palette.concat(), pixels)
}

fn encode(
    columns: usize,
    channels: usize,
    color_type: u8,
    palette: &[u8],
    pixels: &[u8],
) -> Vec<u8> {
    let width = (columns * channels).max(1);
    let rows = pixels.len() / width;
    // Each row starts with its filter. For colour pixels, the difference from the row above
    // compresses better.
    let mut filtered = Vec::with_capacity(pixels.len() + rows);
    let mut above = vec![0; width];
    for row in pixels.chunks_exact(width) {
        if color_type == 2 {
            filtered.push(2);
            filtered.extend(row.iter().zip(&above).map(|(own, above)| own.wrapping_sub(*above)));
            above.copy_from_slice(row);
        } else {
            filtered.push(0);
            filtered.extend_from_slice(row);
        }
    }
    let mut header = Vec::new();
    header.extend((columns as u32).to_be_bytes());
    header.extend((rows as u32).to_be_bytes());
    header.extend([8, color_type, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut out, b"IHDR", &header);
    if !palette.is_empty() {
        chunk(&mut out, b"PLTE", palette);
    }
    chunk(&mut out, b"IDAT", &compress_to_vec_zlib(&filtered, 6));
    chunk(&mut out, b"IEND", &[]);
    out
}

fn chunk(out: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    out.extend((content.len() as u32).to_be_bytes());
    let start = out.len();
    out.extend(name);
    out.extend(content);
    let sum = crc(&out[start..]);
    out.extend(sum.to_be_bytes());
}

/// The cyclic redundancy check of PNG and zip, bit by bit over a table.
fn crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let (mut value, mut bit) = (index as u32, 0);
            while bit < 8 {
                value = if value & 1 == 1 { 0xedb8_8320 ^ value >> 1 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    let step = |sum: u32, byte: &u8| TABLE[((sum ^ u32::from(*byte)) & 255) as usize] ^ sum >> 8;
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::crc;

    #[test]
    fn the_check_value_of_the_standard() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
    }
}
