//! A scene as SVG: compact, deterministic, and in the colours of the page.

use super::{
    color::{Map, Paint, Palette},
    png,
    scene::{Anchor, Image, Mark, Scene, Shape, Words},
};
use crate::escape::html as escaped;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::fmt::Write;

/// The colours of light and dark pages, for every drawing on a page.
pub const STYLE: &str = ".plot{--ink:#222;--soft:#666;--grid:#e2e2e2;--paper:#fff;font-family:system-ui,'DejaVu Sans',Verdana,sans-serif}\
@media(prefers-color-scheme:dark){.plot{--ink:#e6e6e6;--soft:#a0a0a0;--grid:#3a3a3a;--paper:#16181c}}";

/// Writes a scene as a file.
pub fn file(scene: &Scene) -> String {
    let style = format!("<style>{STYLE}.plot{{background:var(--paper)}}</style>");
    write(scene, " xmlns=\"http://www.w3.org/2000/svg\"", &style)
}

/// Writes a scene as a part of a page that has [`STYLE`].
pub fn inline(scene: &Scene) -> String {
    write(scene, "", "")
}

fn write(scene: &Scene, attributes: &str, style: &str) -> String {
    let [width, height] = [scene.width, scene.height].map(short);
    let [wide, tall] = [scene.width, scene.height].map(|side| short(side * scene.scale));
    let title = escaped(&scene.title);
    let mut out = format!(
        "<svg{attributes} class=\"plot\" viewBox=\"0 0 {width} {height}\" width=\"{wide}\" height=\"{tall}\" \
         role=\"img\" aria-label=\"{title}\">{style}<title>{title}</title>\n"
    );
    for mark in &scene.marks {
        let _ = match mark {
            Mark::Rect { frame: [x, y, w, h], fill } => write!(
                out,
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>",
                short(*x),
                short(*y),
                short(*w),
                short(*h),
                paint(*fill)
            ),
            Mark::Line { points, stroke, width, dashed } => write!(
                out,
                "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-linejoin=\"round\"{}/>",
                path(points),
                paint(*stroke),
                short(*width),
                if *dashed { " stroke-dasharray=\"5 4\"" } else { "" }
            ),
            Mark::Area { points, fill } => {
                write!(out, "<path d=\"{}Z\" fill=\"{}\"/>", path(points), paint(*fill))
            }
            Mark::Dots { points, shape, radius, fill } => {
                dots(&mut out, points, *shape, *radius, *fill)
            }
            Mark::Words(words) => write_words(&mut out, words),
            Mark::Image(image) => write_image(&mut out, image),
        };
        out.push('\n');
    }
    out.push_str("</svg>\n");
    out
}

/// A coordinate rounded to a tenth in the shortest form.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn paint(color: Paint) -> String {
    match color {
        Paint::Ink => "var(--ink)".to_owned(),
        Paint::Soft => "var(--soft)".to_owned(),
        Paint::Grid => "var(--grid)".to_owned(),
        Paint::Paper => "var(--paper)".to_owned(),
        Paint::Category(_) => paint(Palette::default().of(color)),
        Paint::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
    }
}

fn path(points: &[[f64; 2]]) -> String {
    let mut out = String::new();
    let mut command = 'M';
    for [x, y] in points {
        if !(x.is_finite() && y.is_finite()) {
            command = 'M';
            continue;
        }
        let _ = write!(out, "{command}{} {}", short(*x), short(*y));
        command = 'L';
    }
    out
}

/// Writes all marks as one path: a disc is a line of zero length with round ends.
fn dots(
    out: &mut String,
    points: &[[f64; 2]],
    shape: Shape,
    radius: f64,
    fill: Paint,
) -> std::fmt::Result {
    let fill = paint(fill);
    write!(out, "<path d=\"")?;
    for [x, y] in points {
        match shape.corners() {
            [] => write!(out, "M{} {}h0", short(*x), short(*y))?,
            corners => {
                let places = corners.iter().enumerate().map(|(at, [dx, dy])| {
                    let [x, y] = [x + dx * radius, y + dy * radius];
                    format!("{}{} {}", if at == 0 { 'M' } else { 'L' }, short(x), short(y))
                });
                write!(out, "{}Z", places.collect::<String>())?;
            }
        }
    }
    match shape {
        Shape::Disc => write!(
            out,
            "\" fill=\"none\" stroke=\"{fill}\" stroke-width=\"{}\" stroke-linecap=\"round\"/>",
            short(2.0 * radius)
        ),
        _ => write!(out, "\" fill=\"{fill}\"/>"),
    }
}

fn write_words(out: &mut String, words: &Words) -> std::fmt::Result {
    let anchor = match words.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let [x, y] = words.at.map(short);
    let turn =
        if words.upwards { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
    write!(
        out,
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\" fill=\"{}\"{anchor}{turn}>{}</text>",
        short(words.size),
        paint(words.fill),
        escaped(&words.text)
    )
}

fn write_image(out: &mut String, image: &Image) -> std::fmt::Result {
    let [x, y, w, h] = image.frame.map(short);
    let map = image.map;
    let palette: Vec<[u8; 3]> = (0..=255).map(|step| map_at(map, step)).collect();
    let bytes = png::indexed(image.columns, &image.pixels, &palette);
    write!(
        out,
        "<image x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" preserveAspectRatio=\"none\" \
         style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>",
        STANDARD.encode(&bytes)
    )
}

fn map_at(map: Map, step: u8) -> [u8; 3] {
    map.at(f64::from(step) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short() {
        assert_eq!([0.04, -0.04, 12.0, 3.25, 3.96].map(short), ["0", "0", "12", "3.2", "4"]);
    }

    #[test]
    fn text_cannot_leave_its_element() {
        let mut scene = Scene::new(10.0, 10.0, "\"><script>");
        scene.words("</text><script>alert(1)</script>", [0.0, 0.0], Anchor::Start, 9.0);
        assert!(!file(&scene).contains("<script"), "{}", file(&scene));
    }
}
