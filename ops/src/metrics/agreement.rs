//! The op `agreement`: the agreement between labelings of the same clips.

use super::metrics::labels_of;
use crate::math::contingency::{Contingency, by_first_appearance};
use crate::ports::labelled;
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Artifact, Kind, Shape, Table, missing::is_noise};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The agreement of groups with each other, whatever they are made of: a row a pair of labelings.
///
/// `in: { clusters: groups@* }` takes every instance of a `for`, named by its value. Others are named
/// where they are read: `in: { clusters: { kmeans: groups, ward: tree, truth: clips.labels } }`.
///
/// Each pair has `ari` (adjusted Rand index: 1 for the same groups, 0 expected by chance), `nmi`
/// (mutual information over the arithmetic mean of the entropies) and `ami` (the same adjusted for
/// chance), over the `clips` that both labelings hold and neither counts as noise (the cluster `-1` or
/// an empty one). No number depends on how groups are called or
/// numbered, or on which of the two comes first.
///
/// Source: `sklearn.metrics` of scikit-learn 1.9, within 1e-9.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agreement {}

impl Op for Agreement {
    const NAME: &'static str = "agreement";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[Port::variadic(
        "clusters",
        &[Kind::Labels],
        "The labelings: clusters or classes of clips.",
    )];
    const OUTPUTS: &'static [Port] = &[Port::new(
        "agreement",
        &[Kind::Agreement],
        "One row a pair: first, second, clips, ari, nmi, ami.",
    )];

    fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        Ok(vec![Shape::of(Kind::Agreement)])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let labelings = inputs.gathered("clusters");
        if labelings.len() < 2 {
            return Err(OpError::data("port `clusters` takes two labelings or more"));
        }
        let read = |(name, _): &(&'static str, _)| Labeling::read(inputs, name);
        let labelings = labelings.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut names = [Vec::new(), Vec::new()];
        let (mut clips, mut measures) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
        for (at, first) in labelings.iter().enumerate() {
            for second in &labelings[at + 1..] {
                cx.stop_if_cancelled()?;
                let (count, both) = first.contingency_with(second)?;
                names[0].push(first.name);
                names[1].push(second.name);
                clips.push(count as i64);
                measures[0].push(both.adjusted_rand());
                measures[1].push(both.normalized_mutual_information());
                measures[2].push(both.adjusted_mutual_information());
            }
        }
        let ([first, second], [ari, nmi, ami]) = (names, measures);
        let table = Table::new()
            .with_text("first", first)
            .with_text("second", second)
            .with_ints("clips", clips)
            .with_reals("ari", ari)
            .with_reals("nmi", nmi)
            .with_reals("ami", ami);
        Ok(Outputs::new().with("agreement", Artifact::table(Kind::Agreement, table)))
    }
}

/// The label of each clip.
struct Labeling {
    name: &'static str,
    /// Each clip once, in the order of its table.
    clips: Vec<String>,
    labels: HashMap<String, String>,
}

impl Labeling {
    fn read(inputs: &Inputs<'_>, name: &'static str) -> Result<Self, OpError> {
        let port = labelled("clusters", name);
        let ids = inputs.table(port)?.text("clip_id").unwrap_or_default();
        let all = labels_of(inputs, port, port, ids)?;
        let (mut clips, mut labels) = (Vec::new(), HashMap::new());
        for (id, label) in ids.iter().zip(all) {
            // A clip without a label, and one that is noise, belongs to no group.
            if !is_noise(&label) && labels.insert(id.clone(), label).is_none() {
                clips.push(id.clone());
            }
        }
        Ok(Self { name, clips, labels })
    }

    /// The number of clips in both, and the counts of each pair of labels among them.
    fn contingency_with(&self, other: &Self) -> Result<(usize, Contingency), OpError> {
        let common = self.clips.iter().filter_map(|id| {
            let label = other.labels.get(id)?;
            Some((self.labels[id].as_str(), label.as_str()))
        });
        let (own, others): (Vec<_>, Vec<_>) = common.unzip();
        if own.is_empty() {
            let message = format!("`{}` and `{}` have no clip in common", self.name, other.name);
            return Err(OpError::data(message).help("connect labels made from the same clips"));
        }
        let numbers = [by_first_appearance(&own).0, by_first_appearance(&others).0];
        Ok((own.len(), Contingency::new(&numbers[0], &numbers[1])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detached;

    fn labels(labels: &[(&str, i64)]) -> Artifact {
        let table = Table::new()
            .with_text("clip_id", labels.iter().map(|(clip, _)| *clip))
            .with_ints("label", labels.iter().map(|(_, label)| *label).collect());
        Artifact::table(Kind::Labels, table)
    }

    fn run(first: &Artifact, second: &Artifact) -> Result<Outputs, OpError> {
        let inputs = Inputs::new()
            .with(labelled("clusters", "b"), first)
            .with(labelled("clusters", "a"), second);
        Agreement {}.run(&inputs, &Detached::with_seed(0))
    }

    #[test]
    fn clips_are_matched_by_name_and_counted() {
        let first = labels(&[("u", 0), ("v", 0), ("w", 1), ("only here", 1)]);
        let second = labels(&[("w", 7), ("u", 3), ("v", 3), ("only here", -1)]);
        let made = run(&first, &second).expect("an agreement");
        let table = made.get("agreement").and_then(Artifact::as_table).expect("a table");
        assert_eq!(table.text("first").expect("names"), ["a"]);
        assert_eq!(table.ints("clips").expect("counts"), [3]);
        assert_eq!(table.reals("ari").expect("numbers"), [1.0]);
        let error = run(&first, &labels(&[("x", 0)])).expect_err("nothing in common");
        assert!(error.message.contains("`a` and `b` have no clip in common"), "{error}");
    }
}
