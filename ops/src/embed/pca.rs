//! The op `pca`: principal components.

use crate::fitted::{self, Fitted, MODEL, is_applied};
use crate::math::pca::{self, Fit, Moments, exact, moments, project, randomized};
use crate::memory::{Features, whole};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{
    Array, Artifact, Kind, Shape, Table,
    tensors::{Tensor, Tensors},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// The largest short side for which `auto` takes the exact solver.
const EXACT_SIDE: usize = 1000;

/// Principal components of the clips' features.
///
/// With X the features, one row a clip, and x̄ their mean, the components v are the eigenvectors of
/// the covariance (X − x̄)ᵀ(X − x̄) / (n − 1) with the largest eigenvalues λ, the explained
/// variances; `latent` is (X − x̄) Vᵀ. The sign of a component makes its entry of largest magnitude
/// positive. The ratio is against the variance of all features, not of the kept components.
///
/// `auto` is `full` where the clips or the features are at most 1,000, or where at least 80 % of
/// all components are wanted, and `randomized` otherwise. `full` is exact. `randomized` is a seeded
/// block Krylov method, whose leading variances agree with the exact ones to about 1e-5.
///
/// With a `model` at the input its components and its mean are used, and nothing is fitted; `spectrum`
/// then holds the variances of these clips along them.
///
/// Source: `sklearn.decomposition.PCA` of scikit-learn 1.9, whose `auto` is exact less often.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pca {
    /// The number of components to keep; at most the number of clips and of features.
    #[serde(default = "default_components")]
    pub components: NonZeroU32,
    /// The algorithm that finds the components.
    #[serde(default)]
    pub solver: Solver,
    /// Divides each column of `latent` by its standard deviation.
    #[serde(default)]
    pub whiten: bool,
}

fn default_components() -> NonZeroU32 {
    NonZeroU32::new(32).expect("32 is not 0")
}

/// An algorithm that finds components.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// `full` or `randomized`, by size.
    #[default]
    Auto,
    /// Exact, in double precision.
    Full,
    /// The leading components alone, by random projection.
    Randomized,
}

impl Pca {
    fn exactly(&self, n: usize, d: usize) -> bool {
        match self.solver {
            Solver::Full => true,
            Solver::Randomized => false,
            Solver::Auto => {
                n.min(d) <= EXACT_SIDE || self.components.get() as f64 >= 0.8 * n.min(d) as f64
            }
        }
    }

    fn check_size(&self, n: Option<usize>, d: Option<usize>) -> Result<(), OpError> {
        let wanted = self.components.get() as usize;
        for (have, what) in [(n, "clips"), (d, "features")] {
            if let Some(have) = have.filter(|&have| have < wanted) {
                let message = format!("{have} {what} cannot make {wanted} components");
                return Err(OpError::param("components", message).help(format!(
                    "there are at most as many components as {what}: ask for {have} or fewer"
                )));
            }
        }
        if n == Some(1) {
            return Err(OpError::data("one clip has no variance").help("give at least two clips"));
        }
        Ok(())
    }
}

impl Op for Pca {
    const NAME: &'static str = "pca";
    const TITLE: &'static str = "PCA";
    const VERSION: u32 = 1;
    const SEEDED: bool = true;
    const INPUTS: &'static [Port] = &[Port::FEATURES, MODEL];
    const OUTPUTS: &'static [Port] = &[
        Port::new("latent", &[Kind::Matrix], "The clips along the components."),
        Port::new("model", &[Kind::Model], "Components, mean and explained variances."),
        Port::new("spectrum", &[Kind::Diagnostics], "The variance along each component."),
    ];

    fn learns(&self) -> bool {
        true
    }

    fn warnings(&self, inputs: &[Option<Shape>]) -> Vec<OpError> {
        fitted::unused(self, inputs, &[])
    }

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let features = inputs.first().and_then(Option::as_ref);
        let rows = features.and_then(|shape| shape.rows);
        if is_applied(inputs) {
            let latent = Shape::of(Kind::Matrix).with_rows(rows);
            return Ok(vec![latent, Shape::of(Kind::Model), Shape::of(Kind::Diagnostics)]);
        }
        self.check_size(rows, features.and_then(Shape::width))?;
        let k = self.components.get() as usize;
        Ok(vec![
            Shape::of(Kind::Matrix).with_rows(rows).with_row(Some(vec![k])),
            Shape::of(Kind::Model),
            Shape::of(Kind::Diagnostics).with_rows(Some(k)),
        ])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        let exactly = self.exactly(x.n as usize, x.width as usize);
        let components = f64::from(self.components.get());
        whole(x.bytes + pca::memory(x.n, x.width, components, exactly))
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        if let Some(model) = Fitted::of(inputs)? {
            cx.stop_if_cancelled()?;
            return apply(&model, ids, features);
        }
        let (n, d, k) = (features.rows(), features.width(), self.components.get() as usize);
        self.check_size(Some(n), Some(d))?;
        let x = features.values();
        let moments = moments(x, d);
        if moments.total_variance <= 0.0 {
            return Err(OpError::data(format!("all {n} clips have the same features"))
                .help("PCA needs clips that differ; look at the step before"));
        }
        cx.stop_if_cancelled()?;
        let fit = if self.exactly(n, d) {
            exact(x, &moments, k)
        } else {
            randomized(x, &moments, k, cx.seed, &mut |block| {
                cx.progress.at(block as u64, 12, "block");
                !cx.cancel.is_cancelled()
            })
        };
        cx.stop_if_cancelled()?;
        let fit = fit.ok_or_else(|| {
            OpError::data("the covariance of the features is beyond the range of numbers")
                .help("normalize the features first")
        })?;
        Ok(self.outputs(ids, n, d, &moments, fit))
    }
}

/// The clips along the components of a model.
fn apply(model: &Fitted<'_>, ids: &[String], features: &Array) -> Result<Outputs, OpError> {
    let wide = |tensor: &Tensor| tensor.values.iter().map(|it| f64::from(*it)).collect::<Vec<_>>();
    let (components, mean) = (model.tensor("components", 2)?, model.tensor("mean", 1)?);
    let variances = model.tensor("explained_variance", 1)?;
    let [k, d] = components.shape[..] else { unreachable!("it has two axes") };
    if k == 0 || mean.shape != [d] || variances.shape != [k] {
        return Err(model.unfit("has components that do not fit its mean and variances"));
    }
    model.check_width(d, features.width())?;
    let latent = project(features.values(), &wide(mean), &wide(components));
    let whitened = model.meta("whiten").and_then(serde_json::Value::as_bool) == Some(true);
    let variance = column_variances(&latent, k);
    let scale = |(value, variance): (&f64, &f32)| match whitened && *variance > 0.0 {
        true => (value / f64::from(*variance).sqrt()) as f32,
        false => *value as f32,
    };
    let scaled =
        latent.chunks_exact(k).flat_map(|row| row.iter().zip(&variances.values).map(scale));
    let table = Table::new().with_text("clip_id", ids.iter().cloned()).with_array(
        "features",
        [k],
        scaled.collect(),
    );
    let total = moments(features.values(), d).total_variance;
    let of = |f: &dyn Fn(f64) -> f64| variance.iter().map(|it| f(*it)).collect::<Vec<f64>>();
    let n = features.rows() as f64;
    let spectrum = Table::new()
        .with_ints("component", (0..k as i64).collect())
        .with_reals("explained_variance", of(&|it| it))
        .with_reals("explained_variance_ratio", of(&|it| it / total))
        .with_reals("singular_value", of(&|it| (it * (n - 1.0)).sqrt()));
    let spectrum = Artifact::table(Kind::Diagnostics, spectrum).with_meta("total_variance", total);
    Ok(Outputs::new()
        .with("latent", Artifact::table(Kind::Matrix, table))
        .with("model", model.artifact())
        .with("spectrum", spectrum))
}

/// The variance of each of `k` columns, divided by the number of rows less one.
fn column_variances(values: &[f64], k: usize) -> Vec<f64> {
    let n = (values.len() / k) as f64;
    let of = |column: usize| {
        let own = || values.iter().skip(column).step_by(k);
        let mean = own().sum::<f64>() / n;
        own().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)
    };
    (0..k).map(of).collect()
}

impl Pca {
    fn outputs(&self, ids: &[String], n: usize, d: usize, moments: &Moments, fit: Fit) -> Outputs {
        let k = fit.explained_variance.len();
        let scale: Vec<f64> = fit
            .explained_variance
            .iter()
            .map(|&variance| match self.whiten {
                true if variance > 0.0 => 1.0 / variance.sqrt(),
                _ => 1.0,
            })
            .collect();
        let latent = fit
            .latent
            .chunks_exact(k)
            .flat_map(|row| row.iter().zip(&scale).map(|(value, scale)| (value * scale) as f32))
            .collect();
        let latent = Table::new().with_text("clip_id", ids.iter().cloned()).with_array(
            "features",
            [k],
            latent,
        );
        let tensor = |shape: Vec<usize>, values: &[f64]| Tensor {
            shape,
            values: values.iter().map(|&v| v as f32).collect(),
        };
        let model = Tensors::from([
            ("components".to_owned(), tensor(vec![k, d], &fit.components)),
            ("mean".to_owned(), tensor(vec![d], &moments.mean)),
            ("explained_variance".to_owned(), tensor(vec![k], &fit.explained_variance)),
        ]);
        let of = |f: &dyn Fn(f64) -> f64| fit.explained_variance.iter().map(|&v| f(v)).collect();
        let spectrum = Table::new()
            .with_ints("component", (0..k as i64).collect())
            .with_reals("explained_variance", of(&|v| v))
            .with_reals("explained_variance_ratio", of(&|v| v / moments.total_variance))
            .with_reals("singular_value", of(&|v| (v * (n as f64 - 1.0)).sqrt()));
        let solver = if self.exactly(n, d) { "full" } else { "randomized" };
        Outputs::new()
            .with("latent", Artifact::table(Kind::Matrix, latent))
            .with("model", Artifact::tensors(Kind::Model, model).with_meta("whiten", self.whiten))
            .with(
                "spectrum",
                Artifact::table(Kind::Diagnostics, spectrum)
                    .with_meta("solver", solver)
                    .with_meta("total_variance", moments.total_variance),
            )
    }
}
