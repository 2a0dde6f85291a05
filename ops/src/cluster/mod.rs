//! Clustering: from vectors to groups.

pub mod agglomerative;
pub mod dbscan;
pub mod gaussian_mixture;
pub mod hdbscan;
pub mod idec;
pub mod kmeans;
pub mod optics;
pub mod spectral;

use crate::{
    math::{contingency::by_first_appearance, linkage::Merge},
    op::{AnyOp, Op, entry::ParamSchema},
};
use cache::{Artifact, Kind, Shape, Table};

/// The metadata field of labels and layouts with their method: op, version and parameters.
pub const MADE_BY: &str = "made_by";

/// The method of labels or a layout, for their metadata, so that a later step can apply the same
/// method to other points. It includes the version, so that dependent steps run again when the op
/// changes, and it omits defaults, so that a new parameter changes no bytes.
pub(crate) fn made_by<O: Op>(op: &O) -> serde_json::Value {
    let params = ParamSchema::of::<O>().changed(op.params());
    serde_json::json!({ "op": O::NAME, "version": O::VERSION, "params": params })
}

/// The merges of a hierarchical clustering, in SciPy's columns.
pub(crate) fn linkage_of(tree: &[Merge]) -> Artifact {
    let ints = |f: fn(&Merge) -> usize| tree.iter().map(|merge| f(merge) as i64).collect();
    let table = Table::new()
        .with_ints("left", ints(|merge| merge.left))
        .with_ints("right", ints(|merge| merge.right))
        .with_reals("distance", tree.iter().map(|merge| merge.distance).collect())
        .with_ints("size", ints(|merge| merge.size));
    Artifact::table(Kind::Linkage, table)
}

/// Labels with −1 for noise; clusters are numbered by the first clip they hold.
fn with_noise(ids: &[String], labels: &[Option<usize>]) -> Artifact {
    let found: Vec<usize> = labels.iter().flatten().copied().collect();
    let mut numbers = by_first_appearance(&found).0.into_iter();
    let mut number =
        |label: &Option<usize>| label.and_then(|_| numbers.next()).map_or(-1, i64::from);
    let table = Table::new()
        .with_text("clip_id", ids.iter().cloned())
        .with_ints("label", labels.iter().map(&mut number).collect());
    let artifact = Artifact::table(Kind::Labels, table);
    let artifact = artifact.with_meta("noise", labels.len() - found.len());
    match found.is_empty() {
        true => artifact.with_meta("warning", "every clip is noise: there are no clusters"),
        false => artifact,
    }
}

/// The rows from which a method that compares every pair of them is slow: about ten seconds of one core.
const MANY_ROWS: usize = 20_000;

/// The reason why a method that compares every pair of rows is slow.
fn slow_by_pairs(inputs: &[Option<Shape>]) -> Option<String> {
    let rows = inputs.first()?.as_ref()?.rows.filter(|rows| *rows > MANY_ROWS)?;
    Some(format!(
        "it looks at every pair of its {rows} rows, so its time grows with the square of their number: twice the rows \
         take four times as long"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ctx, Inputs, OpError, Outputs, Port};
    use cache::Shape;
    use serde_json::json;

    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Clusterer<const VERSION: u32> {
        clusters: u32,
        #[serde(default)]
        added_later: u32,
    }

    impl<const VERSION: u32> Op for Clusterer<VERSION> {
        const NAME: &'static str = "clusterer";
        const VERSION: u32 = VERSION;
        const INPUTS: &'static [Port] = &[];
        const OUTPUTS: &'static [Port] = &[];

        fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
            Ok(Vec::new())
        }

        fn run(&self, _inputs: &Inputs<'_>, _cx: &Ctx<'_>) -> Result<Outputs, OpError> {
            Ok(Outputs::new())
        }
    }

    #[test]
    fn methods_of_pairs_say_from_where_on_they_are_slow() {
        use crate::find;
        let read = |rows| [Some(Shape::of(Kind::Matrix).with_rows(rows))];
        for name in ["hdbscan", "optics"] {
            let op = find(name).expect("an op").parse(serde_json::json!({})).expect("defaults");
            let warning = op.slow(&read(Some(20_001))).expect("a sentence");
            assert!(warning.contains("every pair of its 20001 rows"), "{warning}");
            assert_eq!((op.slow(&read(Some(20_000))), op.slow(&read(None))), (None, None));
        }
        let other = find("kmeans").expect("an op").parse(serde_json::json!({ "clusters": 3 }));
        assert_eq!(other.expect("an op").slow(&read(Some(1_000_000))), None);
    }

    #[test]
    fn labels_name_the_version_of_their_op_and_no_default() {
        let first = made_by(&Clusterer::<1> { clusters: 3, added_later: 0 });
        assert_eq!(first, json!({ "op": "clusterer", "version": 1, "params": { "clusters": 3 } }));
        assert_ne!(first, made_by(&Clusterer::<2> { clusters: 3, added_later: 0 }));
        assert_ne!(first, made_by(&Clusterer::<1> { clusters: 3, added_later: 1 }));
    }
}
