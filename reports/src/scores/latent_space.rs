//! The properties of the latent spaces that rows are scored on.

use super::{output, steps::Steps};
use cache::{Kind, Store, StoreError};

/// The properties of the latent space of a model.
#[derive(Clone, Debug)]
pub struct LatentSpace {
    /// The step that made the model.
    pub step: String,
    /// The number of active units.
    pub active: f64,
    /// The number of units.
    pub units: usize,
    /// The participation ratio of the covariance of the latent means.
    pub effective_dimension: f64,
    /// The total KL divergence in nats per clip; only for variational models.
    pub total_kl: Option<f64>,
}

/// The latent space of an output `step.port`, if its step also made diagnostics of the space.
pub fn read(
    space: &str,
    steps: &Steps<'_>,
    store: &Store,
) -> Result<Option<LatentSpace>, StoreError> {
    let step = space.rsplit_once('.').and_then(|(step, _)| steps.get(step));
    let Some((step, digest)) = step.and_then(|step| Some((step, output(step, Kind::Diagnostics)?)))
    else {
        return Ok(None);
    };
    let artifact = store.get(digest)?;
    let number = |name| artifact.meta.get(name).and_then(serde_json::Value::as_f64);
    let units = artifact.as_table().map_or(0, cache::Table::rows);
    let total_kl = number("total_kl");
    let found = number("active_units").zip(number("effective_dimension"));
    Ok(found.map(|(active, effective_dimension)| LatentSpace {
        step: step.name.clone(),
        active,
        units,
        effective_dimension,
        total_kl,
    }))
}

/// The mean of spaces that differ only by their seed.
pub fn mean(spaces: &[LatentSpace]) -> Option<LatentSpace> {
    let first = spaces.first()?;
    let count = spaces.len() as f64;
    let mean = |of: fn(&LatentSpace) -> f64| spaces.iter().map(of).sum::<f64>() / count;
    let kl: Option<f64> = spaces.iter().map(|space| space.total_kl).sum();
    Some(LatentSpace {
        step: if spaces.len() > 1 { without_seed(&first.step) } else { first.step.clone() },
        active: mean(|space| space.active),
        units: first.units,
        effective_dimension: mean(|space| space.effective_dimension),
        total_kl: kl.map(|kl| kl / count),
    })
}

/// `vae{beta=2}` of `vae{beta=2,seed=1}`.
fn without_seed(step: &str) -> String {
    let Some((base, variant)) = step.strip_suffix('}').and_then(|step| step.split_once('{')) else {
        return step.to_owned();
    };
    let parts: Vec<&str> = variant.split(',').filter(|part| !part.starts_with("seed=")).collect();
    if parts.is_empty() { base.to_owned() } else { format!("{base}{{{}}}", parts.join(",")) }
}
