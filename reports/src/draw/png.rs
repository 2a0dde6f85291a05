//! PNG files. The compressor gives the same bytes on every machine, which zlib's fast forms do not.

use png::{ColorType, DeflateCompression, Encoder, Filter};

/// Encodes opaque pixels of three bytes each, row after row.
pub fn rgb(columns: usize, pixels: &[u8]) -> Vec<u8> {
    encode(columns, pixels, ColorType::Rgb, None)
}

/// Encodes pixels that are indices into a palette.
pub fn indexed(columns: usize, pixels: &[u8], palette: &[[u8; 3]]) -> Vec<u8> {
    encode(columns, pixels, ColorType::Indexed, Some(palette.concat()))
}

fn encode(columns: usize, pixels: &[u8], color: ColorType, palette: Option<Vec<u8>>) -> Vec<u8> {
    let rows = pixels.len() / (columns * color.samples()).max(1);
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, columns as u32, rows as u32);
    encoder.set_color(color);
    // Neighbouring indices into a palette are no neighbouring numbers, so a difference saves nothing.
    encoder.set_filter(if palette.is_some() { Filter::NoFilter } else { Filter::Adaptive });
    encoder.set_deflate_compression(DeflateCompression::FdeflateUltraFast);
    if let Some(palette) = palette {
        encoder.set_palette(palette);
    }
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels));
    written.expect("a figure has at least one pixel, and memory takes all bytes");
    file
}

#[cfg(test)]
mod tests {
    use super::{indexed, rgb};

    #[test]
    fn what_is_written_is_read_back() {
        let pixels: Vec<u8> = (0..60).collect();
        let palette: Vec<[u8; 3]> = (0..=255).map(|it| [it, 255 - it, 7]).collect();
        let of_palette: Vec<u8> = pixels.iter().flat_map(|it| palette[usize::from(*it)]).collect();
        let cases = [
            (rgb(5, &pixels), (5, 4), pixels.clone()),
            (indexed(12, &pixels, &palette), (12, 5), of_palette),
        ];
        for (file, (columns, rows), expected) in cases {
            let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
            decoder.set_transformations(png::Transformations::EXPAND);
            let mut reader = decoder.read_info().expect("a header");
            let mut read = vec![0; reader.output_buffer_size().expect("a size")];
            let info = reader.next_frame(&mut read).expect("pixels");
            assert_eq!((info.width, info.height), (columns, rows));
            assert_eq!(read, expected);
        }
    }
}
