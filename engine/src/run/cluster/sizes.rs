//! The resources of workers: kind, memory and time, from what is written, else from what steps took before.

use crate::{
    model::{Profile, StepError, WorkerKind},
    plan::Plan,
    ui::size,
};
use ops::{Device, ErrorKind};
use std::collections::BTreeMap;

/// The resources of a worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkerSize {
    /// Its kind.
    pub kind: String,
    /// Bytes of memory.
    pub memory: u64,
    /// The seconds after which the scheduler ends it.
    pub time: u64,
}

/// The least memory of a worker whose steps nobody knows.
const MIN_MEMORY: u64 = 1 << 30;
/// The time of a worker whose steps nobody knows, and the least time of any whose time is not written.
const UNKNOWN_TIME: u64 = 3600;
const MIN_TIME: u64 = 600;
/// The longest time before its end at which a worker leaves, in seconds, unless the profile says another.
const NOTICE: u64 = 120;
/// The least seconds that a worker has.
const MIN_USABLE: u64 = 5;
/// The seconds of work for which a further worker is worth starting.
const WORTH_A_WORKER: f64 = 600.0;

/// The seconds before its end at which a worker leaves.
fn notice(time: u64, profile: &Profile) -> u64 {
    // Of a short time, most is left for work.
    profile.grace_period.unwrap_or(NOTICE.min(time / 6)).min(time.saturating_sub(MIN_USABLE))
}

/// The seconds after which a worker leaves.
pub fn usable(time: u64, profile: &Profile) -> u64 {
    time - notice(time, profile)
}

/// The seconds before its end at which the scheduler asks a worker to leave that has not left: up to a minute earlier.
pub fn signal(time: u64, profile: &Profile) -> u64 {
    notice(time, profile) / 2
}

/// The time of a worker that has so many usable seconds, in whole minutes, as Slurm counts.
fn time_for(seconds: u64, profile: &Profile) -> u64 {
    let mut times = ((seconds / 60).max(1)..).map(|minutes| minutes * 60);
    times.find(|time| usable(*time, profile) >= seconds).unwrap_or(seconds)
}

/// Returns the number of workers worth starting for so many steps, which take so many seconds together.
pub fn useful_workers(kind: &WorkerKind, steps: usize, seconds: Option<f64>) -> usize {
    let useful = seconds.map_or(steps, |seconds| (seconds / WORTH_A_WORKER).ceil() as usize);
    kind.max_workers.min(steps).min(useful.max(1))
}

/// The seconds that a step is likely to take: what it took before, else what is written.
pub fn expected_seconds(plan: &Plan<'_>, step: usize) -> Option<f64> {
    let written = plan.pipeline.steps[step].needs.time;
    plan.steps()[step].cost.seconds.or(written.map(|seconds| seconds as f64))
}

/// The seconds that a worker must have for a step; none if nobody knows, or if others can go on with it.
fn seconds(plan: &Plan<'_>, step: usize, profile: &Profile) -> Option<u64> {
    let own = &plan.pipeline.steps[step];
    let predicted = plan.steps()[step].cost.seconds;
    let predicted = predicted.map(|seconds| (seconds * profile.time_margin).ceil() as u64);
    own.needs.time.or(predicted).filter(|_| own.entry.progressive.is_empty())
}

/// The kind of worker of each step, and the seconds that it must have for it.
pub type Assignment = (Vec<Option<String>>, Vec<Option<u64>>);

/// The kind of worker of each step: the smallest one that it fits into; and the seconds that a worker must have for it.
///
/// # Errors
/// The steps that fit into none.
pub fn assign(plan: &Plan<'_>, profile: &Profile) -> Result<Assignment, Vec<StepError>> {
    let (mut kinds, mut times, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (step, planned)) in plan.pipeline.steps.iter().zip(plan.steps()).enumerate() {
        if !plan.wanted[index] {
            kinds.push(None);
            times.push(None);
            continue;
        }
        let memory = memory(step.needs.memory, planned.cost.memory, profile);
        let on_gpu = step.place != Device::Cpu || step.needs.gpu_memory.is_some();
        let gpus = step.needs.gpus.max(usize::from(on_gpu));
        let threads = step.needs.threads.unwrap_or(1);
        let needs = seconds(plan, index, profile);
        let is_large = |kind: &&WorkerKind| {
            let of_gpu = kind.gpu_memory.zip(step.needs.gpu_memory);
            kind.gpus >= gpus
                && kind.cpus >= threads
                && kind.memory.is_none_or(|has| has >= memory)
                && of_gpu.is_none_or(|(has, needs)| has >= needs)
        };
        let is_long = |kind: &&WorkerKind| {
            let most = kind.time.map(|time| usable(time.max(kind.max_time.unwrap_or(0)), profile));
            most.zip(needs).is_none_or(|(most, needs)| needs <= most)
        };
        let mut large = profile.kinds.iter().filter(is_large);
        let fits = large.clone().find(is_long);
        // A prediction may be wrong, so the longest worker tries it.
        let tries =
            || large.clone().max_by_key(|kind| kind.time).filter(|_| step.needs.time.is_none());
        let found = fits.or_else(tries);
        if found.is_none() && planned.finished.is_none() {
            let parts = [
                Some(reports::count(threads, "processor")),
                Some(format!("{} of memory", size::bytes(memory))),
                (gpus > 0).then(|| reports::count(gpus, "GPU")),
                step.needs
                    .gpu_memory
                    .map(|bytes| format!("{} of a GPU's memory", size::bytes(bytes))),
                needs.filter(|_| large.next().is_some()).map(|time| reports::duration(time as f64)),
            ];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            let message =
                format!("no kind of workers is large enough: it needs {}", parts.join(", "));
            let help = "add a larger kind to `workers` of the profile, or state what the step takes: `resources: { memory: 8GB, time: 2h }`";
            errors.push(StepError::new(index, ErrorKind::Input, message).help(help));
        }
        kinds.push(found.or(profile.kinds.first()).map(|kind| kind.name.clone()));
        times.push(needs.filter(|_| fits.is_some()));
    }
    if errors.is_empty() { Ok((kinds, times)) } else { Err(errors) }
}

/// The memory that a step is given: what is written, else what is predicted times a margin.
fn memory(written: Option<u64>, predicted: Option<u64>, profile: &Profile) -> u64 {
    written.unwrap_or_else(|| (predicted.unwrap_or(0) as f64 * profile.memory_margin) as u64)
}

/// Returns the resources of the workers of each kind, by its name: those that are written, or what its largest and its
/// longest step are likely to take.
pub fn sizes(
    plan: &Plan<'_>,
    (kinds, times): &Assignment,
    profile: &Profile,
) -> BTreeMap<String, WorkerSize> {
    let of = |kind: &WorkerKind| {
        let steps = || (0..kinds.len()).filter(|step| kinds[*step].as_ref() == Some(&kind.name));
        let needs = |step: usize| {
            let (written, predicted) =
                (plan.pipeline.steps[step].needs.memory, plan.steps()[step].cost.memory);
            memory(written, predicted, profile)
        };
        let memory =
            kind.memory.unwrap_or_else(|| steps().map(needs).max().unwrap_or(0).max(MIN_MEMORY));
        let longest = steps()
            .filter_map(|step| times[step])
            .max()
            .map_or(0, |seconds| time_for(seconds, profile));
        let time = kind.time.map(|time| time.max(longest)).unwrap_or_else(|| {
            let is_known = steps().all(|step| expected_seconds(plan, step).is_some());
            longest.max(if is_known { MIN_TIME } else { UNKNOWN_TIME })
        });
        WorkerSize { kind: kind.name.clone(), memory, time }
    };
    profile.kinds.iter().map(|kind| (kind.name.clone(), of(kind))).collect()
}

/// A request for workers of one kind, by a plan.
pub struct WorkerRequest<'p> {
    /// The kind.
    pub kind: &'p WorkerKind,
    /// The resources of each worker.
    pub size: WorkerSize,
    /// The number of workers.
    pub workers: usize,
    /// The number of steps that are known to need work, or may need it.
    pub steps: usize,
    /// The seconds that they are likely to take, if all are known.
    pub seconds: Option<f64>,
}

/// Returns the workers that a plan asks for, kind by kind.
///
/// # Errors
/// The steps that fit into no kind.
pub fn worker_requests<'p>(
    plan: &Plan<'_>,
    profile: &'p Profile,
) -> Result<Vec<WorkerRequest<'p>>, Vec<StepError>> {
    let assigned = assign(plan, profile)?;
    let mut sizes = sizes(plan, &assigned, profile);
    let mut counts: BTreeMap<&str, (usize, Option<f64>)> = BTreeMap::new();
    for step in to_run(plan) {
        let Some(kind) = &assigned.0[step] else { continue };
        let count = counts.entry(kind).or_insert((0, Some(0.0)));
        count.0 += 1;
        count.1 = count.1.zip(expected_seconds(plan, step)).map(|(a, b)| a + b);
    }
    let of = |kind: &'p WorkerKind| {
        let (steps, seconds) = *counts.get(&*kind.name)?;
        let size = sizes.remove(&kind.name)?;
        Some(WorkerRequest {
            kind,
            size,
            workers: useful_workers(kind, steps, seconds),
            steps,
            seconds,
        })
    };
    Ok(profile.kinds.iter().filter_map(of).collect())
}

/// The steps without a result, or whose result may change.
pub fn to_run(plan: &Plan<'_>) -> Vec<usize> {
    let steps = (0..plan.wanted.len()).filter(|step| plan.wanted[*step]);
    steps
        .filter(|step| {
            plan.lookups[*step].finished().is_none() || plan.options.force.contains(step)
        })
        .collect()
}

/// The predicted seconds of all that must run, if they are known and few enough to run on this machine.
pub fn short(plan: &Plan<'_>, profile: &Profile) -> Option<f64> {
    let seconds: Option<f64> =
        to_run(plan).into_iter().map(|step| plan.steps()[step].cost.seconds).sum();
    seconds.filter(|seconds| *seconds < profile.run_locally_below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_has_the_time_that_was_asked_for() {
        for written in [None, Some(52), Some(600)] {
            let profile = Profile {
                store: None,
                kinds: Vec::new(),
                setup: String::new(),
                program: None,
                paths: BTreeMap::new(),
                run_locally_below: 60.0,
                heartbeat: 10.0,
                grace_period: written,
                idle_timeout: 60.0,
                memory_margin: 1.5,
                time_margin: 2.0,
            };
            let usable = |time| usable(time, &profile);
            for seconds in [1, 50, 51, 600, 700, 7200, 100_000] {
                let time = time_for(seconds, &profile);
                assert!(usable(time) >= seconds && time.is_multiple_of(60), "{seconds}: {time}");
                assert!(time <= 60 || usable(time - 60) < seconds, "{seconds}: {time} is too long");
            }
        }
    }
}
