//! The op `disentanglement`: whether single features stand for single factors.

use super::factors::{Factor, factors};
use super::metrics::SCORES;
use super::resamples::numbered;
use crate::math::{contingency::Contingency, folds::stratified_group_k_fold, lasso::Columns};
use crate::measures::{Measure, disentangled};
use crate::memory::{Features, WIDE, whole};
use crate::params::Positive;
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{
    Kind, Shape,
    metric::{CLIPS, Score, artifact, clip_set_digest},
};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Measures whether single features stand for single known factors, as the mutual information gap and as
/// disentanglement, completeness and informativeness (DCI).
///
/// `mig`: for each factor, the mutual information with the feature that tells most of it, less that
/// with the second, as a share of the factor's entropy; then the mean over factors. Features, and
/// factors that are real numbers, are cut into `bins` parts of equal width.
///
/// DCI rests on importances R, the sizes of the weights in a linear regression with an L1 penalty
/// `alpha` of each factor on all features, both scaled to mean 0 and deviation 1; a factor of classes is
/// a target for each class, whose weights are added up. `dci_disentanglement` is 1 − the entropy of a
/// feature's importances over the factors (1: for one factor alone), the features weighted by their
/// importance; `dci_completeness` the same of a factor's over the features; `dci_informativeness` the
/// explained variance of clips in other folds, at least 0, averaged over factors. All clips of a
/// recording (a column `group` of the factors) are in one fold.
///
/// Factors are the columns of text and numbers beside `clip_id` and `group`; a clip without a value is
/// left out of its factor.
///
/// Source: Chen et al. (2018) and Eastwood and Williams (2018), as in Google's disentanglement_lib, with
/// `Lasso` and `mutual_info_score` of scikit-learn 1.9, within 1e-6 for the same folds.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disentanglement {
    /// The factors; all columns if not given.
    #[serde(default)]
    pub factors: Option<Vec<String>>,
    /// Parts into which numbers are cut for `mig`.
    #[serde(default = "twenty")]
    pub bins: NonZeroU32,
    /// The weight of the L1 penalty.
    #[serde(default = "penalty")]
    pub alpha: Positive,
    /// The number of folds, at least 2.
    #[serde(default = "five")]
    pub folds: NonZeroU32,
}

fn twenty() -> NonZeroU32 {
    NonZeroU32::new(20).expect("20 is not 0")
}

fn five() -> NonZeroU32 {
    NonZeroU32::new(5).expect("5 is not 0")
}

fn penalty() -> Positive {
    Positive::try_from(0.02).expect("above 0")
}

impl Op for Disentanglement {
    const NAME: &'static str = "disentanglement";
    const VERSION: u32 = 1;
    const SEEDED: bool = true;
    const METRICS: &'static [Measure] = disentangled::ALL;
    const INPUTS: &'static [Port] = &[
        Port::FEATURES,
        Port::new(
            "factors",
            &[Kind::Labels],
            "The factors of each clip, such as those of `synth_factors`.",
        ),
    ];
    const OUTPUTS: &'static [Port] = &[SCORES];

    fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        if self.folds.get() < 2 {
            return Err(OpError::param("folds", "one fold leaves no clips to learn from"));
        }
        Ok(vec![Shape::of(Kind::Scores)])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        whole(x.bytes + WIDE * (3.0 * x.n * x.width + x.width * x.width))
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.check(&[])?;
        let (ids, features) = inputs.features("features")?;
        let bins = self.bins.get() as usize;
        let (factors, groups) = factors(inputs, ids, self.factors.as_deref(), bins)?;
        let x: Vec<f64> = features.values().iter().map(|value| f64::from(*value)).collect();
        let d = features.width();
        let parts: Vec<Vec<u32>> =
            (0..d).map(|unit| cut(x.iter().skip(unit).step_by(d).copied(), bins)).collect();
        let gaps: Vec<f64> = factors.par_iter().map(|factor| gap(factor, &parts)).collect();
        cx.stop_if_cancelled()?;
        let importance: Vec<Vec<f64>> =
            factors.par_iter().map(|factor| self.importance(factor, &x, d)).collect();
        cx.stop_if_cancelled()?;
        let informed: Vec<f64> = factors
            .par_iter()
            .map(|factor| self.explained(factor, &groups, (&x, d), cx.seed))
            .collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let turned: Vec<Vec<f64>> =
            (0..d).map(|unit| importance.iter().map(|row| row[unit]).collect()).collect();
        let found = [mean(&gaps), focus(&turned), focus(&importance), mean(&informed)];
        let single = [d < 2, factors.len() < 2, d < 2, false];
        let score = |(at, value): (usize, f64)| {
            let what = if at == 1 { "factor" } else { "feature" };
            let note = if single[at] {
                format!("there is one {what}; it needs at least 2")
            } else if value.is_nan() {
                "no factor can be read from the features".to_owned()
            } else {
                String::new()
            };
            let value = if single[at] { f64::NAN } else { value };
            Score { metric: disentangled::ALL[at].metric(), value, note }
        };
        let scores: Vec<Score> = found.into_iter().enumerate().map(score).collect();
        let names: Vec<&str> = factors.iter().map(|factor| factor.name.as_str()).collect();
        let scores = artifact(&scores)
            .with_meta(CLIPS, clip_set_digest(ids.iter().map(String::as_str)))
            .with_meta("factors", names);
        Ok(Outputs::new().with("scores", scores))
    }
}

impl Disentanglement {
    /// The sizes of the weights of all features for a factor.
    fn importance(&self, factor: &Factor, x: &[f64], d: usize) -> Vec<f64> {
        let mut own = factor.rows_of(x, d);
        standardise(&mut own, d);
        let columns = Columns::new(&own, d);
        let mut sizes = vec![0.0; d];
        for mut target in factor.targets() {
            standardise(&mut target, 1);
            let weights = columns.fit(&own, &target, self.alpha.get());
            sizes.iter_mut().zip(weights).for_each(|(size, weight)| *size += weight.abs());
        }
        sizes
    }

    /// The share of a factor's variance that regressions on other folds explain.
    fn explained(
        &self,
        factor: &Factor,
        groups: &[String],
        (x, d): (&[f64], usize),
        seed: u64,
    ) -> f64 {
        let groups: Vec<String> = factor.rows.iter().map(|row| groups[*row].clone()).collect();
        let count = self.folds.get();
        let of = stratified_group_k_fold(&numbered(&groups).0, &factor.parts, count, seed, 0);
        let own = factor.rows_of(x, d);
        let (mut missed, mut all) = (0.0, 0.0);
        let targets: Vec<Vec<f64>> = factor
            .targets()
            .map(|mut target| {
                standardise(&mut target, 1);
                target
            })
            .collect();
        for fold in 0..count {
            let part = |test: bool| {
                let rows =
                    own.chunks_exact(d).zip(&of).filter(move |(_, of)| (**of == fold) == test);
                rows.flat_map(|(row, _)| row.iter().copied()).collect::<Vec<f64>>()
            };
            let (mut train, mut test) = (part(false), part(true));
            if train.is_empty() || test.is_empty() {
                continue;
            }
            let scale = standardise(&mut train, d);
            apply(&mut test, &scale);
            let columns = Columns::new(&train, d);
            for target in &targets {
                let part = |test: bool| {
                    let rows = target.iter().zip(&of).filter(move |(_, of)| (**of == fold) == test);
                    rows.map(|(value, _)| *value).collect::<Vec<f64>>()
                };
                let (mut known, hidden) = (part(false), part(true));
                let scale = standardise(&mut known, 1);
                let weights = columns.fit(&train, &known, self.alpha.get());
                for (row, value) in test.chunks_exact(d).zip(hidden) {
                    let made: f64 = row.iter().zip(&weights).map(|(x, w)| x * w).sum();
                    missed += (made * scale[0][1] + scale[0][0] - value).powi(2);
                    all += value * value;
                }
            }
        }
        if all > 0.0 { (1.0 - missed / all).max(0.0) } else { 0.0 }
    }
}

/// The mutual information gap of a factor, as a share of its entropy.
fn gap(factor: &Factor, features: &[Vec<u32>]) -> f64 {
    let told = |parts: &Vec<u32>| {
        let own: Vec<u32> = factor.rows.iter().map(|row| parts[*row]).collect();
        Contingency::new(&factor.parts, &own).mutual_information()
    };
    let mut told: Vec<f64> = features.iter().map(told).collect();
    told.sort_by(|a, b| b.total_cmp(a));
    let entropy = Contingency::new(&factor.parts, &factor.parts).mutual_information();
    let second = told.get(1).copied().unwrap_or(0.0);
    if entropy > 0.0 { (told[0] - second) / entropy } else { 0.0 }
}

/// 1 − the entropy of each row's shares to the base of its length, weighted by the rows' sums.
fn focus(rows: &[Vec<f64>]) -> f64 {
    let all: f64 = rows.iter().flatten().sum();
    let base = rows.first().map_or(1.0, |row| row.len() as f64).ln();
    let of = |row: &Vec<f64>| {
        let sum: f64 = row.iter().sum();
        let shares = row.iter().map(|value| value / sum).filter(|share| *share > 0.0);
        let entropy: f64 = shares.map(|share| -share * share.ln()).sum();
        if sum > 0.0 { (1.0 - entropy / base) * sum / all } else { 0.0 }
    };
    if all > 0.0 { rows.iter().map(of).sum() } else { f64::NAN }
}

/// Numbers cut into parts of equal width between their ends.
pub(super) fn cut(values: impl Iterator<Item = f64> + Clone, bins: usize) -> Vec<u32> {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let most = values.clone().fold(f64::NEG_INFINITY, f64::max);
    // As NumPy does: without a range, half of one on each side.
    let (least, most) = if most > least { (least, most) } else { (least - 0.5, most + 0.5) };
    let edges: Vec<f64> =
        (0..bins).map(|at| least + (most - least) / bins as f64 * at as f64).collect();
    values.map(|value| edges.partition_point(|edge| *edge <= value).max(1) as u32 - 1).collect()
}

/// Scales columns to mean 0 and deviation 1, constant ones to 0; their means and deviations.
fn standardise(x: &mut [f64], d: usize) -> Vec<[f64; 2]> {
    let n = (x.len() / d) as f64;
    let of = |column: usize| {
        let values = || x.iter().skip(column).step_by(d);
        let mean = values().sum::<f64>() / n;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
        let deviation = variance.sqrt();
        [mean, if deviation > 1e-12 * mean.abs().max(1e-300) { deviation } else { 1.0 }]
    };
    let scale: Vec<[f64; 2]> = (0..d).map(of).collect();
    apply(x, &scale);
    scale
}

fn apply(x: &mut [f64], scale: &[[f64; 2]]) {
    for row in x.chunks_exact_mut(scale.len()) {
        row.iter_mut().zip(scale).for_each(|(value, [mean, by])| *value = (*value - mean) / by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Detached, metrics::gaussian_reference::points};
    use cache::{Artifact, Table};

    /// Scores of features for two factors: a class and a number.
    fn scores(features: impl Fn(f64, f64) -> [f64; 2]) -> Vec<f64> {
        let ids: Vec<String> = (0..120).map(|clip| clip.to_string()).collect();
        let class = |clip: usize| clip % 2;
        let number = |clip: usize| (clip / 2 % 30) as f64;
        let row = |clip| features(class(clip) as f64, number(clip)).map(|value| value as f32);
        let x = points(&ids, 2, (0..120).flat_map(row).collect());
        let table = Table::new()
            .with_text("clip_id", ids)
            .with_text("label", (0..120).map(|clip| ["a", "b"][class(clip)]))
            .with_reals("number", (0..120).map(number).collect());
        let factors = Artifact::table(Kind::Labels, table);
        let op: Disentanglement = serde_json::from_value(serde_json::json!({})).unwrap();
        let inputs = Inputs::new().with("features", &x).with("factors", &factors);
        let made = op.run(&inputs, &Detached::with_seed(0)).unwrap();
        let table = made.get("scores").and_then(Artifact::as_table).unwrap();
        table.reals("value").unwrap().to_vec()
    }

    #[test]
    fn a_feature_for_each_factor_is_disentangled_and_a_rotation_is_not() {
        let apart = scores(|class, number| [class, number / 10.0]);
        assert!(apart.iter().all(|value| *value > 0.97), "{apart:?}");
        let mixed = scores(|class, number| {
            let (a, b) = (class - 0.5, number / 17.0 - 0.85);
            [a + b, a - b]
        });
        assert!(mixed[0] < 0.2 && mixed[1] < 0.1 && mixed[2] < 0.1, "{mixed:?}");
        assert!(mixed[3] > 0.95, "{mixed:?}");
    }
}
