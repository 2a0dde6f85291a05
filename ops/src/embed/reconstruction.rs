//! The op `reconstruction`: spectrograms and their reconstructions by a model.

use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Array, Artifact, Kind, Meta, Shape, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, num::NonZeroU32};

/// Pairs of original and reconstructed spectrograms in the unit of the original, such as dB.
///
/// A model reconstructs features that were scaled before. This op brings some of its
/// reconstructions back: the map from the scaled original to the spectrogram is affine, and is
/// found by least squares from the originals themselves: one for all, else one a clip, else one a bin.
/// If none of them fits, within 0.001 of the range, the spectrogram is not the one that was scaled.
///
/// The output has `clip_id`, `features` (the reconstruction), `original`, and `rmse`, the root of
/// the mean squared difference of a pair; the metadata are those of the spectrogram: sample rate, hop
/// length and frequency limits for the axes, and the unit.
///
/// Source: NumPy's `polyfit` of degree 1.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconstruction {
    /// The number of pairs, evenly spaced over those the model gives.
    #[serde(default = "default_examples")]
    pub examples: NonZeroU32,
}

fn default_examples() -> NonZeroU32 {
    NonZeroU32::new(4).expect("4 is not 0")
}

impl Op for Reconstruction {
    const NAME: &'static str = "reconstruction";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[
        Port::new(
            "reconstruction",
            &[Kind::Spectrogram],
            "the port `reconstruction` of a model: `features` and `original`",
        ),
        Port::new("spectrogram", &[Kind::Spectrogram], "the clips before they were scaled"),
    ];
    const OUTPUTS: &'static [Port] = &[Port::new(
        "pairs",
        &[Kind::Spectrogram],
        "reconstruction and original of some clips, in the unit of the spectrogram",
    )];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let row = |at: usize| inputs.get(at).and_then(Option::as_ref).and_then(|it| it.row.clone());
        if let (Some(made), Some(of)) = (row(0), row(1))
            && made != of
        {
            return Err(other_images(&made, &of));
        }
        Ok(vec![Shape::of(Kind::Spectrogram).with_row(row(0).or_else(|| row(1)))])
    }

    fn run(&self, inputs: &Inputs<'_>, _cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, made) = inputs.features("reconstruction")?;
        let scaled = inputs.table("reconstruction")?.array("original").ok_or_else(|| {
            OpError::data("port `reconstruction` has no column `original`")
                .help("connect the port `reconstruction` of a model")
        })?;
        let (known, spectrogram) = inputs.features("spectrogram")?;
        for other in [scaled, spectrogram] {
            if other.shape() != made.shape() {
                return Err(other_images(made.shape(), other.shape()));
            }
        }
        let rows: HashMap<_, _> = known.iter().zip(0..).collect();
        let own = |id: &String| {
            rows.get(id).copied().ok_or_else(|| {
                OpError::data(format!("clip `{id}` is missing at port `spectrogram`"))
                    .help("connect the spectrograms the model's features were made from")
            })
        };
        let own: Vec<usize> = ids.iter().map(own).collect::<Result<_, _>>()?;
        let originals: Vec<&[f32]> = own.iter().map(|&row| spectrogram.row(row)).collect();
        let scales = Scales::of(scaled, &originals).ok_or_else(|| {
            OpError::data("the spectrogram is not the one the model's features were scaled from")
                .help("connect the input of the step that scaled them")
        })?;
        let count = ids.len().min(self.examples.get() as usize);
        let chosen: Vec<usize> = (0..count).map(|i| i * ids.len() / count).collect();
        let back: Vec<Vec<f32>> =
            chosen.iter().map(|&row| scales.back(made.row(row), row)).collect();
        let rmse = back.iter().zip(&chosen).map(|(back, &row)| {
            let pairs = back.iter().zip(originals[row]);
            let sum: f64 = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            (sum / back.len() as f64).sqrt()
        });
        let rmse = rmse.collect();
        let table = Table::new()
            .with_text("clip_id", chosen.iter().map(|&row| ids[row].as_str()))
            .with_array("features", made.shape(), back.concat())
            .with_array(
                "original",
                made.shape(),
                chosen.iter().flat_map(|&row| originals[row]).copied().collect(),
            )
            .with_reals("rmse", rmse);
        let mut pairs = Artifact::table(Kind::Spectrogram, table);
        pairs.meta = Meta::clone(&inputs.get("spectrogram")?.meta);
        Ok(Outputs::new().with("pairs", pairs.with_meta("scale", scales.name())))
    }
}

fn other_images(made: &[usize], of: &[usize]) -> OpError {
    OpError::data(format!("images of {made:?} numbers cannot be brought back to {of:?}"))
        .help("connect the spectrograms the model's features were made from")
}

/// The line slope · x + offset.
#[derive(Clone, Copy)]
struct Line {
    slope: f64,
    offset: f64,
}

/// The inverse of a scaling.
enum Scales {
    One(Line),
    PerClip(Vec<Line>),
    PerBin(Vec<Line>),
}

/// The largest error of a fit, relative to the range of the originals.
const SLACK: f64 = 1e-3;

impl Scales {
    /// The simplest inverse that fits.
    fn of(scaled: &Array, originals: &[&[f32]]) -> Option<Self> {
        let width = scaled.width();
        let row = |row: usize| scaled.row(row).iter().copied().zip(originals[row].iter().copied());
        let all = || originals.iter().flat_map(|row| row.iter());
        let high = all().fold(f32::MIN, |high, &x| high.max(x));
        let low = all().fold(f32::MAX, |low, &x| low.min(x));
        let slack = SLACK * (f64::from(high) - f64::from(low)).max(f64::MIN_POSITIVE);
        let one = fit((0..originals.len()).flat_map(row), slack).map(Scales::One);
        let clips = || (0..originals.len()).map(|at| fit(row(at), slack)).collect::<Option<_>>();
        let bin = |bin: usize| {
            let pairs = (0..originals.len()).map(move |row| (row, bin));
            pairs.map(|(row, bin)| (scaled.row(row)[bin], originals[row][bin]))
        };
        let bins = || (0..width).map(|at| fit(bin(at), slack)).collect::<Option<_>>();
        one.or_else(|| clips().map(Scales::PerClip)).or_else(|| bins().map(Scales::PerBin))
    }

    fn name(&self) -> &'static str {
        match self {
            Scales::One(_) => "global",
            Scales::PerClip(_) => "per_clip",
            Scales::PerBin(_) => "per_bin",
        }
    }

    /// The values of a row in the unit of the originals.
    fn back(&self, values: &[f32], row: usize) -> Vec<f32> {
        let line = |bin: usize| match self {
            Scales::One(line) => line,
            Scales::PerClip(lines) => &lines[row],
            Scales::PerBin(lines) => &lines[bin],
        };
        let value = |(bin, &x): (usize, &f32)| {
            let line = line(bin);
            (line.slope * f64::from(x) + line.offset) as f32
        };
        values.iter().enumerate().map(value).collect()
    }
}

/// The line through pairs with an error of at most `slack` for each.
fn fit(pairs: impl Iterator<Item = (f32, f32)> + Clone, slack: f64) -> Option<Line> {
    let pairs = pairs.map(|(x, y)| (f64::from(x), f64::from(y)));
    let n = pairs.clone().count() as f64;
    let (x, y) = pairs.clone().fold((0.0, 0.0), |sums, (x, y)| (sums.0 + x / n, sums.1 + y / n));
    let moments = |(xx, xy): (f64, f64), (own_x, own_y): (f64, f64)| {
        (xx + (own_x - x).powi(2), xy + (own_x - x) * (own_y - y))
    };
    let (xx, xy) = pairs.clone().fold((0.0, 0.0), moments);
    let slope = if xx > 0.0 { xy / xx } else { 0.0 };
    let line = Line { slope, offset: y - slope * x };
    let fits = |(x, y): (f64, f64)| (line.slope * x + line.offset - y).abs() <= slack;
    pairs.clone().all(fits).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detached;
    use crate::math::random::{Purpose, Random};
    use serde_json::json;

    /// Decibels of six clips, and the same after `normalize` with these parameters.
    fn scaled(params: serde_json::Value) -> (Artifact, Artifact) {
        let mut random = Random::new(1, Purpose::Null, 0);
        let values = (0..6 * 12).map(|at| (-40.0 + 9.0 * random.normal() + at as f64) as f32);
        let table = Table::new()
            .with_text("clip_id", (0..6).map(|row| format!("c{row}")))
            .with_array("features", [3, 4], values.collect());
        let decibels = Artifact::table(Kind::Spectrogram, table).with_meta("hop_length", 512);
        let op = crate::find("normalize").unwrap().parse(params).unwrap();
        let made = op.run(&Inputs::new().with("features", &decibels), &Detached::with_seed(0));
        let features = made.unwrap().get("features").unwrap().clone();
        (decibels, features)
    }

    /// A model that returns its input, with the first value of each clip halved.
    fn model(features: &Artifact) -> Artifact {
        let table = features.as_table().unwrap();
        let original = table.array("features").unwrap();
        let mut made = original.values().to_vec();
        made.iter_mut().step_by(12).for_each(|x| *x *= 0.5);
        let table = Table::new()
            .with_text("clip_id", table.text("clip_id").unwrap())
            .with_array("features", [3, 4], made)
            .with_array("original", [3, 4], original.values().to_vec());
        Artifact::table(Kind::Spectrogram, table)
    }

    #[test]
    fn any_scale_is_undone() {
        for scope in ["global", "per_clip", "per_bin"] {
            for method in ["z_score", "min_max"] {
                let (decibels, features) = scaled(json!({ "scope": scope, "method": method }));
                let model = model(&features);
                let inputs =
                    Inputs::new().with("reconstruction", &model).with("spectrogram", &decibels);
                let op = Reconstruction { examples: NonZeroU32::new(3).unwrap() };
                let made = op.run(&inputs, &Detached::with_seed(0)).unwrap();
                let pairs = made.get("pairs").unwrap();
                assert_eq!(pairs.meta["scale"], scope);
                assert_eq!(pairs.meta["hop_length"], 512);
                let table = pairs.as_table().unwrap();
                assert_eq!(table.text("clip_id").unwrap(), ["c0", "c2", "c4"]);
                let (back, original) =
                    (table.array("features").unwrap(), table.array("original").unwrap());
                let all = decibels.as_table().unwrap().array("features").unwrap();
                for row in 0..3 {
                    assert_eq!(original.row(row), all.row(2 * row));
                    let pairs = back.row(row).iter().zip(original.row(row)).skip(1);
                    assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 0.01), "{scope} {method}");
                    let first = back.row(row)[0] - original.row(row)[0];
                    let rmse = table.reals("rmse").unwrap()[row];
                    assert!((rmse - f64::from(first.abs()) / 12_f64.sqrt()).abs() < 0.01);
                }
            }
        }
    }

    #[test]
    fn other_spectrograms_are_refused() {
        let (_, features) = scaled(json!({}));
        let table = Table::new()
            .with_text("clip_id", (0..6).map(|row| format!("c{row}")))
            .with_array("features", [3, 4], (0..72).map(|at| (at % 7 * at) as f32).collect());
        let other = Artifact::table(Kind::Spectrogram, table);
        let model = model(&features);
        let inputs = Inputs::new().with("reconstruction", &model).with("spectrogram", &other);
        let op = Reconstruction { examples: default_examples() };
        assert!(op.run(&inputs, &Detached::with_seed(0)).unwrap_err().message.contains("scaled"));
    }
}
