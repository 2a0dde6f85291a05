//! Steps in processes of their own, each an `engine step` on the store of the run.

use super::{executor::Executor, work::Host};
use crate::{
    child::wait_unless,
    model::{StepFailure, StepRequest, StepResult},
    ui::events,
};
use ops::OpError;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env, fs, io,
    process::{Command, Stdio},
};
use tempfile::NamedTempFile;
use tracing::warn;

/// Runs each step in a process. A crash takes one step with it.
pub struct Children;

impl Executor for Children {
    fn name(&self) -> &'static str {
        "processes"
    }

    fn shares_memory(&self) -> bool {
        false
    }

    fn run(&self, request: &StepRequest, host: &Host<'_>) -> StepResult {
        let lost = |error: io::Error| {
            OpError::failure(format!("the process of the step is lost: {error}"))
        };
        let made = run(request, host).map_err(lost).and_then(|made| made);
        made.unwrap_or_else(|error| StepResult::Failed(StepFailure::from(error)))
    }
}

fn run(request: &StepRequest, host: &Host<'_>) -> io::Result<Result<StepResult, OpError>> {
    let (input, output) = (NamedTempFile::new()?, NamedTempFile::new()?);
    let paths = host.paths.iter().map(|(digest, path)| (*digest, path.clone())).collect();
    let request = StepRequest { paths, ..request.clone() };
    fs::write(input.path(), serde_json::to_vec(&request)?)?;
    events::step_started(request.number, &request.name, &request.reason);
    let mut child = Command::new(env::current_exe()?)
        .arg("step")
        .arg(input.path())
        .arg("--store")
        .arg(host.store.root())
        .args(["--threads", &rayon::current_num_threads().to_string(), "--quiet"])
        .stdin(Stdio::null())
        .stdout(output.reopen()?)
        .spawn()?;
    let Some(status) = wait_unless(&mut child, || host.cancel.is_cancelled())? else {
        // It ends its own programs and keeps the state of its work.
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        child.wait()?;
        return Ok(Err(OpError::cancelled()));
    };
    let text = fs::read(output.path())?;
    host.store.refresh().map_err(|error| io::Error::other(error.to_string()))?;
    let result: Option<StepResult> = serde_json::from_slice(&text).ok();
    if let Some(StepResult::Done { finished, reason: Some(_) }) = &result {
        for warning in &finished.warnings {
            warn!("step `{}`: {warning}", request.name);
        }
    }
    Ok(result.ok_or_else(|| {
        OpError::failure(format!("the process of the step ended with {status} and no result"))
    }))
}
