//! A scene as PDF: one page of its size, with paths that stay sharp and text that can be selected.

use super::{
    color::Paint,
    font,
    scene::{Anchor, Image, Mark, Scene, Shape, Words},
};
use miniz_oxide::deflate::compress_to_vec_zlib;
use pdf_writer::{
    Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr,
    types::{CidFontType, FontFlags, LineCapStyle, LineJoinStyle, SystemInfo, UnicodeCmap},
};
use std::collections::BTreeMap;

/// Points of a page for each pixel of a screen.
pub const POINTS: f64 = 0.75;

/// The compression, from 1 to 10: small files, and the same bytes everywhere.
const LEVEL: u8 = 9;
const FONT: Name<'static> = Name(b"F");
const FONT_NAME: Name<'static> = Name(b"DejaVuSans");
const IDENTITY: SystemInfo<'static> =
    SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// The content of the page with the resources it needs.
struct Page<'s> {
    content: Content,
    images: Vec<&'s Image>,
    /// The glyphs that are shown, each with its letter.
    letters: BTreeMap<u16, char>,
}

/// Writes a scene as a file.
pub fn file(scene: &Scene) -> Vec<u8> {
    let mut page = Page { content: Content::new(), images: Vec::new(), letters: BTreeMap::new() };
    let points = scene.scale * POINTS;
    let [width, height] = [scene.width * points, scene.height * points].map(|it| it as f32);
    // The y axis of a scene points down.
    page.content.transform([points as f32, 0.0, 0.0, -points as f32, 0.0, height]);
    page.content.set_line_join(LineJoinStyle::RoundJoin);
    scene.marks.iter().for_each(|mark| page.draw(mark));

    let mut ids = (1..).map(Ref::new);
    let mut id = || ids.next().expect("a figure has few objects");
    let (catalog, pages, leaf, content, info, font) = (id(), id(), id(), id(), id(), id());
    let images: Vec<(String, Ref)> =
        (0..page.images.len()).map(|at| (image_name(at), id())).collect();
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids([leaf]).count(1);
    pdf.document_info(info).title(TextStr(&scene.title));
    let mut sheet = pdf.page(leaf);
    sheet.media_box(Rect::new(0.0, 0.0, width, height)).parent(pages).contents(content);
    let mut resources = sheet.resources();
    resources.fonts().pair(FONT, font);
    let mut objects = resources.x_objects();
    for (name, id) in &images {
        objects.pair(Name(name.as_bytes()), *id);
    }
    objects.finish();
    resources.finish();
    sheet.finish();
    let packed = compress_to_vec_zlib(&page.content.finish(), LEVEL);
    pdf.stream(content, &packed).filter(Filter::FlateDecode);
    for ((_, id), image) in images.iter().zip(&page.images) {
        write_image(&mut pdf, *id, image);
    }
    write_font(&mut pdf, [font, id(), id(), id(), id()], &page.letters);
    pdf.finish()
}

fn image_name(at: usize) -> String {
    format!("I{at}")
}

impl<'s> Page<'s> {
    fn draw(&mut self, mark: &'s Mark) {
        match mark {
            Mark::Rect { frame, fill } => {
                self.fill(*fill);
                let [x, y, w, h] = frame.map(short);
                self.content.rect(x, y, w, h).fill_nonzero();
            }
            Mark::Line { points, stroke, width, dashed } => {
                self.stroke(*stroke, *width);
                let dash: &[f32] = if *dashed { &[5.0, 4.0] } else { &[] };
                self.content.set_line_cap(LineCapStyle::ButtCap);
                self.content.set_dash_pattern(dash.iter().copied(), 0.0);
                self.polyline(points);
                self.content.stroke();
            }
            Mark::Area { points, fill } => {
                self.fill(*fill);
                self.polyline(points);
                self.content.fill_nonzero();
            }
            Mark::Dots { points, shape, radius, fill } => {
                self.dots(points, *shape, *radius, *fill);
            }
            Mark::Words(words) => self.words(words),
            Mark::Image(image) => {
                let [x, y, w, h] = image.frame.map(short);
                let name = image_name(self.images.len());
                self.content.save_state().transform([w, 0.0, 0.0, -h, x, y + h]);
                self.content.x_object(Name(name.as_bytes())).restore_state();
                self.images.push(image);
            }
        }
    }

    fn fill(&mut self, paint: Paint) {
        let [r, g, b] = paint.on_white().map(|channel| f32::from(channel) / 255.0);
        self.content.set_fill_rgb(r, g, b);
    }

    fn stroke(&mut self, paint: Paint, width: f64) {
        let [r, g, b] = paint.on_white().map(|channel| f32::from(channel) / 255.0);
        self.content.set_stroke_rgb(r, g, b).set_line_width(short(width));
    }

    /// The path through these points; those that are not finite break it.
    fn polyline(&mut self, points: &[[f64; 2]]) {
        let mut is_drawing = false;
        for [x, y] in points {
            let is_there = x.is_finite() && y.is_finite();
            match (is_there, is_drawing) {
                (true, true) => _ = self.content.line_to(short(*x), short(*y)),
                (true, false) => _ = self.content.move_to(short(*x), short(*y)),
                (false, _) => {}
            }
            is_drawing = is_there;
        }
    }

    /// A disc is a line of no length with round ends.
    fn dots(&mut self, points: &[[f64; 2]], shape: Shape, radius: f64, paint: Paint) {
        let points = points.iter().filter(|point| point.iter().all(|it| it.is_finite()));
        if shape.corners().is_empty() {
            self.stroke(paint, 2.0 * radius);
            self.content.set_line_cap(LineCapStyle::RoundCap).set_dash_pattern([], 0.0);
            for [x, y] in points {
                let [x, y] = [*x, *y].map(short);
                self.content.move_to(x, y).line_to(x, y);
            }
            self.content.stroke();
            return;
        }
        self.fill(paint);
        for [x, y] in points {
            for (at, [dx, dy]) in shape.corners().iter().enumerate() {
                let [x, y] = [x + dx * radius, y + dy * radius].map(short);
                let path = &mut self.content;
                if at == 0 {
                    path.move_to(x, y)
                } else {
                    path.line_to(x, y)
                };
            }
            self.content.close_path();
        }
        self.content.fill_nonzero();
    }

    fn words(&mut self, words: &Words) {
        let before = match words.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => font::width(&words.text, words.size) / 2.0,
            Anchor::End => font::width(&words.text, words.size),
        };
        let [x, y] = words.at;
        // Letters stand upright although the y axis points down.
        let place = match words.upwards {
            true => [0.0, -1.0, -1.0, 0.0, short(x), short(y + before)],
            false => [1.0, 0.0, 0.0, -1.0, short(x - before), short(y)],
        };
        let mut glyphs = Vec::new();
        for letter in words.text.chars() {
            let glyph = font::glyph(letter).0;
            self.letters.entry(glyph).or_insert(letter);
            glyphs.extend(glyph.to_be_bytes());
        }
        self.fill(words.fill);
        let text = self.content.begin_text().set_font(FONT, short(words.size));
        text.set_text_matrix(place).show(Str(&glyphs)).end_text();
    }
}

/// A number rounded to a hundredth, which is finer than any printer.
fn short(value: f64) -> f32 {
    ((value * 100.0).round() / 100.0) as f32
}

fn write_image(pdf: &mut Pdf, id: Ref, image: &Image) {
    let palette: Vec<u8> =
        (0..=255_u8).flat_map(|at| image.map.at(f64::from(at) / 255.0)).collect();
    let packed = compress_to_vec_zlib(&image.pixels, LEVEL);
    let rows = image.pixels.len() / image.columns.max(1);
    let mut object = pdf.image_xobject(id, &packed);
    object.filter(Filter::FlateDecode);
    object.width(image.columns as i32).height(rows as i32);
    object.color_space().indexed(Name(b"DeviceRGB"), 255, &palette);
    object.bits_per_component(8);
}

/// Embeds the font, with the letter of each glyph that is shown, so that text can be searched and copied.
fn write_font(
    pdf: &mut Pdf,
    [font, cid, descriptor, file, map]: [Ref; 5],
    letters: &BTreeMap<u16, char>,
) {
    pdf.type0_font(font)
        .base_font(FONT_NAME)
        .encoding_predefined(Name(b"Identity-H"))
        .descendant_font(cid)
        .to_unicode(map);
    let mut glyphs = pdf.cid_font(cid);
    glyphs.subtype(CidFontType::Type2).base_font(FONT_NAME).system_info(IDENTITY);
    glyphs.font_descriptor(descriptor).cid_to_gid_map_predefined(Name(b"Identity"));
    let mut widths = glyphs.widths();
    for glyph in letters.keys() {
        widths.same(*glyph, *glyph, font::thousandths(*glyph) as f32);
    }
    widths.finish();
    glyphs.finish();
    let [left, bottom, right, top, ascent, descent] = font::extent().map(|it| it as f32);
    pdf.font_descriptor(descriptor)
        .name(FONT_NAME)
        .flags(FontFlags::SYMBOLIC)
        .bbox(Rect::new(left, bottom, right, top))
        .italic_angle(0.0)
        .ascent(ascent)
        .descent(descent)
        .cap_height(ascent)
        .stem_v(80.0)
        .font_file2(file);
    let packed = compress_to_vec_zlib(font::BYTES, LEVEL);
    let mut written = pdf.stream(file, &packed);
    written.filter(Filter::FlateDecode);
    written.pair(Name(b"Length1"), font::BYTES.len() as i32);
    written.finish();
    let mut unicode = UnicodeCmap::<u16>::new(Name(b"Letters"), IDENTITY);
    letters.iter().for_each(|(glyph, letter)| unicode.pair(*glyph, *letter));
    pdf.cmap(map, &unicode.finish());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Map;

    #[test]
    fn a_page_has_the_size_of_its_scene_and_the_same_bytes() {
        let mut scene = Scene::new(200.0, 100.0, "β = 4");
        scene.words("Größe (β)", [10.0, 20.0], Anchor::Start, 14.0);
        scene.upwards("up", [10.0, 50.0], 14.0);
        scene.dots(vec![[1.0, 2.0], [f64::NAN, 0.0]], Shape::Disc, 3.0, Paint::Ink);
        scene.line(vec![[0.0, 0.0], [f64::NAN, 1.0], [5.0, 5.0]], Paint::Soft, 1.0);
        let frame = [0.0, 0.0, 10.0, 10.0];
        scene.marks.push(Mark::Image(Image {
            frame,
            columns: 2,
            pixels: vec![0, 80, 160, 255],
            map: Map::Cividis,
        }));
        let bytes = file(&scene);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("%PDF-1.") && text.trim_end().ends_with("%%EOF"), "{text}");
        assert!(text.contains("/MediaBox [0 0 150 75]"), "{text}");
        assert!(!text.contains("NaN") && !text.contains("/CreationDate"));
        assert_eq!(bytes, file(&scene));
    }
}
