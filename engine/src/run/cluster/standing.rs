//! The progress of the runs at work on a cluster, whether or not a command follows them.

use super::{
    driver::unfinished,
    events::Told,
    frozen::{Folder, Frozen},
};
use cache::Store;
use serde::Serialize;

/// The progress of a run on a cluster.
#[derive(Serialize)]
pub struct Standing {
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
pub fn standings(store: &Store, study: Option<&str>) -> Vec<Standing> {
    let plans = unfinished(store, study).into_iter();
    plans.map(|(folder, frozen)| standing(&folder, frozen)).collect()
}

fn standing(folder: &Folder<'_>, frozen: Frozen) -> Standing {
    let asked: Vec<bool> = frozen.kinds.iter().map(Option::is_some).collect();
    let mut told = Told::default();
    told.refresh(folder, |_, _| {});
    let is_asked = |step: &usize| asked.get(*step) == Some(&true);
    let running = told.running.iter().filter(|(process, _)| !folder.store.has_ended(process));
    Standing {
        study: frozen.name,
        steps: asked.iter().filter(|asked| **asked).count(),
        done: told.made.iter().copied().filter(is_asked).count(),
        running: running.map(|(_, steps)| steps.len()).sum(),
        failed: (0..asked.len()).filter(|step| told.failure(*step).is_some()).count(),
        jobs: told.arrays.into_keys().collect(),
    }
}

impl Standing {
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
