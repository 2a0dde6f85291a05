//! The op `shuffle`: features whose columns are permuted independently.

use crate::math::shuffle;
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Kind, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The same features, each column in a random order of its own: a null model for clusters.
///
/// Every feature keeps its values, and so its distribution, but no clip keeps its features: what
/// ties features to each other and to the classes is gone. What a clustering and its scores make of
/// the result, they would make of features that say nothing.
///
/// Source: the permutation null of independent columns; orders by Fisher and Yates.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shuffle {}

impl Op for Shuffle {
    const NAME: &'static str = "shuffle";
    const VERSION: u32 = 1;
    const SEEDED: bool = true;
    const INPUTS: &'static [Port] = &[Port::new(
        "features",
        &[Kind::Matrix, Kind::Spectrogram],
        "images or vectors, every number finite",
    )];
    const OUTPUTS: &'static [Port] = &[Port::new(
        "features",
        &[Kind::Matrix, Kind::Spectrogram],
        "the same numbers, each column in another order; of the kind that came in",
    )];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let input = inputs.first().cloned().flatten();
        Ok(vec![input.unwrap_or_else(|| Shape::of(Kind::Matrix))])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        let input = inputs.get("features")?;
        let values = shuffle::columns(features.values(), features.width(), cx.seed, 0);
        let shuffled = super::with_values(input, ids, features.shape(), values);
        Ok(Outputs::new().with("features", shuffled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_keep_their_values_and_rows_fall_apart() {
        let (rows, width) = (50, 70);
        let x: Vec<f32> =
            (0..rows * width).map(|at| (at / width + 1000 * (at % width)) as f32).collect();
        let made = shuffle::columns(&x, width, 1, 0);
        for column in 0..width {
            let sorted = |x: &[f32]| {
                let mut own: Vec<f32> = x.iter().skip(column).step_by(width).copied().collect();
                own.sort_by(f32::total_cmp);
                own
            };
            assert_eq!(sorted(&made), sorted(&x));
        }
        let whole = made.chunks_exact(width).filter(|row| (row[0] - row[1]).abs() == 1000.0);
        assert!(whole.count() < 10);
        assert_ne!(made, shuffle::columns(&x, width, 2, 0));
    }
}
