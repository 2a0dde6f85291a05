//! The op `consensus`: what several clusterings of the same clips have in common.

use super::metrics::labels_of;
use crate::cluster::linkage_of;
use crate::math::linkage::{Method, cut, distance_count, merges};
use crate::memory::whole;
use crate::ports::labelled;
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Artifact, Kind, Shape, Table, missing::is_noise};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// The clusters that several clusterings of the same clips have in common.
///
/// `coassociation` holds, for each pair of clips, the share of the clusterings that put both into the same
/// cluster, among those in which neither is noise; a clip with itself has 1. `labels` are the clusters of
/// average linkage on 1 − that share, and `linkage` its merges.
///
/// Read several seeds or methods with `in: { clusters: groups@* }`, or under labels. For seeds, give the
/// step `for: { s: range(10) }` and `seed: "${s}"`. The metadata `ambiguous` hold the proportion of
/// ambiguously clustered pairs: those with a share between 0.1 and 0.9. Stable clusters have few; a single
/// method with one seed cannot tell.
///
/// Source: evidence accumulation (Fred and Jain, 2005); consensus clustering (Monti et al., 2003); the
/// proportion of ambiguous pairs as of Șenbabaoğlu, Michailidis and Li (2014); merges as SciPy's `linkage`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consensus {
    /// The number of clusters; at most the number of clips.
    pub clusters: NonZeroU32,
}

/// The largest number of clips, whose pairs are all held.
const MAX_CLIPS: usize = 20_000;

impl Consensus {
    fn check_size(&self, clips: Option<usize>) -> Result<(), OpError> {
        let Some(clips) = clips else { return Ok(()) };
        if clips > MAX_CLIPS {
            return Err(OpError::data(format!("all pairs of {clips} clips are too many"))
                .help(format!("a consensus holds at most {MAX_CLIPS} clips")));
        }
        if clips < self.clusters.get() as usize {
            let message = format!("{clips} clips cannot make {} clusters", self.clusters);
            return Err(OpError::param("clusters", message));
        }
        Ok(())
    }
}

impl Op for Consensus {
    const NAME: &'static str = "consensus";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] =
        &[Port::variadic("clusters", &[Kind::Labels], "The clusterings, of the same clips.")];
    const OUTPUTS: &'static [Port] = &[
        Port::new("labels", &[Kind::Labels], "The cluster of each clip, from 0."),
        Port::new("coassociation", &[Kind::Matrix], "The share for each pair of clips."),
        Port::new("linkage", &[Kind::Linkage], "All merges, as SciPy writes them."),
    ];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let rows = inputs.first().and_then(Option::as_ref).and_then(|shape| shape.rows);
        self.check_size(rows)?;
        Ok(vec![
            Shape::of(Kind::Labels).with_rows(rows),
            Shape::of(Kind::Matrix).with_rows(rows).with_row(rows.map(|rows| vec![rows])),
            Shape::of(Kind::Linkage).with_rows(rows.map(|rows| rows.saturating_sub(1))),
        ])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let n = inputs.first()?.as_ref()?.rows? as f64;
        whole(8.0 * n * n)
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let clusterings = inputs.gathered("clusters");
        let names: Vec<&str> = clusterings.iter().map(|(name, _)| *name).collect();
        let [first, _, ..] = names[..] else {
            return Err(OpError::data("port `clusters` takes two clusterings or more"));
        };
        let first = labelled("clusters", first);
        let ids = inputs
            .table(first)?
            .text("clip_id")
            .ok_or_else(|| OpError::data(format!("port `{first}` has no column `clip_id`")))?;
        let n = ids.len();
        self.check_size(Some(n))?;
        if n == 0 {
            return Err(OpError::data(format!("port `{first}` holds no clips")));
        }
        // The cluster of each clip in each clustering, row by row; noise has none.
        let mut clusters: Vec<Vec<Option<u32>>> = vec![Vec::with_capacity(names.len()); n];
        for name in &names {
            let labels = labels_of(inputs, labelled("clusters", name), first, ids)?;
            let numbers = crate::math::contingency::by_first_appearance(&labels).0;
            for ((own, label), number) in clusters.iter_mut().zip(&labels).zip(numbers) {
                own.push((!is_noise(label)).then_some(number));
            }
        }
        cx.stop_if_cancelled()?;
        let share = |a: &[Option<u32>], b: &[Option<u32>]| {
            let known = a.iter().zip(b).filter(|(a, b)| a.is_some() && b.is_some());
            let (together, all) = known
                .fold((0_u32, 0_u32), |(same, all), (a, b)| (same + u32::from(a == b), all + 1));
            if all > 0 { f64::from(together) / f64::from(all) } else { 0.0 }
        };
        let mut shares = vec![0.0_f32; n * n];
        shares.par_chunks_exact_mut(n).enumerate().for_each(|(row, out)| {
            for (column, out) in out.iter_mut().enumerate() {
                let own =
                    if column == row { 1.0 } else { share(&clusters[row], &clusters[column]) };
                *out = own as f32;
            }
        });
        cx.stop_if_cancelled()?;
        let pairs = distance_count(n).expect("the number of clips is limited");
        let mut distances = Vec::with_capacity(pairs);
        let mut ambiguous = 0_usize;
        for row in 0..n {
            for column in row + 1..n {
                let share = f64::from(shares[row * n + column]);
                ambiguous += usize::from(share > 0.1 && share < 0.9);
                distances.push(1.0 - share);
            }
        }
        let tree = merges(distances, n, Method::Average);
        let with_ids = || Table::new().with_text("clip_id", ids.iter().cloned());
        let labels = cut(&tree, n, self.clusters.get() as usize);
        let labels = with_ids().with_ints("label", labels.into_iter().map(i64::from).collect());
        let matrix = with_ids().with_array("features", [n], shares);
        let matrix = Artifact::table(Kind::Matrix, matrix)
            .with_meta("clusterings", names.len())
            .with_meta("ambiguous", ambiguous as f64 / pairs.max(1) as f64);
        Ok(Outputs::new()
            .with("labels", Artifact::table(Kind::Labels, labels))
            .with("coassociation", matrix)
            .with("linkage", linkage_of(&tree)))
    }
}
