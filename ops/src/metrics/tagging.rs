//! The op `tagging`: the prediction of several tags of a clip after learning from clips with one.

use super::metrics::{SCORES, labels_of};
use super::probe::{MAX_ITER, TOL, scale};
use super::resamples::{self, numbered};
use crate::math::logistic;
use crate::measures::{Measure, tagging, tagging::BETWEEN};
use crate::memory::{Features, WIDE, whole};
use crate::params::{Fraction, Positive};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{
    Artifact, Kind, Shape, Table,
    metric::{CLIPS, Score, TRUTH, artifact, clip_set_digest, labelled_set_digest},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Scores the prediction of several tags of a clip by a classifier that learned from clips with one tag each.
///
/// Multinomial logistic regression is fitted to `features` and their classes `truth`. A clip of
/// `test_features` is given each tag whose probability is at least `threshold` × that of its likeliest one, as is
/// usual for IRMAS, whose training excerpts have one label and whose test excerpts several. In a label of
/// `test_truth`, `+` stands between tags (`irmas_test` writes so).
///
/// With true positives tp, false positives fp and false negatives fn of a tag: precision tp / (tp + fp), recall
/// tp / (tp + fn), F1 2tp / (2tp + fp + fn), 0 where the denominator is. `micro_…` puts the counts of all tags
/// together, `macro_…` averages over the tags that occur or are predicted. `resamples` holds the scores for
/// resampled recordings of the test.
///
/// A `threshold` that is chosen because it scores best on these clips makes the scores too good: choose it before,
/// or on other clips.
///
/// Source: `precision_recall_fscore_support` of scikit-learn 1.9, equal for the same predictions; the threshold
/// as in Han, Kim and Lee, Deep convolutional neural networks for predominant instrument recognition in
/// polyphonic music, 2017.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tagging {
    /// The share of the largest probability at which a tag is given.
    #[serde(default = "half")]
    pub threshold: Fraction,
    /// The inverse strength C of the penalty of logistic regression.
    #[serde(default = "one")]
    pub c: Positive,
    /// Scales all features by the mean and the deviation of those of `features`.
    #[serde(default = "yes")]
    pub scale: bool,
}

fn half() -> Fraction {
    Fraction::try_from(0.5).expect("from 0 to 1")
}

fn one() -> Positive {
    Positive::try_from(1.0).expect("1 is above 0")
}

fn yes() -> bool {
    true
}

/// The number of draws of recordings.
const DRAWS: u32 = 2000;

/// The counts of a tag: true positives, false positives, false negatives.
type Counts = [u64; 3];

impl Op for Tagging {
    const NAME: &'static str = "tagging";
    const VERSION: u32 = 1;
    const METRICS: &'static [Measure] = tagging::ALL;
    const INPUTS: &'static [Port] = &[
        Port::FEATURES,
        Port::new("truth", &[Kind::Labels], "The class of each clip to learn from."),
        Port::new(
            "test_features",
            &[Kind::Matrix, Kind::Spectrogram],
            "The clips to predict, with the same features.",
        ),
        Port::new("test_truth", &[Kind::Labels], "The tags of each of them, and its recording."),
    ];
    const OUTPUTS: &'static [Port] = &[
        SCORES,
        Port::new("resamples", &[Kind::Resamples], "One row a draw: part, and the metrics."),
        Port::new("predictions", &[Kind::Labels], "The predicted tags of each clip of the test."),
    ];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let width = |at: usize| inputs.get(at)?.as_ref()?.width();
        check_widths(width(0), width(2))?;
        Ok([Kind::Scores, Kind::Resamples, Kind::Labels].map(Shape::of).to_vec())
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let (x, test) = (Features::of(inputs)?, Features::of(inputs.get(2..)?)?);
        whole(x.bytes + test.bytes + WIDE * (x.n * x.width + test.n * test.width))
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        let truth = labels_of(inputs, "truth", "features", ids)?;
        let (test_ids, test_features) = inputs.features("test_features")?;
        let test_truth = labels_of(inputs, "test_truth", "test_features", test_ids)?;
        check_widths(Some(features.width()), Some(test_features.width()))?;
        // Clips without a label take no part.
        let labelled =
            |labels: &[String]| (0..labels.len()).filter(|at| !labels[*at].is_empty()).collect();
        let (rows, test_rows): (Vec<usize>, Vec<usize>) = (labelled(&truth), labelled(&test_truth));
        let wide = |array: &cache::Array, rows: &[usize]| -> Vec<f64> {
            rows.iter().flat_map(|at| array.row(*at)).map(|it| f64::from(*it)).collect()
        };
        let (mut train, mut test) = (wide(features, &rows), wide(test_features, &test_rows));
        let known: BTreeSet<&str> = rows.iter().map(|at| truth[*at].as_str()).collect();
        let known: Vec<&str> = known.into_iter().collect();
        if known.len() < 2 || test_rows.is_empty() {
            return Err(OpError::data(format!(
                "there are {} classes to learn and {} clips to predict",
                known.len(),
                test_rows.len()
            ))
            .help("connect labels of two classes or more, and tags of the clips of the test"));
        }
        let d = features.width();
        if self.scale {
            scale(&mut train, &mut test, d);
        }
        let number = |name: &str| known.binary_search(&name).expect("one of the names") as u32;
        let classes: Vec<u32> = rows.iter().map(|at| number(&truth[*at])).collect();
        let cancelled = || cx.cancel.is_cancelled();
        let limits = (self.c.get(), TOL, MAX_ITER);
        let model = logistic::fit(&train, d, &classes, known.len(), limits, &cancelled);
        let model = model.ok_or_else(OpError::cancelled)?;
        let predicted: Vec<BTreeSet<&str>> = test
            .chunks_exact(d)
            .map(|point| {
                let found = model.probabilities(point);
                let least = self.threshold.get() * found.iter().copied().fold(0.0, f64::max);
                known.iter().zip(found).filter(|it| it.1 >= least).map(|it| *it.0).collect()
            })
            .collect();
        let wanted: Vec<BTreeSet<&str>> = test_rows
            .iter()
            .map(|at| test_truth[*at].split(BETWEEN).filter(|tag| !tag.is_empty()).collect())
            .collect();
        let tags: BTreeSet<&str> = predicted.iter().chain(&wanted).flatten().copied().collect();
        let tags: Vec<&str> = tags.into_iter().collect();
        let ids: Vec<&str> = test_rows.iter().map(|at| test_ids[*at].as_str()).collect();
        let groups = groups_of(inputs, &ids)?;
        let own = groups.as_ref().map(|cells| numbered(cells));
        let (of, named): (Vec<u32>, Vec<&str>) = own.unwrap_or((vec![0; ids.len()], Vec::new()));
        let blocks = of.iter().max().map_or(0, |most| *most as usize + 1);
        let mut counts = vec![vec![Counts::default(); tags.len()]; blocks];
        for ((block, predicted), wanted) in of.iter().zip(&predicted).zip(&wanted) {
            for (tag, counts) in tags.iter().zip(&mut counts[*block as usize]) {
                match (predicted.contains(tag), wanted.contains(tag)) {
                    (true, true) => counts[0] += 1,
                    (true, false) => counts[1] += 1,
                    (false, true) => counts[2] += 1,
                    (false, false) => {}
                }
            }
        }
        let measure = |times: &[u32]| {
            let mut all = vec![Counts::default(); tags.len()];
            for (times, own) in times.iter().zip(&counts) {
                for (sum, own) in all.iter_mut().zip(own) {
                    sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += u64::from(*times) * own);
                }
            }
            of_counts(&all).to_vec()
        };
        let mean = |sets: &[BTreeSet<&str>]| {
            sets.iter().map(BTreeSet::len).sum::<usize>() as f64 / sets.len() as f64
        };
        let values = measure(&vec![1; blocks]).into_iter().chain([mean(&predicted), mean(&wanted)]);
        let score = |(measure, value): (&Measure, f64)| Score {
            metric: measure.metric(),
            value,
            note: String::new(),
        };
        let scores: Vec<Score> = tagging::ALL.iter().zip(values).map(score).collect();
        let truths = test_rows.iter().map(|at| test_truth[*at].as_str());
        let scores = artifact(&scores)
            .with_meta(CLIPS, clip_set_digest(ids.iter().copied()))
            .with_meta(TRUTH, labelled_set_digest(ids.iter().copied().zip(truths)));
        let metrics: Vec<&str> = tagging::ALL[..6].iter().map(|it| it.name).collect();
        let recordings = groups.as_ref().map(|_| &named[..]);
        let resamples = resamples::artifact(&metrics, ids.len(), recordings, DRAWS, measure, cx)?;
        let between = BETWEEN.to_string();
        let written =
            |tags: &BTreeSet<&str>| tags.iter().copied().collect::<Vec<_>>().join(&between);
        let predictions = Table::new()
            .with_text("clip_id", ids)
            .with_text("label", predicted.iter().map(written));
        Ok(Outputs::new()
            .with("scores", scores)
            .with("resamples", resamples)
            .with("predictions", Artifact::table(Kind::Labels, predictions)))
    }
}

fn check_widths(train: Option<usize>, test: Option<usize>) -> Result<(), OpError> {
    match (train, test) {
        (Some(train), Some(test)) if train != test => Err(OpError::data(format!(
            "the clips to learn from have {train} features, and those of the test {test}"
        ))
        .help("make both by the same steps; fit them on the first and apply their `model` to the others")),
        _ => Ok(()),
    }
}

/// The recording of each clip of the test, if all are known.
fn groups_of(inputs: &Inputs<'_>, ids: &[&str]) -> Result<Option<Vec<String>>, OpError> {
    let table = inputs.table("test_truth")?;
    let (Some(known), Some(groups)) = (table.text("clip_id"), table.text("group")) else {
        return Ok(None);
    };
    let rows: std::collections::HashMap<&str, &String> =
        known.iter().map(String::as_str).zip(groups).collect();
    Ok(ids.iter().map(|id| rows.get(id).map(|it| (*it).clone())).collect())
}

/// Precision, recall and F1 of all tags together, then their means over the tags that occur or are predicted.
fn of_counts(all: &[Counts]) -> [f64; 6] {
    let of = |[right, wrong, missed]: Counts| {
        let share =
            |part: u64, whole: u64| if whole > 0 { part as f64 / whole as f64 } else { 0.0 };
        [
            share(right, right + wrong),
            share(right, right + missed),
            share(2 * right, 2 * right + wrong + missed),
        ]
    };
    let mut sum = Counts::default();
    let (mut means, mut tags) = ([0.0; 3], 0.0_f64);
    for own in all.iter().filter(|own| own.iter().sum::<u64>() > 0) {
        sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
        means.iter_mut().zip(of(*own)).for_each(|(mean, own)| *mean += own);
        tags += 1.0;
    }
    let [a, b, c] = of(sum);
    let [d, e, f] = means.map(|mean| mean / tags.max(1.0));
    [a, b, c, d, e, f]
}
