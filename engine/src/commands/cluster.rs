//! The cluster of `run` and `plan`: its profile, and the workers that a plan asks for.

use super::prepare::MAX_PIPELINE_BYTES;
use crate::{
    cli::{BAD_INPUT, CommandError, PlaceArgs, PlanArgs},
    model::Profile,
    plan::Plan,
    run::cluster::sizes::{WorkerRequest, short},
    spec::read_profile,
    ui::{
        fold::{self, paragraph},
        size,
    },
};
use cache::{regular, store::plain};
use serde_json::{Value, json};

/// The profile of the cluster, if steps are to run on one. What it says of the store and of GPUs goes into the options.
///
/// # Errors
/// Returns the exit code if the profile is faulty, or if none is named.
pub fn profile(place: &PlaceArgs, plan: &mut PlanArgs) -> Result<Option<Profile>, CommandError> {
    let Some(path) = place.profile()? else { return Ok(None) };
    let refuse = |error: String| {
        CommandError::new(BAD_INPUT, format!("cannot read `{}`: {error}", path.display()))
    };
    let text = regular::read(&path, MAX_PIPELINE_BYTES).map_err(|error| refuse(plain(&error)))?;
    let text = String::from_utf8(text).map_err(|_| refuse("it is not UTF-8".to_owned()))?;
    let profile = read_profile(&path, text).map_err(|diagnostics| CommandError::Pipeline {
        code: BAD_INPUT,
        source: diagnostics.source,
        diagnostics: diagnostics.diagnostics,
        summary: None,
    })?;
    if let Some(store) = &profile.store {
        plan.store.store.clone_from(store);
    }
    plan.gpus_elsewhere = profile.kinds.iter().any(|kind| kind.gpus > 0);
    Ok(Some(profile))
}

/// Describes the workers that a plan asks for, a line each.
pub fn describe_workers(
    plan: &Plan<'_>,
    profile: &Profile,
    requests: &[WorkerRequest<'_>],
) -> String {
    if let Some(seconds) = short(plan, profile).filter(|_| !requests.is_empty()) {
        let time = reports::duration(seconds);
        let here = format!("it would run here, since what must run is likely to take {time}");
        return paragraph("", &here, fold::width());
    }
    let describe = |request: &WorkerRequest<'_>| {
        let WorkerRequest { kind, size, workers, steps, seconds } = request;
        let has = [
            Some(reports::count(kind.cpus, "processor")),
            Some(size::bytes(size.memory)),
            (kind.gpus > 0).then(|| reports::count(kind.gpus, "GPU")),
        ];
        let has: Vec<String> = has.into_iter().flatten().collect();
        let takes = seconds.map_or("an unknown time".to_owned(), |seconds| {
            format!("about {}", reports::duration(seconds))
        });
        // As many as are worth their start: how many steps are ready at once is seen when they are.
        let workers = match *workers {
            0 | 1 => reports::count(*workers, "job"),
            more => format!("at most {more} jobs"),
        };
        let line = format!(
            "{workers} `{}` on Slurm, each with {}, for at most {}: {} of {takes}",
            kind.name,
            has.join(", "),
            reports::duration(size.time as f64),
            reports::count(*steps, "step"),
        );
        paragraph("", &line, fold::width())
    };
    requests.iter().map(describe).collect()
}

/// The workers of one kind as JSON.
pub fn in_json(request: &WorkerRequest<'_>) -> Value {
    let WorkerRequest { kind, size, workers, steps, seconds } = request;
    json!({
        "kind": kind.name, "jobs": workers, "cpus": kind.cpus, "gpus": kind.gpus, "memory": size.memory,
        "seconds": size.time, "partition": kind.partition, "steps": steps, "work_seconds": seconds,
    })
}
