//! `engine plan`: shows for each step whether it would run, why, and what that would cost.

use super::{
    cluster,
    prepare::{MissingStore, prepare, refuse},
};
use crate::{
    cli::{CommandError, PlaceArgs, PlanArgs, print},
    model::{Profile, Step},
    plan::{Forecast, Plan, Planned, cost::Cost},
    run::{
        cluster::sizes::{WorkerRequest, worker_requests},
        study::Study,
    },
    ui::{
        fold::{self, paragraph},
        size,
    },
};
use cache::CacheKey;
use clap::Args;
use serde_json::{Value, json};
use tracing::{Level, event_enabled, warn};

/// The arguments of `plan`.
#[derive(Args)]
pub struct PlanCommandArgs {
    /// The pipeline.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// The executor or the cluster.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// Prints the plan.
///
/// # Errors
/// Returns the exit code if the pipeline or its data is faulty.
pub fn plan(args: &PlanCommandArgs) -> Result<(), CommandError> {
    let mut plan = args.plan.clone();
    let profile = cluster::profile(&args.place, &mut plan)?;
    let study = prepare(&plan, None, MissingStore::Empty)?;
    show(&study, args.json, profile.as_ref())?;
    // The process ends here, so the memory of thousands of steps is not freed one by one, which
    // takes time.
    study.store.close();
    std::mem::forget(study);
    Ok(())
}

/// Prints the plan of a pipeline, here or on a cluster.
///
/// # Errors
/// Returns the exit code if a step would not be started.
pub fn show(study: &Study, json: bool, profile: Option<&Profile>) -> Result<(), CommandError> {
    let plan = study.plan();
    let requests = profile.map(|profile| (profile, worker_requests(&plan, profile)));
    let (requests, misfits) = match requests {
        Some((profile, Ok(requests))) => (Some((profile, requests)), Vec::new()),
        Some((_, Err(misfits))) => (None, misfits),
        None => (None, Vec::new()),
    };
    let mut shown = if json { in_json(&plan, requests.as_ref()) } else { text(&plan) };
    if let Some((profile, requests)) = requests.filter(|_| !json) {
        shown.push_str(&cluster::describe_workers(&plan, profile, &requests));
    }
    print(&shown);
    for (step, why) in plan.slow() {
        warn!("{step}: {why}");
    }
    // A machine that runs no step need not have room for any.
    let refused = if profile.is_some() { misfits } else { plan.refused() };
    std::mem::forget(plan);
    if refused.is_empty() { Ok(()) } else { Err(refuse(&study.pipeline, &refused)) }
}

/// The plan as text: a line for each step, and the total cost.
fn text(plan: &Plan<'_>) -> String {
    let Plan { pipeline, options, .. } = plan;
    let width = fold::width();
    let longest = |of: fn(&Step) -> &str| {
        pipeline.steps.iter().map(|step| of(step).chars().count()).max().unwrap_or(0)
    };
    let (names, ops) = (longest(|step| &step.name), longest(|step| step.entry.name));
    let mut text = String::new();
    for (step, planned) in pipeline.steps.iter().zip(plan.steps()) {
        let head = format!(
            "{:<5}  {:<names$}  {:<ops$}  ",
            planned.verdict.name(),
            step.name,
            step.entry.name
        );
        let costs = costs(planned);
        let summary: Vec<&str> =
            [planned.reason.as_str(), &costs].into_iter().filter(|part| !part.is_empty()).collect();
        let summary = summary.join(" ");
        // There is no room for sentences beside long names.
        if head.chars().count() + 36 <= width || summary.is_empty() {
            text.push_str(&paragraph(&head, &summary, width));
        } else {
            text.push_str(&format!("{}\n", head.trim_end()));
            text.push_str(&paragraph("       ", &summary, width));
        }
        if let Some(key) = planned.complete_key().filter(|_| event_enabled!(Level::DEBUG)) {
            text.push_str(&paragraph("       ", &format!("key {}", key.digest()), width));
        }
    }
    text.push_str(&paragraph("", &total(plan, !options.only.is_empty()), width));
    text
}

/// The expected cost of a step, in brackets; empty for a step that does not run.
fn costs(planned: &Planned) -> String {
    match planned.verdict {
        Forecast::Hit | Forecast::Skip => String::new(),
        Forecast::Run | Forecast::Maybe => format!("({})", predicted(&planned.cost)),
    }
}

/// Formats a prediction: time, then memory, then disk.
pub fn predicted(cost: &Cost) -> String {
    let seconds =
        cost.seconds.map_or("no history".to_owned(), |it| format!("~{}", reports::duration(it)));
    let bytes = |bytes: Option<u64>, of: &str| bytes.map(|it| format!("{} {of}", size::bytes(it)));
    let parts = [Some(seconds), bytes(cost.memory, "memory"), bytes(cost.disk, "disk")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The number of steps that run, and their total cost.
fn total(plan: &Plan<'_>, only: bool) -> String {
    let of = |verdict: Forecast| plan.steps().iter().filter(move |step| step.verdict == verdict);
    let steps = plan.steps().len();
    let (runs, may_run) = (of(Forecast::Run).count(), of(Forecast::Maybe).count());
    if runs + may_run == 0 {
        return match only {
            true => "nothing to run: the results are there".to_owned(),
            false => format!("nothing to run: the results of all {steps} steps are there"),
        };
    }
    let mut summary = format!("{runs} of {steps} steps to run");
    if may_run > 0 {
        summary.push_str(&format!(", and perhaps {may_run} more"));
    }
    let seconds = |verdict| of(verdict).filter_map(|step| step.cost.seconds).sum::<f64>();
    let (sure, perhaps) = (seconds(Forecast::Run), seconds(Forecast::Maybe));
    let all = || of(Forecast::Run).chain(of(Forecast::Maybe));
    let unknown = all().filter(|step| step.cost.seconds.is_none()).count();
    if unknown < runs + may_run {
        summary.push_str(&format!("; about {}", reports::duration(sure)));
        if perhaps > 0.0 {
            summary.push_str(&format!(", at most {}", reports::duration(sure + perhaps)));
        }
    }
    if unknown > 0 {
        summary.push_str(&match unknown < runs + may_run {
            true => format!(" and what {unknown} without a history take"),
            false => "; none has a history, so nobody knows how long".to_owned(),
        });
    }
    summary.push_str(&multiverse(plan));
    let disk: u64 = all().filter_map(|step| step.cost.disk).sum();
    let memory = all().filter_map(|step| step.cost.memory).max().unwrap_or(0);
    if disk > 0 {
        summary.push_str(&format!("; {} on disk", size::bytes(disk)));
    }
    if memory > 0 {
        summary.push_str(&format!("; the largest step holds {} in memory", size::bytes(memory)));
    }
    summary
}

/// Describes the cost of the specifications besides the shown one, for a multiverse.
fn multiverse(plan: &Plan<'_>) -> String {
    let variants = &plan.pipeline.variants;
    if variants.shown.is_empty() {
        return String::new();
    }
    let runs = |step: &Planned| matches!(step.verdict, Forecast::Run | Forecast::Maybe);
    let others = plan.steps().iter().enumerate();
    let others = others.filter(|(at, step)| !variants.shown_steps.contains(at) && runs(step));
    let others: Vec<&Planned> = others.map(|(_, step)| step).collect();
    let specifications = variants.count / plan.pipeline.seeds.len().max(1);
    let seconds: f64 = others.iter().filter_map(|step| step.cost.seconds).sum();
    let known = others.iter().any(|step| step.cost.seconds.is_some());
    let time = match known {
        true => format!(", about {}", reports::duration(seconds)),
        false => String::new(),
    };
    format!(
        "; {} of them{time}, only for the {} specifications of the multiverse that the table does not show",
        others.len(),
        specifications.saturating_sub(1)
    )
}

/// A prediction as JSON; unknown values are `null`.
pub fn cost_in_json(cost: &Cost) -> Value {
    json!({ "seconds": cost.seconds, "memory": cost.memory, "disk": cost.disk })
}

/// The plan as JSON.
fn in_json(plan: &Plan<'_>, requests: Option<&(&Profile, Vec<WorkerRequest<'_>>)>) -> String {
    let pipeline = plan.pipeline;
    let steps = pipeline.steps.iter().zip(plan.steps()).map(|(step, planned)| {
        json!({
            "step": step.name, "op": step.entry.name, "status": planned.verdict.name(),
            "reason": planned.reason, "key": planned.complete_key().map(CacheKey::digest),
            "predicted": cost_in_json(&planned.cost),
        })
    });
    let mut plan = json!({ "pipeline": pipeline.name, "steps": steps.collect::<Vec<_>>() });
    if let Some((_, requests)) = requests {
        plan["workers"] = requests.iter().map(cluster::in_json).collect();
    }
    format!("{plan:#}\n")
}
