//! The cells of a row: its scores at every point that they depend on, with every seed.

use super::{companions, expand_variants::Variant, link::Names, sweep::Sweep};
use serde_json::Value as Json;
use std::collections::HashSet;

/// The sweep of a pipeline and its variants.
pub struct Varied<'a> {
    /// The sweep.
    pub sweep: &'a Sweep,
    /// The points of the sweep, each with every seed.
    pub variants: &'a [Variant],
}

/// One cell of a row.
pub struct CellRef {
    /// The step with the scores.
    pub scores: usize,
    /// The step with the scores of the Gaussian null reference.
    pub reference: Option<usize>,
    /// The step that compares the clusters with chance and with other choices.
    pub companion: Option<usize>,
    /// The parameters that the cell depends on, and their values.
    pub point: Vec<(String, Json)>,
    /// The seed of the cell.
    pub seed: u64,
}

impl Varied<'_> {
    /// The cells of a row: one for each point that its scores depend on, and each seed.
    pub fn cells(
        &self,
        names: &Names<'_>,
        (base, one): (&str, Option<usize>),
        reference: Option<usize>,
    ) -> Vec<CellRef> {
        let mut seen = HashSet::new();
        let mut cells = Vec::new();
        for variant in self.variants {
            let step = variant.step(base).filter(|at| one.is_none_or(|one| one == *at));
            let Some(scores) = step else { continue };
            let (step_name, axes) = (&names.step(scores).key.name, names.step(scores).axes);
            let on = |axis: &usize| axes.has(*axis);
            let at = &self.sweep.points[variant.point];
            let place: Vec<_> = (0..at.len()).filter(on).map(|axis| (axis, at[axis])).collect();
            if seen.insert((place.clone(), variant.seed)) {
                let reference = reference.and_then(|at| variant.step(&names.step(at).base));
                let point = place.into_iter().map(|(axis, value)| {
                    let axis = &self.sweep.axes[axis];
                    (axis.key.name.clone(), axis.values[value].json())
                });
                let companion = base.replacen(step_name, &companions::companion_name(step_name), 1);
                cells.push(CellRef {
                    scores,
                    reference,
                    companion: variant.step(&companion),
                    point: point.collect(),
                    seed: variant.seed,
                });
            }
        }
        cells
    }

    /// The labels of the values of each point, and the steps of this name at it, one for each seed.
    pub fn steps_at_points(&self, base: &str) -> Vec<(Vec<String>, Vec<usize>)> {
        let labels = |point: &Vec<usize>| {
            let axes = self.sweep.axes.iter().zip(point);
            axes.map(|(axis, value)| axis.labels[*value].clone()).collect()
        };
        let mut points: Vec<(Vec<String>, Vec<usize>)> =
            self.sweep.points.iter().map(|point| (labels(point), Vec::new())).collect();
        for variant in self.variants {
            points[variant.point].1.extend(variant.step(base));
        }
        points
    }
}
