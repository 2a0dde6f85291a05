//! The executors of steps. The schedule decides which step runs when; an executor runs it.

use super::work::{self, Host};
use crate::model::{StepRequest, StepResult};

/// Runs steps. A new executor is a file with this trait, and a line in [`EXECUTORS`].
pub trait Executor: Sync {
    /// The name of the executor.
    fn name(&self) -> &'static str;

    /// True if steps run in this process, so that what several of them read lies in memory once.
    fn shares_memory(&self) -> bool;

    /// Runs a step to its end, and returns once its result is in the store. As many threads call it
    /// at the same time as steps fit into the resources of the run.
    fn run(&self, request: &StepRequest, host: &Host<'_>) -> StepResult;
}

/// All executors; the first one is the default.
pub static EXECUTORS: &[&dyn Executor] = &[&Threads, &super::children::Children];

/// The executor of this name.
///
/// # Errors
/// When there is none.
pub fn named(name: &str) -> Result<&'static dyn Executor, String> {
    let names = EXECUTORS.iter().map(|executor| executor.name()).collect::<Vec<_>>();
    let found = EXECUTORS.iter().find(|executor| executor.name() == name);
    found.copied().ok_or_else(|| format!("the executors are {}", names.join(" and ")))
}

/// Steps run in threads of this process, which share what they read.
struct Threads;

impl Executor for Threads {
    fn name(&self) -> &'static str {
        "threads"
    }

    fn shares_memory(&self) -> bool {
        true
    }

    fn run(&self, request: &StepRequest, host: &Host<'_>) -> StepResult {
        work::run(request, host)
    }
}
