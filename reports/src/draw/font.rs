//! The font of drawings: a subset of DejaVu Sans, so that no system font is needed.

use std::sync::LazyLock;
use tiny_skia::{Path, PathBuilder, Transform};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// The file of the font.
pub const BYTES: &[u8] = include_bytes!("font/DejaVuSans-subset.ttf");

static FACE: LazyLock<Face<'static>> =
    LazyLock::new(|| Face::parse(BYTES, 0).expect("the font is whole"));

/// The width of a text at font size `size`.
pub fn width(text: &str, size: f64) -> f64 {
    text.chars().map(|letter| advance(glyph(letter))).sum::<f64>() * scale(size)
}

/// The longest start of a text that fits a width, with an ellipsis if it was cut.
pub fn cut(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.to_owned();
    }
    let mut kept = text.to_owned();
    while !kept.is_empty() && width(&kept, size) + width("…", size) > most {
        kept.pop();
    }
    format!("{}…", kept.trim_end())
}

/// The outlines of a text that starts at the origin; `None` if nothing is visible.
pub fn outline(text: &str, size: f64) -> Option<Path> {
    let mut pen = Pen(PathBuilder::new(), 0.0);
    for letter in text.chars() {
        let glyph = glyph(letter);
        FACE.outline_glyph(glyph, &mut pen);
        pen.1 += advance(glyph) as f32;
    }
    // The y axis points up in a font and down on a page.
    let scale = scale(size) as f32;
    pen.0.finish()?.transform(Transform::from_scale(scale, -scale))
}

/// The glyph of a character; a missing one gets the replacement character.
pub fn glyph(letter: char) -> GlyphId {
    FACE.glyph_index(letter).or_else(|| FACE.glyph_index('\u{fffd}')).unwrap_or_default()
}

fn advance(glyph: GlyphId) -> f64 {
    FACE.glyph_hor_advance(glyph).map_or(0.0, f64::from)
}

/// The advance of a glyph in thousandths of the font size.
pub fn thousandths(glyph: u16) -> f64 {
    advance(GlyphId(glyph)) * scale(1000.0)
}

/// The box around all glyphs (left, bottom, right, top), the ascent and the descent, in thousandths of the
/// font size.
pub fn extent() -> [f64; 6] {
    let all = FACE.global_bounding_box();
    [all.x_min, all.y_min, all.x_max, all.y_max, FACE.ascender(), FACE.descender()]
        .map(|units| f64::from(units) * scale(1000.0))
}

fn scale(size: f64) -> f64 {
    size / f64::from(FACE.units_per_em())
}

/// Draws a glyph at an offset.
struct Pen(PathBuilder, f32);

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.0.move_to(x + self.1, y);
    }
    fn line_to(&mut self, x: f32, y: f32) {
        self.0.line_to(x + self.1, y);
    }
    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.0.quad_to(x1 + self.1, y1, x + self.1, y);
    }
    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.0.cubic_to(x1 + self.1, y1, x2 + self.1, y2, x + self.1, y);
    }
    fn close(&mut self) {
        self.0.close();
    }
}
