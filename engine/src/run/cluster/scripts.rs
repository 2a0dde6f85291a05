//! What is submitted: the workers that a plan needs, and their scripts.

use super::{
    driver::Cluster,
    frozen::{Folder, Work, kinds, memory},
    slurm::{self, Script, notice},
};
use crate::{
    model::{Kind, Profile},
    plan::Plan,
    spec::Results,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::Path,
};

/// The least memory of a worker whose steps nobody knows.
pub(super) const LEAST_MEMORY: u64 = 1 << 30;

/// The scripts that a run would submit.
///
/// # Errors
/// A sentence, if the store cannot be written.
pub fn scripts(plan: &Plan<'_>, cluster: &Cluster) -> Result<Vec<String>, String> {
    let Ok(kinds) = kinds(plan, &cluster.profile) else { return Ok(Vec::new()) };
    let digest = Work::of(plan, &cluster.set, &Results::default(), &cluster.profile).digest();
    let memories = memories(plan, &kinds, &cluster.profile);
    let folder = Folder { store: plan.store, name: format!("{}/{digest}", super::WORK) };
    let mut counts: BTreeMap<&str, (usize, Option<f64>)> = BTreeMap::new();
    for step in to_run(plan) {
        let Some(kind) = &kinds[step] else { continue };
        let count = counts.entry(kind).or_insert((0, Some(0.0)));
        count.0 += 1;
        count.1 = count.1.zip(plan.steps()[step].cost.seconds).map(|(a, b)| a + b);
    }
    let text = |kind: &Kind| {
        let (steps, seconds) = counts.get(&*kind.name)?;
        let count = kind.at_most.min(*steps);
        let script =
            script(&cluster.profile, &folder, plan, kind, memories[&kind.name], count, Vec::new());
        let takes = seconds.map_or("an unknown time".to_owned(), reports::duration);
        Some(format!(
            "# {steps} steps for workers `{}`, {takes} of work\n{}",
            kind.name,
            script.text()
        ))
    };
    Ok(cluster.profile.kinds.iter().filter_map(text).collect())
}

/// Asks Slurm whether it would take the workers that a plan needs.
///
/// # Errors
/// What it says against it.
pub fn probe(plan: &Plan<'_>, cluster: &Cluster, kinds: &[Option<String>]) -> Result<(), String> {
    let memories = memories(plan, kinds, &cluster.profile);
    let folder = Folder { store: plan.store, name: super::WORK.to_owned() };
    let steps = to_run(plan);
    for kind in &cluster.profile.kinds {
        if steps.iter().any(|step| kinds[*step].as_ref() == Some(&kind.name)) {
            let script =
                script(&cluster.profile, &folder, plan, kind, memories[&kind.name], 1, Vec::new());
            slurm::probe(&script).map_err(|refusal| refusal.said)?;
        }
    }
    Ok(())
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

/// The bytes of memory of each kind's workers: those that are written, or what its largest step is likely to take.
pub(super) fn memories(
    plan: &Plan<'_>,
    kinds: &[Option<String>],
    profile: &Profile,
) -> BTreeMap<String, u64> {
    let of = |kind: &Kind| {
        let steps = (0..kinds.len()).filter(|step| kinds[*step].as_ref() == Some(&kind.name));
        let needs = |step: usize| {
            let (written, predicted) =
                (plan.pipeline.steps[step].needs.memory, plan.steps()[step].cost.memory);
            memory(written, predicted, profile)
        };
        kind.memory.unwrap_or_else(|| steps.map(needs).max().unwrap_or(0).max(LEAST_MEMORY))
    };
    profile.kinds.iter().map(|kind| (kind.name.clone(), of(kind))).collect()
}

/// The script for workers of one kind.
pub(super) fn script<'a>(
    profile: &'a Profile,
    folder: &Folder<'_>,
    plan: &Plan<'_>,
    kind: &'a Kind,
    memory: u64,
    count: usize,
    exclude: Vec<String>,
) -> Script<'a> {
    let text = |path: &Path| path.display().to_string();
    let program = profile
        .program
        .clone()
        .or_else(|| env::current_exe().ok())
        .unwrap_or_else(|| "engine".into());
    let store =
        std::path::absolute(plan.store.root()).unwrap_or_else(|_| plan.store.root().to_owned());
    let until = kind.time.saturating_sub(notice(kind) / 2);
    let command = vec![
        text(&program),
        "worker".to_owned(),
        folder.name.rsplit('/').next().unwrap_or_default().to_owned(),
        format!("--store={}", text(&store)),
        format!("--kind={}", kind.name),
        format!("--threads={}", kind.cpus),
        format!("--memory={memory}"),
        format!("--gpu-count={}", kind.gpus),
        format!("--until={until}"),
        format!("--beat={}", profile.beat),
    ];
    Script {
        name: job_name(folder),
        kind,
        count,
        memory,
        logs: folder.path("logs"),
        exclude,
        setup: &profile.setup,
        environment: environment(&plan.pipeline.source.text),
        command,
    }
}

/// The variables of the environment that a pipeline reads, with their values here.
fn environment(text: &str) -> Vec<(String, String)> {
    let names: BTreeSet<&str> = text
        .split("${env:")
        .skip(1)
        .map(|rest| rest[..rest.find(['}', ':']).unwrap_or(rest.len())].trim())
        .collect();
    names.into_iter().filter_map(|name| Some((name.to_owned(), env::var(name).ok()?))).collect()
}

/// The name of all jobs of a plan.
pub fn job_name(folder: &Folder<'_>) -> String {
    let digest = folder.name.rsplit('/').next().unwrap_or_default();
    format!("engine-{}", &digest[..digest.len().min(12)])
}
