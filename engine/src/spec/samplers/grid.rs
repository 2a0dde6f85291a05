//! The sampler `grid`: every combination of some values.

use super::{Keys, Proposal, Sampler};
use crate::spec::{
    node::{Key, Node},
    points::Reader,
    search::History,
    sweep::MAX_VARIANTS,
};

/// Every combination of the values.
pub struct Grid {
    /// The number of values of each parameter.
    sizes: Vec<usize>,
}

impl Sampler for Grid {
    const NAME: &'static str = "grid";
    const DOC: &'static str =
        "Every combination of the values: `{ vae.beta: [1, 4], vae.latent: [8, 16] }`.";
    const KEYS: Keys = Keys::Parameters;

    fn read(reader: &mut Reader<'_>, key: &Key, node: Node) -> Option<Self> {
        let mut fine = true;
        for (name, node) in &reader.map(key, node, "{ STEP.PARAMETER: [1, 2, 4] }")? {
            fine &= reader.axis_with_values(name, node).is_some();
        }
        let sizes: Vec<usize> = reader.axes.iter().map(|axis| axis.values.len()).collect();
        let size = sizes.iter().try_fold(1_usize, |all, size| all.checked_mul(*size));
        if fine && size.is_none_or(|size| size > MAX_VARIANTS) {
            reader.too_many(key);
            return None;
        }
        fine.then_some(Self { sizes })
    }

    fn propose(&self, _reader: &mut Reader<'_>, _history: &History<'_>) -> Option<Proposal> {
        Some(Proposal::all(combinations(&self.sizes)))
    }
}

/// Every combination of one number below each size; the last number changes fastest.
pub fn combinations(sizes: &[usize]) -> Vec<Vec<usize>> {
    let mut points = vec![Vec::new()];
    for &size in sizes {
        let longer = |point: &Vec<usize>| {
            let point = point.clone();
            (0..size).map(move |value| [&point[..], &[value]].concat())
        };
        points = points.iter().flat_map(longer).collect();
    }
    points
}
