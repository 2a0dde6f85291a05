//! The op `split`: clips to fit on and clips to test on.

use super::confounds::{RECORDING, columns};
use super::metrics::labels_of;
use super::resamples::numbered;
use crate::math::{contingency::by_first_appearance, folds::stratified_group_k_fold};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Artifact, Data, Kind, Shape, Table, rows::select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// The kinds that can be divided.
const ROWS: &[Kind] = &[Kind::Clips, Kind::Spectrogram, Kind::Matrix, Kind::Labels];

/// Divides clips into those to fit on and those to test on, by recording.
///
/// The recordings (the column `group` of `truth`) of each class are dealt out to `folds` folds in a
/// random order; a recording is of the class of most of its clips. `test` holds the clips of fold `fold`,
/// and `train` all others, both in the order in which they came: no recording has clips in both. Where
/// recordings are not known each clip counts as one, with a warning.
///
/// Fit on `train` and apply to `test`:
///
/// ```yaml
/// parts: { op: split, in: { rows: mel, truth: clips.labels } }
/// norm: { op: normalize, in: parts.train }
/// norm_test: { op: normalize, in: { features: parts.test, model: norm.model } }
/// ```
///
/// With `for: { fold: range(5) }` and `fold: "${fold}"` every clip is tested on once. The plan warns where a
/// step has learned from rows that are held out.
///
/// Source: the contract of scikit-learn's `StratifiedGroupKFold` with `shuffle=True`: the folds have no
/// group in common, cover all clips, and have equally many recordings of each class, give or take one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The number of folds, at least 2 and at most the number of recordings.
    #[serde(default = "five")]
    #[schemars(range(min = 2))]
    pub folds: NonZeroU32,
    /// The fold that is held out, from 0 to `folds` − 1.
    #[serde(default)]
    pub fold: u32,
}

fn five() -> NonZeroU32 {
    NonZeroU32::new(5).expect("5 is not 0")
}

impl Split {
    fn check_params(&self) -> Result<(), OpError> {
        let folds = self.folds.get();
        if folds < 2 {
            return Err(OpError::param("folds", "one fold leaves no clips to fit on"));
        }
        if self.fold >= folds {
            let message = format!("there is no fold {} of {folds}", self.fold);
            return Err(OpError::param("fold", message)
                .help(format!("folds are numbered from 0 to {}", folds - 1)));
        }
        Ok(())
    }
}

impl Op for Split {
    const NAME: &'static str = "split";
    const VERSION: u32 = 1;
    const SEEDED: bool = true;
    const SPLIT: Option<[&'static str; 2]> = Some(["train", "test"]);
    const INPUTS: &'static [Port] = &[
        Port::new("rows", ROWS, "The clips, in any form."),
        Port::new("truth", &[Kind::Labels], "The class of each clip, and its recording."),
    ];
    const OUTPUTS: &'static [Port] = &[
        Port::new("train", ROWS, "The clips to fit on, of the kind that came in."),
        Port::new("test", ROWS, "The clips that are held out."),
        Port::new("parts", &[Kind::Labels], "Which of both each clip belongs to."),
    ];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        self.check_params()?;
        let rows = inputs.first().cloned().flatten().unwrap_or_else(|| Shape::of(Kind::Matrix));
        let part = Shape { rows: None, ..rows.clone() };
        Ok(vec![part.clone(), part, Shape::of(Kind::Labels).with_rows(rows.rows)])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.check_params()?;
        cx.stop_if_cancelled()?;
        let input = inputs.get("rows")?;
        let table = inputs.table("rows")?;
        let ids = table
            .text("clip_id")
            .ok_or_else(|| OpError::data("port `rows` has no column `clip_id`"))?;
        let truth = labels_of(inputs, "truth", "rows", ids)?;
        let names: Vec<&str> = ids.iter().map(String::as_str).collect();
        let known = columns(inputs, &names)?;
        let known = known.iter().find(|column| column.name == RECORDING);
        let (groups, count) = match known.map(|column| numbered(&column.cells)) {
            Some((groups, named)) => (groups, named.len()),
            None => ((0..ids.len() as u32).collect(), ids.len()),
        };
        let what = if known.is_some() { "recordings" } else { "clips" };
        if count < self.folds.get() as usize {
            let message = format!("{count} {what} cannot make {} folds", self.folds);
            return Err(OpError::param("folds", message));
        }
        if known.is_none() {
            cx.warnings.warn(
                "the recordings of the clips are not known, so clips of one may be both in `train` and in `test`",
            );
        }
        let classes = by_first_appearance(&truth).0;
        let of = stratified_group_k_fold(&groups, &classes, self.folds.get(), cx.seed, 0);
        let rows = |held_out: bool| -> Vec<usize> {
            (0..of.len()).filter(|row| (of[*row] == self.fold) == held_out).collect()
        };
        let part = |held_out: bool| {
            let data = Data::Table(select(table, &rows(held_out)));
            Artifact { kind: input.kind, meta: input.meta.clone(), data }
        };
        let side = |fold: &u32| if *fold == self.fold { "test" } else { "train" };
        let parts = Table::new()
            .with_text("clip_id", ids.iter().cloned())
            .with_text("label", of.iter().map(side));
        let parts = match known {
            Some(column) => parts.with_text(RECORDING, column.cells.iter().cloned()),
            None => parts,
        };
        Ok(Outputs::new()
            .with("train", part(false))
            .with("test", part(true))
            .with("parts", Artifact::table(Kind::Labels, parts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detached;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ids(artifact: &Artifact) -> Vec<String> {
        artifact.as_table().and_then(|table| table.text("clip_id")).expect("ids").to_vec()
    }

    proptest! {
        #[test]
        fn no_recording_is_on_both_sides_and_each_clip_is_tested_once(
            groups in proptest::collection::vec(0_u8..9, 20..60),
            folds in 2_u32..5,
            seed in 0_u64..99,
        ) {
            prop_assume!(groups.iter().collect::<BTreeSet<_>>().len() >= folds as usize);
            let table = || Table::new().with_text("clip_id", (0..groups.len()).map(|at| at.to_string()));
            let truth = table()
                .with_text("label", groups.iter().map(|group| (group % 3).to_string()))
                .with_text("group", groups.iter().map(|group| group.to_string()));
            let truth = Artifact::table(Kind::Labels, truth);
            let width = vec![1.0; groups.len()];
            let rows = Artifact::table(Kind::Matrix, table().with_array("features", [1], width));
            let inputs = Inputs::new().with("rows", &rows).with("truth", &truth);
            let mut tested = Vec::new();
            for fold in 0..folds {
                let op = Split { folds: NonZeroU32::new(folds).expect("not 0"), fold };
                let made = op.run(&inputs, &Detached::with_seed(seed)).expect("a split");
                let of = |port: &str| {
                    let ids = ids(made.get(port).expect("a port"));
                    let groups: BTreeSet<u8> = ids.iter().map(|id| groups[id.parse::<usize>().expect("a row")]).collect();
                    (ids, groups)
                };
                let ((train, of_train), (test, of_test)) = (of("train"), of("test"));
                prop_assert_eq!(train.len() + test.len(), groups.len());
                prop_assert!(!train.is_empty() && !test.is_empty());
                prop_assert!(of_train.is_disjoint(&of_test));
                tested.extend(test);
            }
            tested.sort_by_key(|id| id.parse::<usize>().expect("a row"));
            prop_assert_eq!(tested, ids(&rows));
        }
    }
}
