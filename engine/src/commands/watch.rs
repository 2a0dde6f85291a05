//! `engine watch`: runs a pipeline again whenever its text or its data change, and names the page that
//! shows the run while it goes on and then its report.
//!
//! Each run is a process of its own, started with the same options: it begins afresh, and a fault
//! in it does not end the watch. Changes are found with the index of files, which reads only files
//! of a new size or time; a file that was only touched starts no run.

use super::{
    live::{self, serve},
    prepare,
};
use crate::{
    child::wait_unless,
    cli::{CommandError, FAILED, RunArgs, print},
    plan::scan,
    spec,
    ui::interrupt::Interrupt,
};
use cache::{FileIndex, Hasher, regular};
use ops::Cancel;
use rustix::process::{Pid, Signal, kill_process};
use std::{os::unix::process::CommandExt, path::PathBuf, process::Command, thread, time::Duration};
use tracing::info;

/// The time between two checks of the files.
const PAUSE: Duration = Duration::from_millis(500);

/// Watches until Ctrl-C, and prints the path of the page to standard output.
///
/// # Errors
/// Returns the exit code if a run cannot be started at all.
pub fn watch(args: &RunArgs) -> Result<(), CommandError> {
    let interrupt = Interrupt::listen();
    let index = FileIndex::default();
    let (mut before, mut page, mut server) = (None, None, None);
    while !interrupt.is_cancelled() {
        let now = WatchedState::now(args, &index);
        if before.as_ref() != Some(&now) {
            if let (Some(port), None, Some(folder)) = (args.serve, &server, &now.study) {
                server = Some(serve::serve(folder, port));
            }
            run_once(&interrupt)?;
            // A faulty pipeline gives no page.
            let path = now.study.as_ref().map(|folder| folder.join(live::PAGE));
            if let Some(path) = path.filter(|path| path.is_file() && page.as_ref() != Some(path)) {
                print(&format!("{}\n", path.display()));
                page = Some(path);
            }
            if !interrupt.is_cancelled() {
                info!("watching the pipeline and its data; Ctrl-C ends it");
            }
            before = Some(now);
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// The state of all that a run depends on outside the store.
#[derive(PartialEq)]
struct WatchedState {
    /// The folder of the study's runs, if the pipeline can be read.
    study: Option<PathBuf>,
    /// The digest of the pipeline's text and of all files of its sources.
    digest: cache::Digest,
}

impl WatchedState {
    fn now(args: &RunArgs, index: &FileIndex) -> Self {
        let path = &args.plan.pipeline;
        let text = regular::read(path, prepare::MAX_PIPELINE_BYTES).unwrap_or_default();
        let mut hasher = Hasher::new("watch");
        hasher.text(&String::from_utf8_lossy(&text));
        let sets = args.plan.set.iter().filter_map(|set| set.parse().ok()).collect::<Vec<_>>();
        let loaded = String::from_utf8(text).ok().map(|text| spec::load(path, text, &sets));
        let pipeline = match loaded {
            Some(Ok((pipeline, _))) => pipeline,
            // What is included may mend it.
            Some(Err(diagnostics)) => {
                hasher.text(&diagnostics.source.text);
                return Self { study: None, digest: hasher.finish() };
            }
            None => return Self { study: None, digest: hasher.finish() },
        };
        hasher.text(&pipeline.source.text);
        for source in pipeline.steps.iter().flat_map(|step| step.op.sources()) {
            match scan::scan(&source, index) {
                Ok(files) => hasher.text(&scan::digest(&files).to_string()),
                Err(diagnostics) => hasher.number(diagnostics.len() as u64),
            };
        }
        Self { study: Some(args.out.out.join(&pipeline.name)), digest: hasher.finish() }
    }
}

/// Starts this program again with `run` in place of `watch`, and waits for it.
fn run_once(interrupt: &Interrupt) -> Result<(), CommandError> {
    let failed = |error| CommandError::new(FAILED, format!("cannot start a run: {error}"));
    let program = std::env::current_exe().map_err(failed)?;
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(word) = arguments.iter_mut().find(|word| *word == "watch") {
        *word = "run".into();
    }
    // The page is served from here, so that it stays between runs.
    arguments.retain(|word| {
        !word.to_str().is_some_and(|word| word == "--serve" || word.starts_with("--serve="))
    });
    if !arguments.iter().any(|word| word == "--live") {
        arguments.push("--live".into());
    }
    // A process group of its own gets Ctrl-C only from here, and so only once.
    let run = Command::new(program).args(arguments).process_group(0).spawn();
    let mut run = run.map_err(failed)?;
    let ended = wait_unless(&mut run, || interrupt.is_cancelled()).map_err(failed)?;
    if ended.is_none() {
        // The run may have ended just now.
        let _ = kill_process(Pid::from_child(&run), Signal::TERM);
        run.wait().map_err(failed)?;
    }
    Ok(())
}
