//! Panels with axes: positions of numbers, ticks and labels.

use super::{
    color::{Map, Paint},
    font,
    scene::{Anchor, Image, Mark, SIZES, Scene, Shape},
};

/// The scale of an axis: maps numbers to positions between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// A linear scale between two ends.
    Linear(f64, f64),
    /// A logarithmic scale between two ends above zero.
    Log(f64, f64),
}

impl Scale {
    /// A linear axis that includes all these numbers with a margin, and zero if `with_zero` is set.
    pub fn around(values: impl IntoIterator<Item = f64>, with_zero: bool) -> Self {
        let (low, high) = span(values.into_iter().chain(with_zero.then_some(0.0)));
        let room = if high > low { (high - low) * 0.05 } else { low.abs().max(1.0) * 0.5 };
        let low = if with_zero && low == 0.0 { 0.0 } else { low - room };
        Scale::Linear(low, high + room)
    }

    /// A logarithmic axis for the numbers above zero; a linear one if there are none.
    pub fn log_around(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = span(values.into_iter().filter(|value| *value > 0.0));
        if low > 0.0 { Scale::Log(low / 1.15, high * 1.15) } else { Scale::Linear(0.0, 1.0) }
    }

    /// The position of a number between 0 and 1.
    pub fn share(self, value: f64) -> f64 {
        match self {
            Scale::Linear(low, high) => (value - low) / (high - low),
            Scale::Log(low, high) => (value / low).ln() / (high / low).ln(),
        }
    }

    /// The positions and labels of about `most` ticks.
    pub fn ticks(self, most: usize) -> Vec<(f64, String)> {
        match self {
            Scale::Linear(low, high) => {
                let rough = (high - low) / most.max(1) as f64;
                let power = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power);
                let step = step.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(rough);
                let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
                let first = (low / step - 1e-9).ceil() as i64;
                let last = (high / step + 1e-9).floor() as i64;
                (first..=last.min(first + 50))
                    .map(|at| (at as f64 * step, number(at as f64 * step, decimals)))
                    .collect()
            }
            Scale::Log(low, high) => {
                let decades = (high / low).log10();
                let factors: &[f64] = match decades {
                    _ if decades < 1.2 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
                    _ if decades < 3.0 => &[1.0, 2.0, 5.0],
                    _ => &[1.0],
                };
                let skip = (decades / most.max(1) as f64).ceil().max(1.0) as i32;
                let powers = (low.log10().floor() as i32..=high.log10().ceil() as i32)
                    .filter(|power| power % skip == 0);
                let values =
                    powers.flat_map(|power| factors.iter().map(move |it| it * 10_f64.powi(power)));
                let inside = values.filter(|value| (low..=high).contains(value));
                inside.map(|value| (value, brief(value))).collect()
            }
        }
    }
}

/// The smallest and the largest number; 0 and 1 without numbers.
fn span(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    let (low, high) = values
        .into_iter()
        .filter(|value| value.is_finite())
        .fold(start, |(low, high), value| (low.min(value), high.max(value)));
    if low > high { (0.0, 1.0) } else { (low, high) }
}

/// A number with commas between thousands, from five digits on, and a true minus sign.
fn number(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), ""), |(a, b)| (a, b));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 && whole.len() > 4 {
            out.push(',');
        }
        out.push(digit);
    }
    if !rest.is_empty() {
        out = format!("{out}.{rest}");
    }
    let is_zero = text.chars().all(|digit| digit == '0' || digit == '.');
    if value < 0.0 && !is_zero { format!("−{out}") } else { out }
}

/// A number with three significant digits in the shortest form.
pub fn brief(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e7).contains(&size) {
        let text = format!("{value:.0e}");
        return text.replace('-', "−");
    }
    let digits = if size == 0.0 { 0 } else { (2 - size.log10().floor() as i32).clamp(0, 8) };
    let text = number(value, digits as usize);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A part of a scene with axes.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    /// Left, top, width, height of the inside.
    pub frame: [f64; 4],
    /// The scale from left to right.
    pub x: Scale,
    /// The scale from the bottom to the top.
    pub y: Scale,
}

impl Panel {
    /// The position of a point in the scene.
    pub fn at(&self, x: f64, y: f64) -> [f64; 2] {
        let [left, top, width, height] = self.frame;
        [left + width * self.x.share(x), top + height * (1.0 - self.y.share(y))]
    }

    /// Draws a title above the panel.
    pub fn title(&self, scene: &mut Scene, title: &str) {
        let [left, top, width, _] = self.frame;
        // Not beyond the figure either, where its width is known.
        let room = if scene.width > 0.0 { scene.width - left - 4.0 } else { f64::INFINITY };
        let title = font::cut(title, SIZES[0], (width + 40.0).min(room));
        scene.words(title, [left, top - 10.0], Anchor::Start, SIZES[0]);
    }

    /// Draws both axes with grid, ticks and labels.
    pub fn axes(&self, scene: &mut Scene, x_label: &str, y_label: &str) {
        self.x_axis(scene, x_label, &self.x.ticks((self.frame[2] / 75.0) as usize));
        self.y_axis(scene, y_label, &self.y.ticks((self.frame[3] / 50.0) as usize));
    }

    /// Draws the lower axis with these ticks.
    pub fn x_axis(&self, scene: &mut Scene, label: &str, ticks: &[(f64, String)]) {
        let [left, top, width, height] = self.frame;
        let bottom = top + height;
        let mut taken = f64::NEG_INFINITY;
        for (value, text) in ticks {
            let x = left + width * self.x.share(*value);
            scene.line(vec![[x, top], [x, bottom]], Paint::Grid, 1.0);
            // A label that would touch the one before it is left out; its line stays.
            let half = font::width(text, SIZES[2]) / 2.0;
            if x - half > taken + 4.0 {
                scene.words(text, [x, bottom + 19.0], Anchor::Middle, SIZES[2]);
                taken = x + half;
            }
        }
        scene.line(vec![[left, bottom], [left + width, bottom]], Paint::Soft, 1.0);
        scene.words(label, [left + width / 2.0, bottom + 40.0], Anchor::Middle, SIZES[1]);
    }

    /// Draws the left axis with these ticks.
    pub fn y_axis(&self, scene: &mut Scene, label: &str, ticks: &[(f64, String)]) {
        let [left, top, width, height] = self.frame;
        let mut widest = 0.0_f64;
        let mut taken = f64::INFINITY;
        for (value, text) in ticks {
            let y = top + height * (1.0 - self.y.share(*value));
            scene.line(vec![[left, y], [left + width, y]], Paint::Grid, 1.0);
            if y < taken - SIZES[2] {
                scene.words(text, [left - 6.0, y + 5.0], Anchor::End, SIZES[2]);
                widest = widest.max(font::width(text, SIZES[2]));
                taken = y;
            }
        }
        scene.line(vec![[left, top], [left, top + height]], Paint::Soft, 1.0);
        if !label.is_empty() {
            let x = (left - widest - 18.0).max(SIZES[1]);
            scene.upwards(label, [x, top + height / 2.0], SIZES[1]);
        }
    }
}

/// Draws a bar with the colours of a map at the right of a panel.
pub fn color_bar(scene: &mut Scene, frame: [f64; 4], map: Map, scale: Scale, label: &str) {
    let [left, top, width, height] = frame;
    let pixels = (0..=255_u8).rev().collect();
    scene.marks.push(Mark::Image(Image { frame, columns: 1, pixels, map }));
    let mut widest = 0.0_f64;
    for (value, text) in scale.ticks((height / 45.0) as usize) {
        let y = top + height * (1.0 - scale.share(value));
        scene.line(vec![[left + width, y], [left + width + 4.0, y]], Paint::Soft, 1.0);
        scene.words(&text, [left + width + 7.0, y + 5.0], Anchor::Start, SIZES[2]);
        widest = widest.max(font::width(&text, SIZES[2]));
    }
    let x = left + width + 7.0 + widest + 17.0;
    // Beside a low bar there is more space above than below.
    let lowest = top + height - font::width(label, SIZES[1]) / 2.0;
    scene.upwards(label, [x, (top + height / 2.0).min(lowest)], SIZES[1]);
}

/// A name in a legend: its text, its colour and, if it is no line, its shape.
pub struct Entry {
    /// The text.
    pub text: String,
    /// The colour.
    pub paint: Paint,
    /// The mark; `None` for a line.
    pub shape: Option<Shape>,
}

/// Draws the entries in rows; returns the height used.
pub fn legend(scene: &mut Scene, [left, top]: [f64; 2], width: f64, entries: &[Entry]) -> f64 {
    const ROW: f64 = 21.0;
    let (mut x, mut y) = (left, top + SIZES[2]);
    for entry in entries {
        let text = font::cut(&entry.text, SIZES[2], width - 24.0);
        let needed = 20.0 + font::width(&text, SIZES[2]);
        if x > left && x + needed > left + width {
            (x, y) = (left, y + ROW);
        }
        match entry.shape {
            Some(shape) => scene.dots(vec![[x + 7.0, y - 5.0]], shape, 5.0, entry.paint),
            None => scene.line(vec![[x, y - 5.0], [x + 15.0, y - 5.0]], entry.paint, 3.0),
        }
        scene.words(text, [x + 19.0, y], Anchor::Start, SIZES[2]);
        x += needed + 16.0;
    }
    y - top + 8.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick_labels(scale: Scale, most: usize) -> Vec<String> {
        scale.ticks(most).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(tick_labels(Scale::Linear(-0.13, 0.41), 5), ["0.0", "0.2", "0.4"]);
        assert_eq!(
            tick_labels(Scale::Linear(0.0, 11025.0), 4),
            ["0", "5000", "10,000"].map(str::to_owned)
        );
        assert_eq!(
            tick_labels(Scale::Log(0.8, 120.0), 5),
            ["1", "2", "5", "10", "20", "50", "100"]
        );
        assert_eq!(tick_labels(Scale::Linear(-8.0, 3.0), 3), ["−5", "0"]);
    }

    #[test]
    fn axes_of_nothing_and_of_one_number_have_a_width() {
        for values in [vec![], vec![f64::NAN], vec![3.0], vec![0.0, 0.0]] {
            let Scale::Linear(low, high) = Scale::around(values, false) else { panic!("linear") };
            assert!(high > low, "{low} {high}");
        }
    }

    #[test]
    fn numbers_are_brief() {
        let texts = [0.0, 1.0, 0.5, 1234.5, 123_456.0, 2e-6, -0.25, f64::NAN].map(brief);
        assert_eq!(texts, ["0", "1", "0.5", "1234", "123,456", "2e−6", "−0.25", "–"]);
    }
}
