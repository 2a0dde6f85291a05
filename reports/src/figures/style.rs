//! Settings that every figure has: its size, its text, its colours and names.

use super::{Drawn, Expected, Setting, source::Source};
use crate::draw::{
    color::Palette,
    pdf::POINTS,
    scene::{HEADING, SIZES},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The settings.
pub const STYLE: &[Setting] = &[
    Setting {
        name: "width",
        expected: Expected::Number(20.0, 2000.0),
        doc: "Its width in millimetres, as a column of a paper: the panels get narrower or wider, the text keeps its size.",
    },
    Setting {
        name: "height",
        expected: Expected::Number(20.0, 2000.0),
        doc: "Its height in millimetres.",
    },
    Setting {
        name: "font_size",
        expected: Expected::Number(3.0, 40.0),
        doc: "The size of the numbers at its axes in points, 10.5 if not given; all other text is in proportion.",
    },
    Setting {
        name: "palette",
        expected: Expected::Choice(Palette::NAMES),
        doc: "The colours of classes, clusters and models. `okabe_ito`, the default, and `muted` can be told apart by \
              colour-blind readers, `grey` is for print without colour.",
    },
    Setting {
        name: "labels",
        expected: Expected::Names,
        doc: "Other names for classes, clusters, rows, steps and parameters: `{ gac: acoustic guitar }`.",
    },
    Setting {
        name: "format",
        expected: Expected::Choice(&["svg", "pdf"]),
        doc: "`pdf` writes it as PDF too, beside the SVG and the PNG that every figure has.",
    },
];

/// The panels of a figure, as factors of the width and the height that its kind gives them.
pub type Stretch = [f64; 2];

/// The smallest panels that can be read.
const MIN_PANEL: f64 = 0.15;
const MILLIMETRES: f64 = 25.4 / 96.0;

/// Draws a figure with its style.
pub fn styled(
    source: &mut Source<'_>,
    draw: fn(&Source<'_>) -> Result<Drawn, String>,
) -> Result<Drawn, String> {
    let options = &source.figure.options;
    let number = |name: &str| options.get(name).and_then(Value::as_f64);
    let palette = options.get("palette").and_then(Value::as_str).and_then(Palette::named);
    let scale = number("font_size").map_or(1.0, |points| points / POINTS / SIZES[2]);
    let sizes = [("width", number("width")), ("height", number("height"))];
    for (axis, (name, millimetres)) in sizes.into_iter().enumerate() {
        let size = |source: &mut Source<'_>, stretch: f64| {
            source.stretch[axis] = stretch;
            let scene = draw(source)?.scene;
            Ok::<_, String>([scene.width, scene.height + HEADING][axis])
        };
        let one = match (millimetres, number("font_size")) {
            (None, None) => continue,
            _ => size(source, 1.0)?,
        };
        // Without a size of its own, a figure of larger text is as large as it was.
        let wanted = millimetres.map_or(one, |millimetres| millimetres / MILLIMETRES) / scale;
        // What panels do not take has a fixed size, so that two drawings tell the third.
        let each = size(source, 2.0)? - one;
        let stretch = 1.0 + (wanted - one) / each;
        if stretch < MIN_PANEL || stretch.is_nan() {
            let least = (one - each * (1.0 - MIN_PANEL)) * scale * MILLIMETRES;
            return Err(format!(
                "its {name} has to be {:.0} mm or more with text of this size",
                least.ceil()
            ));
        }
        source.stretch[axis] = stretch;
    }
    let mut drawn = draw(source)?;
    drawn.scene.scale = scale;
    drawn.scene.paint(palette.unwrap_or_default());
    Ok(drawn)
}

/// The names that the author gives instead of others.
pub fn labels(options: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let names = options.get("labels").and_then(Value::as_object).into_iter().flatten();
    names.filter_map(|(name, shown)| Some((name.clone(), shown.as_str()?.to_owned()))).collect()
}
