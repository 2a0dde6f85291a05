//! The op `probe`: how well classes can be read from features.

use super::confounds::{RECORDING, columns};
use super::metrics::{SCORES, labels_of};
use super::resamples::{self, numbered};
use crate::math::{
    bootstrap::Recordings, contingency::by_first_appearance, folds::stratified_group_k_fold,
    logistic, neighbors::nearest_to,
};
use crate::measures::{Measure, probes};
use crate::memory::{Features, WIDE, whole};
use crate::params::Positive;
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{
    Artifact, Kind, Shape, Table,
    metric::{CLIPS, Score, TRUTH, artifact, clip_set_digest, labelled_set_digest},
};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Scores how well the classes can be predicted from features: it tells a bad representation from a bad clustering.
///
/// Two classifiers predict the class of each clip from clips of other folds: the commonest class of
/// the `neighbors` nearest clips (of equally common ones the first by name), and multinomial logistic
/// regression with an L2 penalty. Features are scaled by mean and deviation of the training folds
/// where `scale` is true. `accuracy` is the share of clips whose class is predicted; `macro_f1` the
/// mean over the classes of 2tp / (2tp + fp + fn).
///
/// All clips of a recording are in one fold. The scores `…_random` put clips into folds at random,
/// as if they were independent: what they have more is recognised recordings, not classes. With
/// labels that do not name recordings (a column `group`) there are only these.
/// `majority_accuracy` is what calling every clip by the commonest class reaches. `resamples` holds
/// the scores for resampled recordings as `bootstrap` draws them, for their intervals in the report;
/// the predictions stay as they are.
///
/// Source: `KNeighborsClassifier`, `LogisticRegression`, `StandardScaler`, `f1_score(average="macro")`
/// of scikit-learn 1.9, within 1e-6 for the same folds.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The number of neighbours that vote.
    #[serde(default = "five")]
    pub neighbors: NonZeroU32,
    /// The number of folds, at least 2.
    #[serde(default = "five")]
    pub folds: NonZeroU32,
    /// The inverse strength C of the penalty of logistic regression.
    #[serde(default = "default_c")]
    pub c: Positive,
    /// Scales features to mean 0 and deviation 1.
    #[serde(default = "yes")]
    pub scale: bool,
}

fn five() -> NonZeroU32 {
    NonZeroU32::new(5).expect("5 is not 0")
}

fn default_c() -> Positive {
    Positive::try_from(1.0).expect("1 is above 0")
}

fn yes() -> bool {
    true
}

/// The number of draws of recordings.
const DRAWS: u32 = 2000;

/// The largest entry of the gradient, for each clip, at which logistic regression ends.
pub(super) const TOL: f64 = 1e-7;

/// The most steps of logistic regression.
pub(super) const MAX_ITER: usize = 1000;

impl Op for Probe {
    const NAME: &'static str = "probe";
    const VERSION: u32 = 1;
    const SEEDED: bool = true;
    const METRICS: &'static [Measure] = probes::ALL;
    const INPUTS: &'static [Port] = &[
        Port::FEATURES,
        Port::new("truth", &[Kind::Labels], "The class of each clip, and its recording."),
    ];
    const OUTPUTS: &'static [Port] = &[
        SCORES,
        Port::new("resamples", &[Kind::Resamples], "One row a draw: part, and the metrics."),
        Port::new(
            "predictions",
            &[Kind::Labels],
            "The class that logistic regression predicts for each clip.",
        ),
    ];

    fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        if self.folds.get() < 2 {
            return Err(OpError::param("folds", "one fold leaves no clips to learn from"));
        }
        Ok([Kind::Scores, Kind::Resamples, Kind::Labels].map(Shape::of).to_vec())
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        whole(x.bytes + 3.0 * WIDE * x.n * x.width)
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.check(&[])?;
        let (ids, features) = inputs.features("features")?;
        let truth = labels_of(inputs, "truth", "features", ids)?;
        let rows: Vec<usize> = (0..ids.len()).filter(|row| !truth[*row].is_empty()).collect();
        let ids: Vec<&str> = rows.iter().map(|row| ids[*row].as_str()).collect();
        let truth: Vec<&str> = rows.iter().map(|row| truth[*row].as_str()).collect();
        let mut names = truth.clone();
        names.sort_unstable();
        names.dedup();
        if names.len() < 2 {
            return Err(OpError::data(
                "there is one class or none, and a probe tells classes apart",
            )
            .help("connect labels of two classes or more"));
        }
        if rows.len() < self.folds.get() as usize {
            let message = format!("{} clips cannot make {} folds", rows.len(), self.folds);
            return Err(OpError::param("folds", message));
        }
        let number = |name: &&str| names.binary_search(name).expect("one of the names") as u32;
        let x: Vec<f64> =
            rows.iter().flat_map(|row| features.row(*row)).map(|it| f64::from(*it)).collect();
        let data = Data {
            width: features.width(),
            classes: truth.iter().map(number).collect(),
            n_classes: names.len(),
            x,
        };
        let singles: Vec<u32> = (0..rows.len() as u32).collect();
        let columns = columns(inputs, &ids)?;
        let groups = columns.iter().find(|column| column.name == RECORDING);
        let groups = groups.map(|column| numbered(&column.cells));
        let random = self.predict(&data, &singles, 1, cx)?;
        let known = groups.as_ref().filter(|(_, named)| named.len() >= self.folds.get() as usize);
        let own = known.map(|(groups, _)| self.predict(&data, groups, 0, cx)).transpose()?;
        let note = match (&groups, &own) {
            (None, _) => "the recordings of the clips are not known".to_owned(),
            (Some((_, named)), None) => {
                format!("{} recordings cannot make {} folds", named.len(), self.folds)
            }
            _ => String::new(),
        };
        let score = |predicted: &[Vec<u32>; 2]| -> Vec<f64> {
            let counts = |predicted: &Vec<u32>| {
                Counts::of(
                    data.classes.iter().zip(predicted).map(|(a, b)| (*a, *b, 1)),
                    data.n_classes,
                )
            };
            predicted.iter().map(counts).flat_map(|it| [it.accuracy(), it.macro_f1()]).collect()
        };
        let mut values = own.as_ref().map_or_else(|| vec![f64::NAN; 4], &score);
        values.extend(score(&random));
        let most = (0..data.n_classes as u32)
            .map(|class| data.classes.iter().filter(|own| **own == class).count())
            .max();
        values.push(most.unwrap_or(0) as f64 / rows.len() as f64);
        let scores: Vec<Score> = probes::ALL
            .iter()
            .zip(values)
            .map(|(measure, value)| Score {
                metric: measure.metric(),
                value,
                note: if value.is_nan() { note.clone() } else { String::new() },
            })
            .collect();
        let scores = artifact(&scores)
            .with_meta(CLIPS, clip_set_digest(ids.iter().copied()))
            .with_meta(TRUTH, labelled_set_digest(ids.iter().copied().zip(truth.iter().copied())));
        let names_of = groups.as_ref().map(|(_, named)| &named[..]);
        let of = groups.as_ref().map_or(&[][..], |(of, _)| of);
        let predictions = own.as_ref().unwrap_or(&random);
        let both = predictions.each_ref().map(|it| Recordings::new(of, &data.classes, it));
        let measure = |times: &[u32]| {
            let counts = both.each_ref().map(|it| Counts::of(it.cells(times), data.n_classes));
            let [knn, logistic] = counts;
            vec![knn.accuracy(), knn.macro_f1(), logistic.accuracy(), logistic.macro_f1()]
        };
        let metrics: Vec<&str> = probes::ALL[..4].iter().map(|it| it.name).collect();
        let resamples = resamples::artifact(&metrics, rows.len(), names_of, DRAWS, measure, cx)?;
        let predictions = Table::new()
            .with_text("clip_id", ids)
            .with_text("label", predictions[1].iter().map(|class| names[*class as usize]));
        Ok(Outputs::new()
            .with("scores", scores)
            .with("resamples", resamples)
            .with("predictions", Artifact::table(Kind::Labels, predictions)))
    }
}

/// Labelled points.
struct Data {
    x: Vec<f64>,
    width: usize,
    classes: Vec<u32>,
    n_classes: usize,
}

impl Probe {
    /// The classes that both classifiers predict for each point from the other folds.
    fn predict(
        &self,
        data: &Data,
        groups: &[u32],
        index: u32,
        cx: &Ctx<'_>,
    ) -> Result<[Vec<u32>; 2], OpError> {
        let count = self.folds.get();
        let of = stratified_group_k_fold(groups, &data.classes, count, cx.seed, index);
        let mut predicted = [vec![0; of.len()], vec![0; of.len()]];
        for fold in 0..count {
            cx.stop_if_cancelled()?;
            let is_test: Vec<bool> = of.iter().map(|own| *own == fold).collect();
            let [knn, logistic] = self.of_fold(data, &is_test, cx)?;
            let test = (0..of.len()).filter(|row| is_test[*row]);
            for ((row, knn), logistic) in test.zip(knn).zip(logistic) {
                (predicted[0][row], predicted[1][row]) = (knn, logistic);
            }
            cx.progress.at(u64::from(fold) + 1, u64::from(count), "fold");
        }
        Ok(predicted)
    }

    fn of_fold(
        &self,
        data: &Data,
        is_test: &[bool],
        cx: &Ctx<'_>,
    ) -> Result<[Vec<u32>; 2], OpError> {
        let d = data.width;
        let part = |wanted: bool| {
            let rows = data.x.chunks_exact(d).zip(is_test).filter(move |(_, own)| **own == wanted);
            rows.flat_map(|(row, _)| row.iter().copied()).collect::<Vec<f64>>()
        };
        let (mut train, mut test) = (part(false), part(true));
        if self.scale {
            scale(&mut train, &mut test, d);
        }
        let classes = data.classes.iter().zip(is_test).filter(|(_, own)| !**own);
        let classes: Vec<u32> = classes.map(|(class, _)| *class).collect();
        if train.is_empty() || test.is_empty() {
            return Ok([Vec::new(), Vec::new()]);
        }
        let cancelled = || cx.cancel.is_cancelled();
        let votes = (self.neighbors.get() as usize).min(classes.len());
        let near =
            nearest_to(&test, &train, d, votes, &cancelled).ok_or_else(OpError::cancelled)?;
        let vote = |near: Vec<u32>| {
            let mut counts = vec![0; data.n_classes];
            near.iter().for_each(|at| counts[classes[*at as usize] as usize] += 1);
            first_largest(&counts)
        };
        let knn = near.into_iter().map(vote).collect();
        // Classes that no training fold has cannot be predicted.
        let (numbers, known) = by_first_appearance(&classes);
        let limits = (self.c.get(), TOL, MAX_ITER);
        let model = logistic::fit(&train, d, &numbers, known.len(), limits, &cancelled);
        let model = model.ok_or_else(OpError::cancelled)?;
        let predict = |point: &[f64]| {
            let found = model.probabilities(point);
            let best = (0..found.len()).max_by(|a, b| found[*a].total_cmp(&found[*b]));
            known[best.unwrap_or(0)]
        };
        Ok([knn, test.par_chunks(d).map(predict).collect()])
    }
}

/// The first of the classes with the largest count.
fn first_largest(counts: &[usize]) -> u32 {
    (0..counts.len()).rev().max_by_key(|at| counts[*at]).unwrap_or(0) as u32
}

/// Scales both by the means and deviations of the first; constant columns are only centred.
pub(super) fn scale(train: &mut [f64], test: &mut [f64], d: usize) {
    let n = (train.len() / d) as f64;
    for column in 0..d {
        let values = || train.iter().skip(column).step_by(d);
        let mean = values().sum::<f64>() / n;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
        let deviation = if variance.sqrt() > 1e-12 * mean.abs() { variance.sqrt() } else { 1.0 };
        for values in [&mut *train, &mut *test] {
            let column = values.iter_mut().skip(column).step_by(d);
            column.for_each(|value| *value = (*value - mean) / deviation);
        }
    }
}

/// The counts of each pair of class and predicted class.
struct Counts {
    n_classes: usize,
    pairs: Vec<u64>,
}

impl Counts {
    fn of(cells: impl Iterator<Item = (u32, u32, u64)>, n_classes: usize) -> Self {
        let mut pairs = vec![0; n_classes * n_classes];
        cells.for_each(|(class, found, count)| {
            pairs[class as usize * n_classes + found as usize] += count
        });
        Self { n_classes, pairs }
    }

    fn accuracy(&self) -> f64 {
        let right: u64 = self.pairs.iter().step_by(self.n_classes + 1).sum();
        right as f64 / self.pairs.iter().sum::<u64>() as f64
    }

    /// The mean over the classes that occur or are predicted.
    fn macro_f1(&self) -> f64 {
        let k = self.n_classes;
        let (mut sum, mut classes) = (0.0, 0);
        for class in 0..k {
            let own: u64 = self.pairs[class * k..][..k].iter().sum();
            let found: u64 = self.pairs.iter().skip(class).step_by(k).sum();
            if own + found > 0 {
                sum += 2.0 * self.pairs[class * (k + 1)] as f64 / (own + found) as f64;
                classes += 1;
            }
        }
        sum / f64::from(classes)
    }
}
