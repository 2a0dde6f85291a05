//! Spectrograms above their reconstructions by a model.

use super::{
    Drawn,
    source::{Input, Source},
};
use crate::draw::{
    Anchor, Image, Map, Mark, Panel, Scale, Scene, axis::color_bar, font, scene::SIZES,
};
use std::collections::HashMap;

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let of = source.one("of")?;
    let table = of.table()?;
    let (Some(made), Some(original)) = (table.array("features"), table.array("original")) else {
        return Err(format!("`{}.{}` holds no originals to hold beside", of.step, of.port));
    };
    let &[bands, frames] = made.shape() else {
        return Err("its clips are not images of bands and frames".to_owned());
    };
    let clips = of.text("clip_id")?;
    let shown = source.count("clips", 4).min(clips.len());
    // Evenly spaced among the clips that were kept.
    let chosen: Vec<usize> = (0..shown).map(|at| at * clips.len() / shown).collect();
    let level = Level::of(source, original.width(), |at| original.row(at), clips, &chosen)?;
    let values =
        |row: &[f32]| row.iter().map(|value| level.of_value(f64::from(*value))).collect::<Vec<_>>();
    let pairs: Vec<[Vec<f64>; 2]> =
        chosen.iter().map(|&at| [values(original.row(at)), values(made.row(at))]).collect();
    let scale = level.scale(pairs.iter().flat_map(|[original, _]| original));

    let axes = Axes::of(of, bands, frames);
    let (left, top, gap) = (78.0, 28.0, 14.0);
    let (width, height) = (150.0 * source.stretch[0], 170.0 * source.stretch[1]);
    let mut scene = Scene::new(
        left + shown as f64 * (width + gap) + 96.0,
        top + 2.0 * height + gap + 56.0,
        source.title("Original and reconstructed spectrograms"),
    );
    for (column, (pair, &clip)) in pairs.iter().zip(&chosen).enumerate() {
        let x = left + column as f64 * (width + gap);
        // Of a long path, the end tells clips apart.
        let name = match &clips[clip] {
            whole if font::width(whole, SIZES[2]) <= width => whole.as_str(),
            whole => whole.rsplit('/').next().unwrap_or_default(),
        };
        let name = font::cut(name, SIZES[2], width);
        scene.words(name, [x, top - 10.0], Anchor::Start, SIZES[2]);
        for (row, values) in pair.iter().enumerate() {
            let frame = [x, top + row as f64 * (height + gap), width, height];
            let pixels = pixels(values, bands, frames, scale);
            axes.ticks(&mut scene, frame, column == 0, row == 1);
            scene.marks.push(Mark::Image(Image {
                frame,
                columns: frames,
                pixels,
                map: Map::Viridis,
            }));
        }
    }
    for (row, name) in ["original", "reconstructed"].iter().enumerate() {
        let middle = top + row as f64 * (height + gap) + height / 2.0;
        scene.upwards(format!("{name}, {}", axes.y_unit), [16.0, middle], SIZES[2]);
    }
    let middle = left + shown as f64 * (width + gap) / 2.0;
    scene.words(axes.x_label, [middle, scene.height - 8.0], Anchor::Middle, SIZES[1]);
    let bar = [left + shown as f64 * (width + gap) + 4.0, top, 14.0, 2.0 * height + gap];
    color_bar(&mut scene, bar, Map::Viridis, scale, level.unit);
    let shown_scene = scene;
    Ok(Drawn {
        caption: format!(
            "Above the clips as they went into {}, below what comes out of it, in the same colours. What the lower row \
             lacks, the latent does not carry: often fine harmonics and onsets. {}",
            of.name(),
            level.remark
        ),
        scene: shown_scene,
        points: None,
    })
}

/// The mapping from numbers to levels, in decibels if the scaling can be inverted.
struct Level {
    factor: f64,
    offset: f64,
    unit: &'static str,
    remark: &'static str,
}

impl Level {
    fn of<'a>(
        source: &Source<'_>,
        width: usize,
        original: impl Fn(usize) -> &'a [f32],
        clips: &[String],
        chosen: &[usize],
    ) -> Result<Self, String> {
        let scaled = Self {
            factor: 1.0,
            offset: 0.0,
            unit: "level, as normalised",
            remark: "Levels are those the model sees, after normalisation.",
        };
        let Ok(before) = source.one("decibels") else { return Ok(scaled) };
        let features = before.table()?.array("features").filter(|it| it.width() == width);
        let features = features.ok_or("`decibels` holds images of another size")?;
        let place: HashMap<&String, usize> =
            before.text("clip_id")?.iter().enumerate().map(|(at, clip)| (clip, at)).collect();
        // The regression line through all pairs of a scaled level and one in decibels.
        let pairs = chosen
            .iter()
            .filter_map(|&at| Some((original(at), features.row(*place.get(&clips[at])?))));
        let pairs: Vec<(f64, f64)> = pairs
            .flat_map(|(scaled, decibels)| scaled.iter().zip(decibels))
            .map(|(scaled, decibels)| (f64::from(*scaled), f64::from(*decibels)))
            .collect();
        let n = pairs.len().max(1) as f64;
        let (mx, my) =
            pairs.iter().fold((0.0, 0.0), |(x, y), pair| (x + pair.0 / n, y + pair.1 / n));
        let xx: f64 = pairs.iter().map(|(x, _)| (x - mx).powi(2)).sum();
        let xy: f64 = pairs.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
        let factor = xy / xx;
        let offset = my - factor * mx;
        let worst = pairs.iter().map(|(x, y)| (factor * x + offset - y).abs()).fold(0.0, f64::max);
        // The error is NaN if the levels do not vary.
        if worst.is_nan() || worst > 0.1 || pairs.is_empty() {
            // Each bin or clip has its own scale, so no single line inverts it.
            return Ok(scaled);
        }
        Ok(Self { factor, offset, unit: "dB", remark: "" })
    }

    fn of_value(&self, value: f64) -> f64 {
        self.factor * value + self.offset
    }

    /// The scale from the 2nd percentile to the loudest level.
    fn scale<'a>(&self, values: impl Iterator<Item = &'a f64>) -> Scale {
        let mut values: Vec<f64> = values.copied().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (Some(&high), n) = (values.last(), values.len()) else {
            return Scale::Linear(0.0, 1.0);
        };
        let low = values[n / 50];
        if high > low { Scale::Linear(low, high) } else { Scale::Linear(low - 1.0, high + 1.0) }
    }
}

/// The pixel rows from the top, the highest band first.
fn pixels(values: &[f64], bands: usize, frames: usize, scale: Scale) -> Vec<u8> {
    let step = |value: f64| (scale.share(value).clamp(0.0, 1.0) * 255.0).round() as u8;
    (0..bands)
        .rev()
        .flat_map(|band| (0..frames).map(move |frame| band * frames + frame))
        .map(|at| step(values[at]))
        .collect()
}

/// The units of bands and frames.
struct Axes {
    x: Vec<(f64, String)>,
    y: Vec<(f64, String)>,
    x_label: &'static str,
    y_unit: &'static str,
}

impl Axes {
    fn of(of: &Input, bands: usize, frames: usize) -> Self {
        let facts = ["sample_rate", "hop_length", "fmin", "fmax"].map(|name| of.fact(name));
        let [Some(rate), Some(hop), Some(fmin), Some(fmax)] = facts else {
            let ticks = |n: usize| {
                Scale::Linear(0.0, n as f64)
                    .ticks(3)
                    .into_iter()
                    .map(|(at, text)| (at / n as f64, text))
                    .collect()
            };
            return Self { x: ticks(frames), y: ticks(bands), x_label: "frame", y_unit: "band" };
        };
        let seconds = frames as f64 * hop / rate;
        let time = Scale::Linear(0.0, seconds).ticks(3);
        // The centre of a band lies on the Mel scale between both ends.
        let (low, high) = (mel(fmin), mel(fmax));
        let share =
            |hz: f64| ((mel(hz) - low) / (high - low) * (bands + 1) as f64 - 0.5) / bands as f64;
        let hz = [128.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0];
        let hz = hz.into_iter().filter(|hz| (0.0..=1.0).contains(&share(*hz)));
        Self {
            x: time.into_iter().map(|(at, text)| (at / seconds, text)).collect(),
            y: hz.map(|hz| (share(hz), format!("{hz}"))).collect(),
            x_label: "time, s",
            y_unit: "Hz (Mel)",
        }
    }

    fn ticks(&self, scene: &mut Scene, frame: [f64; 4], is_left: bool, is_lowest: bool) {
        let panel = Panel { frame, x: Scale::Linear(0.0, 1.0), y: Scale::Linear(0.0, 1.0) };
        if is_left {
            panel.y_axis(scene, "", &self.y);
        }
        if is_lowest {
            panel.x_axis(scene, "", &self.x);
        }
    }
}

/// Slaney's Mel scale.
fn mel(hz: f64) -> f64 {
    if hz < 1000.0 { hz * 3.0 / 200.0 } else { 15.0 + (hz / 1000.0).ln() * 27.0 / 6.4_f64.ln() }
}
