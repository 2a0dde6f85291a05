//! The scripts of the workers that a plan needs.

use super::{
    driver::Cluster,
    frozen::{PlanFolder, Work, on_nodes},
    sizes::{
        Assignment, WorkerRequest, WorkerSize, signal, sizes, to_run, usable, worker_requests,
    },
    slurm::{self, Script},
};
use crate::{
    model::{Profile, StepError, WorkerKind},
    plan::Plan,
    spec::Results,
};
use cache::{StoreError, store::plans::JOB_LOGS};
use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
};

/// The part of the script that all workers of a plan share.
pub(super) struct ScriptTemplate<'a> {
    profile: &'a Profile,
    name: String,
    logs: PathBuf,
    environment: Vec<(String, String)>,
    /// The command without what differs between workers.
    command: Vec<String>,
}

impl<'a> ScriptTemplate<'a> {
    /// Makes the shared part of the scripts of a plan; the store gets the name by which the workers know it.
    pub(super) fn new(
        plan: &Plan<'_>,
        cluster: &'a Cluster,
        folder: &PlanFolder<'_>,
    ) -> Result<Self, StoreError> {
        let mut template = Self::read_only(plan, cluster, folder);
        template.command.push(format!("--store-id={}", plan.store.identity()?));
        Ok(template)
    }

    /// The same for a script that is shown or asked about, in a store that nothing is written to.
    pub(super) fn read_only(
        plan: &Plan<'_>,
        cluster: &'a Cluster,
        folder: &PlanFolder<'_>,
    ) -> Self {
        let profile = &cluster.profile;
        let text = |path: &Path| path.display().to_string();
        let there = |path: &Path| {
            on_nodes(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()), profile)
        };
        let own = || env::current_exe().ok().map(|program| on_nodes(&program, profile));
        let program = profile.program.clone().or_else(own).unwrap_or_else(|| "engine".into());
        let plan_name = folder.name.rsplit('/').next().unwrap_or_default().to_owned();
        let store = format!("--store={}", text(&there(plan.store.root())));
        let mut command = vec![text(&program), "worker".to_owned(), plan_name, store];
        command.extend(cluster.remote.as_ref().map(|remote| match remote.contains("://") {
            true => format!("--remote={remote}"),
            false => format!("--remote={}", text(&there(Path::new(remote)))),
        }));
        Self {
            profile,
            name: job_name(folder),
            logs: on_nodes(&folder.path(JOB_LOGS), profile),
            environment: environment(&plan.pipeline.source.text),
            command,
        }
    }

    /// The script for workers of one size.
    pub(super) fn script(
        &self,
        kind: &'a WorkerKind,
        size: &WorkerSize,
        count: usize,
        exclude: Vec<String>,
    ) -> Script<'_> {
        let mut command = self.command.clone();
        command.extend([
            format!("--kind={}", kind.name),
            format!("--threads={}", kind.cpus),
            format!("--memory={}", size.memory),
            format!("--gpu-count={}", kind.gpus),
            format!("--until={}", usable(size.time, self.profile)),
            format!("--beat={}", self.profile.heartbeat),
        ]);
        Script {
            name: self.name.clone(),
            kind,
            count,
            size: size.clone(),
            signal: signal(size.time, self.profile),
            logs: self.logs.clone(),
            exclude,
            setup: &self.profile.setup,
            environment: self.environment.clone(),
            command,
        }
    }
}

/// The scripts that a run would submit.
///
/// # Errors
/// The steps that fit into no worker.
pub fn scripts(plan: &Plan<'_>, cluster: &Cluster) -> Result<Vec<String>, Vec<StepError>> {
    let requests = worker_requests(plan, &cluster.profile)?;
    let digest = Work::of(plan, &cluster.set, &Results::default(), &cluster.profile).digest();
    let folder = PlanFolder { store: plan.store, name: format!("{}/{digest}", super::WORK) };
    let template = ScriptTemplate::read_only(plan, cluster, &folder);
    let text = |request: WorkerRequest<'_>| {
        let WorkerRequest { kind, size, workers, steps, seconds } = &request;
        let takes = seconds.map_or("an unknown time".to_owned(), reports::duration);
        let script = template.script(kind, size, *workers, Vec::new()).text();
        let steps = reports::count(*steps, "step");
        format!("# {steps} for workers `{}`, {takes} of work\n{script}", kind.name)
    };
    Ok(requests.into_iter().map(text).collect())
}

/// Asks Slurm whether it would take the workers that a plan needs.
///
/// # Errors
/// The reason why it would not.
pub fn probe(plan: &Plan<'_>, cluster: &Cluster, assigned: &Assignment) -> Result<(), String> {
    let sizes = sizes(plan, assigned, &cluster.profile);
    let folder = PlanFolder { store: plan.store, name: super::WORK.to_owned() };
    let (template, steps) = (ScriptTemplate::read_only(plan, cluster, &folder), to_run(plan));
    for kind in &cluster.profile.kinds {
        if steps.iter().any(|step| assigned.0[*step].as_ref() == Some(&kind.name)) {
            let script = template.script(kind, &sizes[&kind.name], 1, Vec::new());
            slurm::probe(&script).map_err(|refusal| refusal.message)?;
        }
    }
    Ok(())
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
pub fn job_name(folder: &PlanFolder<'_>) -> String {
    let digest = folder.name.rsplit('/').next().unwrap_or_default();
    format!("engine-{}", &digest[..digest.len().min(12)])
}
