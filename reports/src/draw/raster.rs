//! A scene as PNG on a white background, for viewers of Markdown that do not show SVG.

use super::{
    color::Paint,
    font, png,
    scene::{Anchor, Image, Mark, Scene, Shape, Words},
};
use tiny_skia::{
    FillRule, FilterQuality, LineJoin, Path, PathBuilder, Pixmap, PixmapPaint,
    PremultipliedColorU8, Rect, Stroke, StrokeDash, Transform,
};

/// Pixels for each unit of the scene, for dense screens and print.
const DENSITY: f64 = 2.0;

/// Draws a scene as a PNG file.
pub fn file(scene: &Scene) -> Vec<u8> {
    let density = DENSITY * scene.scale;
    let side = |units: f64| ((units * density).ceil() as u32).clamp(1, 8192);
    let mut page = Pixmap::new(side(scene.width), side(scene.height)).expect("sides are positive");
    page.fill(tiny_skia::Color::WHITE);
    for mark in &scene.marks {
        draw(&mut page, mark, Transform::from_scale(density as f32, density as f32));
    }
    let pixels: Vec<u8> =
        page.pixels().iter().flat_map(|it| [it.red(), it.green(), it.blue()]).collect();
    png::rgb(page.width() as usize, &pixels)
}

fn draw(page: &mut Pixmap, mark: &Mark, scaled: Transform) {
    match mark {
        Mark::Rect { frame: [x, y, w, h], fill } => {
            if let Some(rect) = Rect::from_xywh(*x as f32, *y as f32, *w as f32, *h as f32) {
                page.fill_rect(rect, &painted(*fill), scaled, None);
            }
        }
        Mark::Line { points, stroke, width, dashed } => {
            let dash = dashed.then(|| StrokeDash::new(vec![5.0, 4.0], 0.0)).flatten();
            let line = Stroke {
                width: *width as f32,
                dash,
                line_join: LineJoin::Round,
                ..Stroke::default()
            };
            if let Some(path) = polyline(points) {
                page.stroke_path(&path, &painted(*stroke), &line, scaled, None);
            }
        }
        Mark::Area { points, fill } => {
            if let Some(path) = polyline(points) {
                page.fill_path(&path, &painted(*fill), FillRule::Winding, scaled, None);
            }
        }
        Mark::Dots { points, shape, radius, fill } => {
            if let Some(path) = dots(points, *shape, *radius) {
                page.fill_path(&path, &painted(*fill), FillRule::Winding, scaled, None);
            }
        }
        Mark::Words(words) => draw_words(page, words, scaled),
        Mark::Image(image) => draw_image(page, image, scaled),
    }
}

fn painted(paint: Paint) -> tiny_skia::Paint<'static> {
    let [r, g, b] = paint.on_white();
    let mut painted = tiny_skia::Paint { anti_alias: true, ..tiny_skia::Paint::default() };
    painted.set_color_rgba8(r, g, b, 255);
    painted
}

fn polyline(points: &[[f64; 2]]) -> Option<Path> {
    let (mut path, mut is_drawing) = (PathBuilder::new(), false);
    for [x, y] in points {
        let is_there = x.is_finite() && y.is_finite();
        match (is_there, is_drawing) {
            (true, true) => path.line_to(*x as f32, *y as f32),
            (true, false) => path.move_to(*x as f32, *y as f32),
            (false, _) => {}
        }
        is_drawing = is_there;
    }
    path.finish()
}

fn dots(points: &[[f64; 2]], shape: Shape, radius: f64) -> Option<Path> {
    let mut path = PathBuilder::new();
    for [x, y] in points.iter().filter(|point| point.iter().all(|it| it.is_finite())) {
        match shape.corners() {
            [] => path.push_circle(*x as f32, *y as f32, radius as f32),
            corners => {
                for (at, [dx, dy]) in corners.iter().enumerate() {
                    let [x, y] = [x + dx * radius, y + dy * radius].map(|it| it as f32);
                    if at == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
                }
                path.close();
            }
        }
    }
    path.finish()
}

fn draw_words(page: &mut Pixmap, words: &Words, scaled: Transform) {
    let Some(path) = font::outline(&words.text, words.size) else { return };
    let width = font::width(&words.text, words.size);
    let before = match words.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -width / 2.0,
        Anchor::End => -width,
    };
    let [x, y] = words.at;
    let turn = if words.upwards { -90.0 } else { 0.0 };
    let place = Transform::from_translate(before as f32, 0.0)
        .post_rotate(turn)
        .post_translate(x as f32, y as f32)
        .post_concat(scaled);
    page.fill_path(&path, &painted(words.fill), FillRule::Winding, place, None);
}

fn draw_image(page: &mut Pixmap, image: &Image, scaled: Transform) {
    let rows = image.pixels.len() / image.columns.max(1);
    let Some(mut pixels) = Pixmap::new(image.columns as u32, rows as u32) else { return };
    for (pixel, step) in pixels.pixels_mut().iter_mut().zip(&image.pixels) {
        let [r, g, b] = image.map.at(f64::from(*step) / 255.0);
        *pixel = PremultipliedColorU8::from_rgba(r, g, b, 255).expect("an opaque colour");
    }
    let [x, y, w, h] = image.frame;
    let place = Transform::from_scale((w / image.columns as f64) as f32, (h / rows as f64) as f32)
        .post_translate(x as f32, y as f32)
        .post_concat(scaled);
    let paint = PixmapPaint { quality: FilterQuality::Nearest, ..PixmapPaint::default() };
    page.draw_pixmap(0, 0, pixels.as_ref(), &paint, place, None);
}
