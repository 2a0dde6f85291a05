//! A plan as a file, so that workers scan, hash and decide nothing.

use super::WORK;
use crate::{
    model::{Files, Options, Pipeline, Profile, WorkerKind},
    plan::Plan,
    spec::Results,
};
use cache::{
    Digest, Store, StoreError,
    store::plans::{JOB_LOGS, PLAN, STOP},
};
use ops::Device;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
};

/// A plan as workers read it.
#[derive(Serialize, Deserialize)]
pub struct FrozenPlan {
    /// The work, which decides the steps.
    pub work: Work,
    /// The name of the study.
    pub name: String,
    /// The kind of worker of each step; none for a step that is not asked for.
    pub kinds: Vec<Option<String>>,
    /// The seconds that a worker must have for each step; none if nobody knows.
    pub seconds: Vec<Option<u64>>,
    /// Seconds after which an idle worker leaves.
    pub idle: f64,
    /// Milliseconds between two signs of life.
    pub beat_ms: u64,
}

/// The work of a plan: all that decides its steps. Its digest names the plan.
#[derive(Serialize, Deserialize)]
pub struct Work {
    /// The version of the engine.
    pub engine: String,
    /// The path of the pipeline file.
    pub path: PathBuf,
    /// The text of the pipeline.
    pub text: String,
    /// The files that it includes, and where their texts begin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<(PathBuf, usize)>,
    /// The options `--set`.
    pub set: Vec<String>,
    /// The results of a search so far, in the order of their labels.
    pub results: Vec<(Vec<String>, Option<f64>)>,
    /// The direction of the search, if the scores tell.
    pub direction: Option<cache::metric::Direction>,
    /// The source files of every step, with absolute paths.
    pub files: Files,
    /// True for steps that run on a GPU.
    pub on_gpu: Vec<bool>,
    /// Steps to run although their results are there.
    pub force: BTreeSet<usize>,
    /// Only these steps and what they need.
    pub only: BTreeSet<usize>,
    /// True to go on after a failure.
    pub keep_going: bool,
    /// The kinds of workers: with others, the steps are divided anew.
    pub workers: Vec<String>,
}

impl Work {
    /// The work of a plan.
    pub fn of(plan: &Plan<'_>, set: &[String], so_far: &Results, profile: &Profile) -> Self {
        let Plan { pipeline, options, .. } = plan;
        let here = env::current_dir().unwrap_or_default();
        let there = |path: &Path| on_nodes(&here.join(path), profile);
        let mut files = plan.files.clone();
        files.iter_mut().flatten().for_each(|file| file.path = there(&file.path));
        let mut results: Vec<_> = so_far.points.clone().into_iter().collect();
        results.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self {
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            path: pipeline.source.path.clone(),
            text: pipeline.source.text.clone(),
            included: pipeline.source.included.clone(),
            set: set.to_vec(),
            results,
            direction: so_far.direction,
            files,
            on_gpu: pipeline.steps.iter().map(|step| step.place != Device::Cpu).collect(),
            force: options.force.clone(),
            only: options.only.clone(),
            keep_going: options.keep_going,
            workers: profile.kinds.iter().map(WorkerKind::fingerprint).collect(),
        }
    }

    /// The name of the plan.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).expect("a plan always serialises"))
    }

    /// The results of a search so far.
    pub fn results(&self) -> Results {
        Results { points: self.results.iter().cloned().collect(), direction: self.direction }
    }

    /// The options of the run.
    pub fn options(&self) -> Options {
        let (force, only) = (self.force.clone(), self.only.clone());
        Options { force, only, keep_going: self.keep_going, limits: None }
    }
}

/// A path as nodes see it.
pub(super) fn on_nodes(path: &Path, profile: &Profile) -> PathBuf {
    let longest = profile.paths.iter().filter(|(from, _)| path.starts_with(from));
    match longest.max_by_key(|(from, _)| from.len()) {
        Some((from, to)) => match path.strip_prefix(from) {
            Ok(rest) if rest.as_os_str().is_empty() => PathBuf::from(to),
            Ok(rest) => Path::new(to).join(rest),
            Err(_) => path.to_owned(),
        },
        None => path.to_owned(),
    }
}

/// The folder of a plan in a store.
#[derive(Clone)]
pub struct PlanFolder<'a> {
    /// The store.
    pub store: &'a Store,
    /// The path below the store.
    pub name: String,
}

impl<'a> PlanFolder<'a> {
    /// The folder of a plan, which is made.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn make(store: &'a Store, digest: &Digest) -> Result<Self, StoreError> {
        let folder = Self { store, name: format!("{WORK}/{digest}") };
        store.in_folder(WORK)?;
        store.in_folder(&folder.name)?;
        store.in_folder(&format!("{}/{JOB_LOGS}", folder.name))?;
        Ok(folder)
    }

    /// The digest of the plan.
    pub fn digest(&self) -> Option<Digest> {
        self.name.rsplit('/').next()?.parse().ok()
    }

    /// Keeps the plan, unless it was frozen before: then that one counts.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn freeze(&self, frozen: FrozenPlan) -> Result<FrozenPlan, StoreError> {
        if let Some(there) = self.frozen() {
            return Ok(there);
        }
        let text = serde_json::to_vec(&frozen).expect("a plan always serialises");
        self.store.keep(&self.name, PLAN, &text)?;
        Ok(frozen)
    }

    /// The frozen plan, if it is there.
    pub fn frozen(&self) -> Option<FrozenPlan> {
        serde_json::from_slice(&self.store.kept(&self.name, PLAN)?).ok()
    }

    /// Asks all workers to leave.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn stop(&self) -> Result<(), StoreError> {
        self.store.keep_unsynced(&self.name, STOP, b"")
    }

    /// Asks for workers again.
    pub fn resume(&self) {
        self.store.forget(&self.name, STOP);
    }

    /// True if workers are to leave.
    pub fn is_stopped(&self) -> bool {
        self.store.kept(&self.name, STOP).is_some()
    }

    /// The path of a file or folder in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.store.path_in(&self.name, name)
    }
}

/// Gives each step the device that the plan names, which is a real one only where `cuda` finds it.
pub fn place(pipeline: &mut Pipeline, on_gpu: &[bool], cuda: impl Fn() -> Device) {
    for (step, on_gpu) in pipeline.steps.iter_mut().zip(on_gpu) {
        step.place = if *on_gpu { cuda() } else { Device::Cpu };
    }
}
