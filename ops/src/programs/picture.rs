//! Looks into the picture of an external program: that it is one, and of a size that a report can show.

use cache::{
    Artifact,
    picture::{Picture, PictureFormat},
};
use std::io::Cursor;

/// The most bytes of a picture: the page of a report holds all its pictures.
pub const MAX_BYTES: u64 = 8 << 20;
/// The most pixels along one side.
const MAX_SIDE: u32 = 20_000;
/// The most pixels of a PNG.
const MAX_PIXELS: u64 = 50_000_000;
/// The most elements and pieces of text of an SVG.
const MAX_NODES: u32 = 1_000_000;
/// The name space by which a browser knows an SVG.
const SVG: &str = "http://www.w3.org/2000/svg";

/// The fault of a picture: the end of a sentence about the file, and advice.
pub type Fault = (String, &'static str);

const SMALLER: &str = "draw it smaller; as a PNG, at fewer dots per inch";
const FEWER: &str = "draw fewer marks, or draw it as a PNG";

/// Converts the file of a program to an artifact.
pub fn artifact(format: PictureFormat, bytes: Vec<u8>) -> Result<Artifact, Fault> {
    match format {
        PictureFormat::Svg => check_svg(&bytes)?,
        PictureFormat::Png => check_png(&bytes)?,
    }
    Ok(Picture { format, bytes }.artifact())
}

/// The fault of a file that is longer than [`MAX_BYTES`].
pub fn too_long(format: PictureFormat) -> Fault {
    let help = if format == PictureFormat::Svg { FEWER } else { SMALLER };
    (format!("is longer than {} MB, the most for a picture", MAX_BYTES >> 20), help)
}

fn check_side(pixels: f64) -> Result<(), Fault> {
    if pixels <= f64::from(MAX_SIDE) {
        return Ok(());
    }
    let message = format!("is {pixels:.0} pixels wide or high, and {MAX_SIDE} are the most");
    Err((message, SMALLER))
}

fn check_png(bytes: &[u8]) -> Result<(), Fault> {
    const HELP: &str = "write a PNG there, or `svg` in `outputs` if the program draws that";
    let error = |error: png::DecodingError| (format!("is no PNG that can be read: {error}"), HELP);
    let limits = png::Limits { bytes: 64 << 20 };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(error)?;
    let (width, height) = reader.info().size();
    check_side(f64::from(width.max(height)))?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        let message = format!("has {pixels} pixels, and {MAX_PIXELS} are the most");
        return Err((message, SMALLER));
    }
    // A file that is cut short has a whole header.
    while reader.next_row().map_err(error)?.is_some() {}
    Ok(())
}

fn check_svg(bytes: &[u8]) -> Result<(), Fault> {
    const HELP: &str = "write an SVG there, or `png` in `outputs` if the program draws that";
    let not = |why: &str| (format!("is no SVG that can be shown: {why}"), HELP);
    let text = std::str::from_utf8(bytes).map_err(|_| not("it is not text in UTF-8"))?;
    // An entity can stand for the content of another file, or for text without end.
    if text.contains("<!ENTITY") {
        let message = "declares entities, which are not read here".to_owned();
        return Err((message, "write out what they stand for"));
    }
    let options =
        roxmltree::ParsingOptions { allow_dtd: true, nodes_limit: MAX_NODES, ..Default::default() };
    let document = match roxmltree::Document::parse_with_options(text, options) {
        Err(roxmltree::Error::NodesLimitReached) => {
            return Err((format!("has more than {MAX_NODES} elements"), FEWER));
        }
        parsed => parsed.map_err(|error| not(&error.to_string()))?,
    };
    let root = document.root_element();
    let name = root.tag_name();
    if name.name() != "svg" {
        return Err(not(&format!("its outermost element is `{}`", name.name())));
    }
    if name.namespace() != Some(SVG) {
        return Err(not(&format!("its outermost element lacks `xmlns=\"{SVG}\"`")));
    }
    let sides = ["width", "height"].map(|name| root.attribute(name).and_then(pixels));
    let view = root.attribute("viewBox").unwrap_or_default();
    let view = view.split([' ', ',']).filter(|part| !part.is_empty()).skip(2).map(pixels);
    // A side that is given counts, and else the view.
    sides
        .into_iter()
        .zip(view.chain([None, None]))
        .try_for_each(|(side, of_view)| side.or(of_view).map_or(Ok(()), check_side))
}

/// A length of SVG in pixels, unless it is relative to something else.
fn pixels(length: &str) -> Option<f64> {
    let length = length.trim();
    let end =
        length.find(|it: char| it.is_ascii_alphabetic() && !matches!(it, 'e' | 'E') || it == '%');
    let (number, unit) = length.split_at(end.unwrap_or(length.len()));
    let per_unit = match unit {
        "" | "px" => 1.0,
        "pt" => 96.0 / 72.0,
        "pc" => 16.0,
        "mm" => 96.0 / 25.4,
        "cm" => 96.0 / 2.54,
        "in" => 96.0,
        _ => return None,
    };
    number.trim().parse::<f64>().ok().map(|number| number * per_unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(columns: u32, rows: u32) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, columns, rows);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let pixels = vec![0; columns.div_ceil(8) as usize * rows as usize];
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(&pixels).expect("pixels");
        drop(writer);
        file
    }

    fn refused(format: PictureFormat, bytes: &[u8], why: &str) {
        let (error, _) = artifact(format, bytes.to_vec()).expect_err(why);
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn pictures_of_common_programs_are_taken() {
        // The head of what matplotlib writes.
        let with_type = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\"\n  \
             \"http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd\">\n<svg width=\"460.8pt\" height=\"345.6pt\" \
             viewBox=\"0 0 460.8 345.6\" xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\"><g/></svg>";
        let prefixed =
            "<s:svg xmlns:s='http://www.w3.org/2000/svg' width='100%' viewBox='0,0,10,10'/>";
        for svg in [with_type, prefixed] {
            let made = artifact(PictureFormat::Svg, svg.as_bytes().to_vec()).expect("an SVG");
            let bytes = Picture::of(&made).expect("a picture").bytes;
            assert_eq!(bytes, svg.as_bytes(), "as the program left it");
        }
        artifact(PictureFormat::Png, png(12, 5)).expect("a PNG");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let whole = png(300, 300);
        refused(PictureFormat::Png, &whole[..whole.len() / 2], "is no PNG that can be read");
        refused(PictureFormat::Png, b"<svg/>", "is no PNG that can be read");
        refused(PictureFormat::Svg, &whole, "it is not text in UTF-8");
        refused(PictureFormat::Svg, b"", "is no SVG that can be shown");
        refused(PictureFormat::Svg, b"<svg>", "is no SVG that can be shown");
        refused(PictureFormat::Svg, b"<svg/>", "lacks `xmlns=");
        refused(PictureFormat::Svg, b"<html/>", "its outermost element is `html`");
        let entity = "<!DOCTYPE svg [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><svg/>";
        refused(PictureFormat::Svg, entity.as_bytes(), "declares entities");
    }

    #[test]
    fn what_is_too_large_is_refused() {
        refused(PictureFormat::Png, &png(20_001, 1), "is 20001 pixels wide or high");
        refused(PictureFormat::Png, &png(10_000, 5_001), "has 50010000 pixels");
        for size in ["width='1e9'", "height='6000mm'", "viewBox='0 0 1 40000'", "width='1e999'"] {
            let svg = format!("<svg xmlns='{SVG}' {size}/>");
            refused(PictureFormat::Svg, svg.as_bytes(), "and 20000 are the most");
        }
        let many = format!("<svg xmlns='{SVG}'>{}</svg>", "<g/>".repeat(MAX_NODES as usize));
        refused(PictureFormat::Svg, many.as_bytes(), "has more than 1000000 elements");
        // Nothing here goes down with the depth.
        let (open, close) = ("<g>".repeat(400_000), "</g>".repeat(400_000));
        let deep = format!("<svg xmlns='{SVG}'>{open}{close}</svg>");
        artifact(PictureFormat::Svg, deep.into_bytes()).expect("an SVG");
    }
}
