//! `engine step`: runs one step from a request that another process made, on a store that both
//! share.

use super::prepare::start_threads;
use crate::{
    cli::{BAD_INPUT, CommandError, FAILED, INTERRUPTED, StoreArg},
    model::{StepRequest, StepResult},
    plan::history::LazyHistory,
    run::work::{self, Host},
    ui::{events, interrupt::Interrupt},
};
use cache::{Store, regular, store::plain};
use clap::Args;
use ops::ErrorKind;
use std::{
    io::{self, Read, Write},
    num::NonZeroUsize,
    path::PathBuf,
};

/// The arguments of `step`.
#[derive(Args)]
pub struct StepArgs {
    /// The request as JSON; standard input if not given.
    pub request: Option<PathBuf>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
    /// Threads to use; all processors if not given.
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// Runs the step, and prints what became of it as JSON to standard output.
///
/// # Errors
/// Returns the exit code if the request cannot be read, or if the step fails.
pub fn step(args: &StepArgs) -> Result<(), CommandError> {
    let refuse =
        |error: String| CommandError::new(BAD_INPUT, format!("cannot read the request: {error}"));
    let text = read(args).map_err(|error| refuse(plain(&error)))?;
    let request: StepRequest =
        serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))?;
    start_threads(args.threads.map_or(0, NonZeroUsize::get))?;
    let store = Store::open(&args.store.store).map_err(|error| CommandError::of_store(&error))?;
    let interrupt = Interrupt::listen();
    let mut paths = store.files().paths();
    paths.extend(request.paths.iter().map(|(digest, path)| (*digest, path.clone())));
    paths.extend(request.files.iter().map(|file| (file.digest, file.path.clone())));
    let _shown = events::Steps::begin(1);
    let history = LazyHistory::of(&store);
    let host = Host::new(&store, paths, &interrupt, &history);
    let result = work::run(&request, &host);
    let mut text = serde_json::to_vec(&result).expect("a result always serialises");
    text.push(b'\n');
    // Another process reads it, so control characters are not made visible.
    io::stdout()
        .write_all(&text)
        .map_err(|error| CommandError::new(FAILED, format!("cannot write: {}", plain(&error))))?;
    match result {
        StepResult::Done { .. } => Ok(()),
        StepResult::Failed(failure) if failure.kind == ErrorKind::Input => {
            Err(CommandError::Shown(BAD_INPUT))
        }
        StepResult::Failed(failure) if failure.kind == ErrorKind::Cancelled => {
            Err(CommandError::Shown(INTERRUPTED))
        }
        StepResult::Failed(_) | StepResult::Lost { .. } | StepResult::Elsewhere => {
            Err(CommandError::Shown(FAILED))
        }
    }
}

fn read(args: &StepArgs) -> io::Result<Vec<u8>> {
    let Some(path) = &args.request else {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text)?;
        return Ok(text);
    };
    regular::read(path, u64::MAX)
}
