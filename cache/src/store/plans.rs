//! The plans of runs on a cluster, with the messages of their processes.
//!
//! ```text
//! work-v1/<plan>/plan.json, stop         the plan, and whether its workers are to leave
//! work-v1/<plan>/<writer>.jsonl          the messages of a process
//! work-v1/<plan>/logs/<job>.txt          what a job has printed
//! ```

use super::{Store, StoreEntry, StoreError, gc::entry_at, names};
use rustix::fs::FileType;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folder of the plans.
pub const WORK: &str = "work-v1";
/// The name of a plan in its folder.
pub const PLAN: &str = "plan.json";
/// The name of the file that asks all workers of a plan to leave.
pub const STOP: &str = "stop";
/// The folder of what jobs print, below that of their plan.
pub const JOB_LOGS: &str = "logs";

impl Store {
    /// The folders of all plans, with what lies in them.
    pub(super) fn plans(&self, unknown: &mut Vec<PathBuf>) -> Vec<StoreEntry> {
        let work = self.root.join(WORK);
        let mut plans = Vec::new();
        for (name, sort) in self.entries(&work) {
            let folder = work.join(&name);
            let plan = names::digest(&name, &[]).filter(|_| sort == FileType::Directory);
            let Some(mut plan) = plan.and_then(|plan| entry_at(&folder, plan)) else {
                unknown.push(folder);
                continue;
            };
            let files = self.files_of_plan(&folder);
            let lengths = files.iter().filter_map(|file| fs::symlink_metadata(file).ok());
            plan.bytes = lengths.map(|it| it.len()).sum();
            plans.push(plan);
        }
        plans.sort_by_key(|plan| plan.digest);
        plans
    }

    fn files_of_plan(&self, folder: &Path) -> Vec<PathBuf> {
        let files_in = |folder: &Path, is_own: fn(&str) -> bool| -> Vec<PathBuf> {
            let files = self.entries(folder).into_iter();
            let files = files.filter(|(name, sort)| {
                *sort == FileType::RegularFile && name.to_str().is_some_and(is_own)
            });
            files.map(|(name, _)| folder.join(name)).collect()
        };
        let is_own =
            |name: &str| [PLAN, STOP].contains(&name) || names::writer_of_journal(name).is_some();
        let mut files = files_in(folder, is_own);
        files.extend(files_in(&folder.join(JOB_LOGS), names::is_job_log));
        files
    }

    /// Removes plans with the messages of their processes. What does not belong to the store stays.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove_plans(&self, plans: &[StoreEntry]) -> Result<(), StoreError> {
        for plan in plans {
            for file in self.files_of_plan(&plan.path) {
                self.disk.remove(&file).map_err(|error| self.refused("remove", &file, error))?;
            }
            let _ = self.disk.remove_dir(&plan.path.join(JOB_LOGS));
            let _ = self.disk.remove_dir(&plan.path);
        }
        Ok(())
    }
}
