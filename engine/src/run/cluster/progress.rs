//! The progress of the runs at work on a cluster, whether or not a command follows them.

use super::{
    driver::unfinished,
    events::ClusterState,
    frozen::{FrozenPlan, PlanFolder},
};
use cache::Store;
use serde::Serialize;

/// The progress of a run on a cluster.
#[derive(Serialize)]
pub struct ClusterProgress {
    /// The name of the study.
    pub study: String,
    /// The number of steps that were to run.
    pub steps: usize,
    /// The number of those that have their results.
    pub done: usize,
    /// The number of those that run now.
    pub running: usize,
    /// The number of those that have failed.
    pub failed: usize,
    /// The job arrays that were submitted for it.
    pub jobs: Vec<String>,
}

/// Reads the progress of each run at work on a cluster; of one study, if it is named.
pub fn cluster_progress(store: &Store, study: Option<&str>) -> Vec<ClusterProgress> {
    let plans = unfinished(store, study).into_iter();
    plans.map(|(folder, frozen)| progress(&folder, frozen)).collect()
}

fn progress(folder: &PlanFolder<'_>, frozen: FrozenPlan) -> ClusterProgress {
    let wanted: Vec<bool> = frozen.kinds.iter().map(Option::is_some).collect();
    let mut state = ClusterState::default();
    state.refresh(folder, |_, _| {});
    let is_wanted = |step: &usize| wanted.get(*step) == Some(&true);
    let running = state.running.iter().filter(|(process, _)| !folder.store.has_ended(process));
    ClusterProgress {
        study: frozen.name,
        steps: wanted.iter().filter(|wanted| **wanted).count(),
        done: state.made.iter().copied().filter(is_wanted).count(),
        running: running.map(|(_, steps)| steps.len()).sum(),
        failed: (0..wanted.len()).filter(|step| state.failure(*step).is_some()).count(),
        jobs: state.arrays.into_keys().collect(),
    }
}

impl ClusterProgress {
    /// Describes the progress, and what can be done about it, in one sentence.
    pub fn text(&self) -> String {
        let Self { study, steps, done, running, failed, jobs } = self;
        let failed = if *failed > 0 { format!(", {failed} failed") } else { String::new() };
        let jobs =
            if jobs.is_empty() { String::new() } else { format!(" (jobs {})", jobs.join(", ")) };
        let next = if done == steps {
            "the command that began it writes the report".to_owned()
        } else {
            format!("the command that began it follows it, and `engine cancel {study}` ends it")
        };
        format!(
            "`{study}` is at work on a cluster{jobs}: {done} of {} done, {running} running{failed}; {next}",
            reports::count(*steps, "step")
        )
    }
}
