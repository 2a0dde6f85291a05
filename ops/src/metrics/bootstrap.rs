//! The op `bootstrap`: what the agreement of clusters with classes rests on, recordings and other
//! columns.

use super::{
    confounds,
    metrics::{Noise, labels_of},
    resamples::{self, numbered},
};
use crate::math::{bootstrap::Recordings, contingency::by_first_appearance};
use crate::measures::of_counts;
use crate::{Companion, Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Artifact, Kind, Shape, missing::is_noise};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The agreement of clusters with the classes over resampled recordings, and with columns beside the class.
///
/// Clips of one recording are alike, so the recordings count, not the clips: `resamples` holds the
/// label metrics for recordings drawn with replacement (`resample`), for half of them drawn without
/// (`half_sample`, since repeated clips push agreement up), and for all but one (`jackknife`; blocks
/// of recordings from 1,000 on). The report makes of these the bias-corrected and accelerated 95 %
/// interval (BCa) of each row, and of the difference of two rows: the draws depend on the number of
/// recordings alone, so rows of the same recordings share them. The clusters themselves stay as they
/// are. With fewer than 10 recordings, or where `truth` has no column `group`, there are no draws,
/// and the metadata say why.
///
/// There is no bootstrap over clips, nor a permutation test: both take the clips of a recording for
/// independent ones, and call almost anything significant.
///
/// `confounds` holds the agreement of the clusters with the class and with every other column of
/// `truth` and `clips`: the recording, a genre, a sample rate. Columns of more than 32 different
/// numbers are cut into quarters; columns that are the same or different for all clips are left out.
///
/// Source: Efron, "Better bootstrap confidence intervals" (1987), `scipy.stats.bootstrap` within 1e-9
/// for the same draws; Field and Welsh, "Bootstrapping clustered data" (2007); Politis and Romano,
/// "Large sample confidence regions based on subsamples" (1994).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// The number of draws of each kind, 200 to 100,000.
    #[serde(default = "two_thousand")]
    #[schemars(range(min = 200, max = 100_000))]
    pub draws: u32,
    /// The treatment of noise, as in `metrics`.
    #[serde(default)]
    pub noise: Noise,
}

fn two_thousand() -> u32 {
    2000
}

impl Bootstrap {
    fn check_draws(&self) -> Result<(), OpError> {
        match self.draws {
            200..=100_000 => Ok(()),
            draws => {
                Err(OpError::param("draws", format!("`draws` is {draws}, not 200 to 100,000")))
            }
        }
    }
}

impl Op for Bootstrap {
    const NAME: &'static str = "bootstrap";
    const VERSION: u32 = 1;
    const COMPANION: Option<Companion> = Some(Companion::Recordings);
    const INPUTS: &'static [Port] = &[
        Port::new("clusters", &[Kind::Labels], "The cluster of each clip."),
        Port::new("truth", &[Kind::Labels], "The class of each clip, and its recording."),
        Port::optional("clips", &[Kind::Clips], "The clips, for what else is known of them."),
    ];
    const OUTPUTS: &'static [Port] = &[
        Port::new("resamples", &[Kind::Resamples], "One row a draw: part, and the metrics."),
        Port::new(
            "confounds",
            &[Kind::Confounds],
            "One row a column: column, values, clips, and the agreement of clusters and class with it.",
        ),
    ];

    fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        self.check_draws()?;
        Ok(vec![Shape::of(Kind::Resamples), Shape::of(Kind::Confounds)])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.check_draws()?;
        let ids = inputs
            .table("clusters")?
            .text("clip_id")
            .ok_or_else(|| OpError::data("port `clusters` has no column `clip_id`"))?;
        let mut clusters = labels_of(inputs, "clusters", "clusters", ids)?;
        let truth = labels_of(inputs, "truth", "clusters", ids)?;
        let mut rows: Vec<usize> = (0..ids.len()).filter(|row| !truth[*row].is_empty()).collect();
        match self.noise {
            Noise::Cluster => {}
            Noise::Drop => rows.retain(|row| !is_noise(&clusters[*row])),
            Noise::Singletons => {
                let noise = clusters.iter_mut().enumerate().filter(|(_, name)| is_noise(name));
                // No other cluster has such a name.
                noise.for_each(|(row, name)| *name = format!("-1\0{row}"));
            }
        }
        if rows.is_empty() {
            return Err(OpError::data("no clip in a cluster has a label at port `truth`")
                .help("connect labels of which at least some are known"));
        }
        let picked = |labels: &[String]| -> Vec<u32> {
            let labels: Vec<&str> = rows.iter().map(|row| labels[*row].as_str()).collect();
            by_first_appearance(&labels).0
        };
        let (classes, clusters) = (picked(&truth), picked(&clusters));
        let ids: Vec<&str> = rows.iter().map(|row| ids[*row].as_str()).collect();
        let columns = confounds::columns(inputs, &ids)?;
        let recordings = columns.iter().find(|it| it.name == confounds::RECORDING);
        let recordings = recordings.map(|column| numbered(&column.cells));
        let (of, names) =
            recordings.as_ref().map_or((&[][..], None), |(of, names)| (of, Some(&names[..])));
        let all = Recordings::new(of, &classes, &clusters);
        let measure = |times: &[u32]| {
            let counted = all.repeated(times);
            of_counts().map(|(_, measure)| measure(&counted)).collect()
        };
        let metrics: Vec<&str> = of_counts().map(|(name, _)| name).collect();
        let resamples = resamples::artifact(&metrics, ids.len(), names, self.draws, measure, cx)?;
        cx.stop_if_cancelled()?;
        let confounds = confounds::table(&columns, &classes, &clusters, cx)?;
        let confounds = Artifact::table(Kind::Confounds, confounds);
        Ok(Outputs::new().with("resamples", resamples).with("confounds", confounds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detached;
    use cache::Table;

    /// Two clips of each of `recordings` recordings, in the order of `order`.
    fn run(recordings: usize, order: impl Fn(usize) -> usize) -> Outputs {
        let rows: Vec<usize> = (0..2 * recordings).map(order).collect();
        let ids = || Table::new().with_text("clip_id", rows.iter().map(|row| format!("c{row:03}")));
        let clusters = rows.iter().map(|row| (row * 7 / 5 % 3) as i64).collect();
        let truth = ids()
            .with_text("label", rows.iter().map(|row| format!("{}", row / 2 % 3)))
            .with_text("group", rows.iter().map(|row| format!("r{:02}", row / 2)));
        let clips = ids()
            .with_ints("sample_rate", rows.iter().map(|row| [8000, 44_100][row / 2 % 2]).collect())
            .with_ints("channels", vec![2; rows.len()]);
        let labels = |table| Artifact::table(Kind::Labels, table);
        let (clusters, truth) = (labels(ids().with_ints("label", clusters)), labels(truth));
        let clips = Artifact::table(Kind::Clips, clips);
        let inputs =
            Inputs::new().with("clusters", &clusters).with("truth", &truth).with("clips", &clips);
        let op: Bootstrap = serde_json::from_value(serde_json::json!({ "draws": 200 })).unwrap();
        op.run(&inputs, &Detached::with_seed(0)).unwrap()
    }

    fn values(outputs: &Outputs, part: &str) -> Vec<f64> {
        let table = outputs.get("resamples").and_then(Artifact::as_table).unwrap();
        let values = table.text("part").unwrap().iter().zip(table.reals("ari").unwrap());
        values.filter(|(own, _)| *own == part).map(|(_, value)| *value).collect()
    }

    #[test]
    fn draws_do_not_depend_on_the_order_of_clips() {
        let (one, other) = (run(12, |row| row), run(12, |row| 23 - row));
        for (part, count) in
            [("value", 1), ("resample", 200), ("half_sample", 200), ("jackknife", 12)]
        {
            let (one, other) = (values(&one, part), values(&other, part));
            assert_eq!(one.len(), count, "{part}");
            let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
            assert!(one.iter().zip(&other).all(close), "{part}");
        }
        let spread = values(&one, "resample");
        assert!(spread.iter().any(|value| *value != spread[0]));
    }

    #[test]
    fn few_recordings_have_no_draws_and_the_reason_is_told() {
        let made = run(9, |row| row);
        assert!(values(&made, "resample").is_empty());
        let meta = &made.get("resamples").unwrap().meta;
        assert_eq!((&meta["clips"], &meta["recordings"]), (&18.into(), &9.into()));
        assert_eq!(meta["note"], "fewer than 10 recordings");
    }

    #[test]
    fn every_column_that_can_explain_something_is_compared() {
        let made = run(12, |row| row);
        let table = made.get("confounds").and_then(Artifact::as_table).unwrap();
        assert_eq!(table.text("column").unwrap(), ["label", "group", "sample_rate"]);
        assert_eq!(table.ints("values").unwrap(), [3, 12, 2]);
        assert_eq!(table.reals("label_ari").unwrap()[0], 1.0);
        assert_eq!(table.reals("ari").unwrap()[0], values(&made, "value")[0]);
    }
}
