//! The op `normalize`: scaling of features.

use crate::{
    Ctx, Inputs, Op, OpError, Outputs, Port,
    fitted::{self, Fitted, MODEL},
    math::scale::{self, Affine},
};
use cache::{
    Array, Artifact, Kind, Shape,
    tensors::{Tensor, Tensors},
};
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
/// `model` holds `shift` and `scale` of (x − shift) / scale, in single precision. With a `model` at the
/// input its scale is applied to these clips, so that what is held out is scaled by what was fitted on. A
/// clip is scaled by itself with `scope: per_clip`, which therefore makes no model.
///
/// Source: scikit-learn's `StandardScaler` and `MinMaxScaler` for `scope: per_bin`, their `transform` for
/// a model, NumPy for the others; sums are in double precision and in a fixed order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// The values that share a scale.
    #[serde(default)]
    pub scope: Scope,
    /// The scaling method.
    #[serde(default)]
    pub method: Method,
}

/// The values that share a scale.
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

/// A scaling method.
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
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[
        Port::new(
            "features",
            &[Kind::Spectrogram, Kind::Matrix],
            "images or vectors, every number finite",
        ),
        MODEL,
    ];
    const OUTPUTS: &'static [Port] = &[
        Port::new(
            "features",
            &[Kind::Spectrogram, Kind::Matrix],
            "the same, scaled; of the kind that came in",
        ),
        Port::optional("model", &[Kind::Model], "the scale, unless each clip has its own"),
    ];

    fn learns(&self) -> bool {
        self.scope != Scope::PerClip
    }

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let input = inputs.first().cloned().flatten();
        Ok(vec![input.unwrap_or_else(|| Shape::of(Kind::Spectrogram)), Shape::of(Kind::Model)])
    }

    fn warnings(&self, inputs: &[Option<Shape>]) -> Vec<OpError> {
        fitted::unused(self, inputs, &[])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        let scales = match Fitted::of(inputs)? {
            Some(model) => Scales::read(&model, features.width())?,
            None => self.fit(features)?,
        };
        cx.stop_if_cancelled()?;
        let (input, values) = (inputs.get("features")?, scales.apply(features));
        let scaled = super::with_values(input, ids, features.shape(), values);
        let outputs = Outputs::new().with("features", scaled);
        Ok(match scales.model(features.shape()) {
            Some(model) => outputs.with(MODEL.name, Artifact::tensors(Kind::Model, model)),
            None => outputs,
        })
    }
}

/// The fitted scales.
enum Scales {
    /// One scale for all values.
    Global(Affine),
    /// A scale for each feature.
    PerBin(Vec<Affine>),
    /// The scale of each clip itself.
    PerClip(fn(&[f32]) -> Affine),
}

impl Normalize {
    fn fit(&self, features: &Array) -> Result<Scales, OpError> {
        let (values, width) = (features.values(), features.width());
        let of = match self.method {
            Method::ZScore => scale::z_score,
            Method::MinMax => scale::min_max,
        };
        Ok(match (self.scope, self.method) {
            (Scope::Global, _) => {
                let affine = of(values);
                if affine.is_constant() {
                    return Err(OpError::data(format!("all values are {}", values[0]))
                        .help("check the recordings, or use `scope: per_clip`"));
                }
                Scales::Global(affine)
            }
            (Scope::PerBin, Method::ZScore) => {
                Scales::PerBin(scale::z_score_columns(values, width))
            }
            (Scope::PerBin, Method::MinMax) => {
                Scales::PerBin(scale::min_max_columns(values, width))
            }
            (Scope::PerClip, _) => Scales::PerClip(of),
        })
    }
}

impl Scales {
    fn read(model: &Fitted<'_>, width: usize) -> Result<Self, OpError> {
        let tensor = |name: &str| {
            let axes = model.tensors().get(name).map_or(1, |tensor| tensor.shape.len());
            model.tensor(name, axes)
        };
        let (shift, scale) = (tensor("shift")?, tensor("scale")?);
        if shift.shape != scale.shape || scale.values.iter().any(|scale| *scale <= 0.0) {
            return Err(model.unfit("has no positive `scale` for each `shift`"));
        }
        let both = shift.values.iter().zip(&scale.values);
        let affines: Vec<Affine> =
            both.map(|(shift, scale)| Affine::new((*shift).into(), (*scale).into())).collect();
        match affines[..] {
            [affine] if shift.shape == [1] => Ok(Self::Global(affine)),
            _ => {
                model.check_width(affines.len(), width)?;
                Ok(Self::PerBin(affines))
            }
        }
    }

    fn apply(&self, features: &Array) -> Vec<f32> {
        let (values, width) = (features.values(), features.width());
        let mut scaled = vec![0.0; values.len()];
        let rows = scaled.par_chunks_exact_mut(width).zip(values.par_chunks_exact(width));
        match self {
            Self::Global(affine) => rows.for_each(|(out, row)| affine.apply(row, out)),
            Self::PerBin(bins) => rows.for_each(|(out, row)| Affine::apply_each(bins, row, out)),
            Self::PerClip(of) => rows.for_each(|(out, row)| of(row).apply(row, out)),
        }
        scaled
    }

    /// The tensors of the model for rows of this shape.
    fn model(&self, row: &[usize]) -> Option<Tensors> {
        let (shape, affines) = match self {
            Self::Global(affine) => (vec![1], std::slice::from_ref(affine)),
            Self::PerBin(affines) => (row.to_vec(), &affines[..]),
            Self::PerClip(_) => return None,
        };
        let tensor = |of: fn(Affine) -> f64| Tensor {
            shape: shape.clone(),
            values: affines.iter().map(|affine| of(*affine) as f32).collect(),
        };
        Some(Tensors::from([
            ("shift".to_owned(), tensor(Affine::shift)),
            ("scale".to_owned(), tensor(Affine::scale)),
        ]))
    }
}
