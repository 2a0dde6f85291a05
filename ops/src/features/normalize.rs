//! The op `normalize`: scaling of features.

use crate::{
    Ctx, Inputs, Op, OpError, Outputs, Port,
    math::scale::{self, Affine},
};
use cache::{Array, Artifact, Data, Kind, Shape, Table};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Brings features to a common scale.
///
/// `z_score` gives (x − mean) / standard deviation, dividing by the number of values as NumPy's
/// `std`; `min_max` gives (x − min) / (max − min), from 0 to 1. `scope` says over what: all
/// values at once, each feature over the clips, or each clip over its features. Where all values
/// are equal the result is 0, as in scikit-learn; with `scope: global` that is an error, since
/// nothing would be left.
///
/// Source: scikit-learn's `StandardScaler` and `MinMaxScaler` for `scope: per_bin`, NumPy for the
/// others; sums are in double precision and in a fixed order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// Which values share a scale.
    #[serde(default)]
    pub scope: Scope,
    /// What the scale is.
    #[serde(default)]
    pub method: Method,
}

/// Which values share a scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of them.
    #[default]
    Global,
    /// Those at one place of a row, such as one band in one frame, over all clips.
    PerBin,
    /// Those of one clip.
    PerClip,
}

/// What the scale is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Mean 0 and standard deviation 1.
    #[default]
    ZScore,
    /// From 0 to 1.
    MinMax,
}

impl Op for Normalize {
    const NAME: &'static str = "normalize";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[Port::new(
        "features",
        &[Kind::Spectrogram, Kind::Matrix],
        "images or vectors, every number finite",
    )];
    const OUTPUTS: &'static [Port] = &[Port::new(
        "features",
        &[Kind::Spectrogram, Kind::Matrix],
        "the same, scaled; of the kind that came in",
    )];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let input = inputs.first().cloned().flatten();
        Ok(vec![input.unwrap_or_else(|| Shape::of(Kind::Spectrogram))])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        let scaled = self.scale(features, cx)?;
        let table = Table::new().with_text("clip_id", ids.iter().cloned()).with_array(
            "features",
            features.shape(),
            scaled,
        );
        let input = inputs.get("features")?;
        let meta = input.meta.clone();
        Ok(Outputs::new()
            .with("features", Artifact { kind: input.kind, meta, data: Data::Table(table) }))
    }
}

impl Normalize {
    fn scale(&self, features: &Array, cx: &Ctx<'_>) -> Result<Vec<f32>, OpError> {
        let (values, width) = (features.values(), features.width());
        let mut scaled = vec![0.0; values.len()];
        let rows = scaled.par_chunks_exact_mut(width).zip(values.par_chunks_exact(width));
        match self.scope {
            Scope::Global => {
                let affine = match self.method {
                    Method::ZScore => scale::z_score(values),
                    Method::MinMax => scale::min_max(values),
                };
                if affine.is_constant() {
                    return Err(OpError::data(format!("all values are {}", values[0]))
                        .help("check the recordings, or use `scope: per_clip`"));
                }
                cx.stop_if_cancelled()?;
                rows.for_each(|(out, row)| affine.apply(row, out));
            }
            Scope::PerBin => {
                let bins = match self.method {
                    Method::ZScore => scale::z_score_columns(values, width),
                    Method::MinMax => scale::min_max_columns(values, width),
                };
                cx.stop_if_cancelled()?;
                rows.for_each(|(out, row)| Affine::apply_each(&bins, row, out));
            }
            Scope::PerClip => rows.for_each(|(out, row)| {
                let affine = match self.method {
                    Method::ZScore => scale::z_score(row),
                    Method::MinMax => scale::min_max(row),
                };
                affine.apply(row, out);
            }),
        }
        Ok(scaled)
    }
}
