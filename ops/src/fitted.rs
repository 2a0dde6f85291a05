//! Fitted models as inputs: an op that fits a model applies another one if it is connected.

use crate::{
    Inputs, Op, OpError, Port,
    op::entry::{AnyOp, ParamSchema},
};
use cache::{Artifact, Kind, Shape, Tensor, Tensors};

/// The optional input port, the second of such an op.
pub const MODEL: Port = Port::optional(
    "model",
    &[Kind::Model],
    "A model that was fitted before: it is applied to these clips, and nothing is fitted.",
);

/// True if a model is connected, by the shapes of the inputs.
pub fn is_applied(inputs: &[Option<Shape>]) -> bool {
    inputs.get(1).is_some_and(Option::is_some)
}

/// Warnings about parameters that have no effect where a model is applied: all that are not
/// `kept`.
pub fn unused<O: Op>(op: &O, inputs: &[Option<Shape>], kept: &[&str]) -> Vec<OpError> {
    if !is_applied(inputs) {
        return Vec::new();
    }
    let schema = ParamSchema::of::<O>();
    let names = schema.json["properties"].as_object().into_iter().flatten().map(|(name, _)| name);
    let changed = schema.changed(AnyOp::params(op));
    let idle = names.filter(|name| changed.contains_key(*name) && !kept.contains(&name.as_str()));
    let warning = |name: &'static String| {
        OpError::param(name, format!("`{name}` has no effect where a model is applied"))
            .help("the model was fitted with its own; remove it here")
    };
    idle.map(warning).collect()
}

/// A model that is applied.
pub struct Fitted<'a>(&'a Artifact, &'a Tensors);

impl<'a> Fitted<'a> {
    /// The connected model.
    ///
    /// # Errors
    /// When what is connected is no model.
    pub fn of(inputs: &Inputs<'a>) -> Result<Option<Self>, OpError> {
        let Some(artifact) = inputs.optional(MODEL.name) else { return Ok(None) };
        let tensors = artifact.as_tensors();
        let tensors = tensors.ok_or_else(|| OpError::data("port `model` holds no tensors"))?;
        Ok(Some(Self(artifact, tensors)))
    }

    /// The model as it came in, to be handed on.
    pub fn artifact(&self) -> Artifact {
        self.0.clone()
    }

    /// All tensors.
    pub fn tensors(&self) -> &'a Tensors {
        self.1
    }

    /// A value of the metadata.
    pub fn meta(&self, name: &str) -> Option<&'a serde_json::Value> {
        self.0.meta.get(name)
    }

    /// A tensor with as many axes, all of its numbers finite.
    ///
    /// # Errors
    /// When there is no such tensor.
    pub fn tensor(&self, name: &str, axes: usize) -> Result<&'a Tensor, OpError> {
        let found = self.1.get(name).filter(|tensor| tensor.shape.len() == axes);
        let tensor =
            found.ok_or_else(|| self.unfit(format!("holds no `{name}` of {axes} axes")))?;
        if tensor.values.iter().any(|value| !value.is_finite()) {
            return Err(self.unfit(format!("has a number in `{name}` that is not finite")));
        }
        Ok(tensor)
    }

    /// The error of a model that cannot be applied; `reason` is the end of a sentence about it.
    pub fn unfit(&self, reason: impl std::fmt::Display) -> OpError {
        OpError::data(format!("the model at port `model` {reason}"))
            .help("connect the output `model` of a step of the same op")
    }

    /// Checks that the model is of as many features as the clips have.
    ///
    /// # Errors
    /// When it is not.
    pub fn check_width(&self, own: usize, width: usize) -> Result<(), OpError> {
        if own == width {
            return Ok(());
        }
        Err(OpError::data(format!("the model is of {own} features, and these clips have {width}"))
            .help("make the features as those that the model was fitted on"))
    }

    /// Checks that the model has as many clusters as the step says.
    ///
    /// # Errors
    /// When it has not.
    pub fn check_clusters(&self, own: usize, given: usize) -> Result<(), OpError> {
        if own == given {
            return Ok(());
        }
        let message = format!("the model has {own} clusters, not {given}");
        Err(OpError::param("clusters", message).help(format!("write `clusters: {own}`")))
    }
}
