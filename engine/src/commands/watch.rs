//! `engine watch`: runs a pipeline again whenever its text or its data change, and shows the newest
//! report in a page that reloads.
//!
//! Each run is a process of its own, started with the same options: it begins afresh, and a fault
//! in it does not end the watch. Changes are found with the index of files, which reads only files
//! of a new size or time; a file that was only touched starts no run.

use super::prepare;
use crate::{
    child::wait_unless,
    cli::{CommandError, FAILED, RunArgs, print},
    plan::scan,
    record::latest,
    spec,
    ui::interrupt::Interrupt,
};
use cache::{FileIndex, Hasher, atomic_file::write_whole, regular};
use ops::Cancel;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};
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
    let (mut before, mut page) = (None, None);
    while !interrupt.is_cancelled() {
        let now = Seen::now(args, &index);
        if before.as_ref() != Some(&now) {
            run_once(&interrupt)?;
            if let Some(folder) = &now.study
                && !interrupt.is_cancelled()
            {
                show(folder, &mut page).map_err(|fault| {
                    CommandError::new(
                        FAILED,
                        format!("cannot write in `{}`: {fault}", folder.display()),
                    )
                })?;
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
struct Seen {
    /// The folder of the study's runs, if the pipeline can be read.
    study: Option<PathBuf>,
    /// The digest of the pipeline's text and of all files of its sources.
    digest: cache::Digest,
}

impl Seen {
    fn now(args: &RunArgs, index: &FileIndex) -> Self {
        let path = &args.plan.pipeline;
        let text = regular::read(path, prepare::LONGEST_PIPELINE).unwrap_or_default();
        let mut hasher = Hasher::new("watch");
        hasher.text(&String::from_utf8_lossy(&text));
        let sets = args.plan.set.iter().filter_map(|set| set.parse().ok()).collect::<Vec<_>>();
        let loaded =
            String::from_utf8(text).ok().and_then(|text| spec::load(path, text, &sets).ok());
        let Some((pipeline, _)) = loaded else {
            return Self { study: None, digest: hasher.finish() };
        };
        for source in pipeline.steps.iter().flat_map(|step| step.op.sources()) {
            match scan::scan(&source, index) {
                Ok(files) => hasher.text(&scan::digest(&files).to_string()),
                Err(faults) => hasher.number(faults.len() as u64),
            };
        }
        Self { study: Some(args.out.out.join(&pipeline.name)), digest: hasher.finish() }
    }
}

/// Starts this program again with `run` in place of `watch`, and waits for it.
fn run_once(interrupt: &Interrupt) -> Result<(), CommandError> {
    let failed = |fault| CommandError::new(FAILED, format!("cannot start a run: {fault}"));
    let program = std::env::current_exe().map_err(failed)?;
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(word) = arguments.iter_mut().find(|word| *word == "watch") {
        *word = "run".into();
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

/// Points the page of a study to its newest run; creates the page and prints its path the first
/// time.
fn show(folder: &Path, page: &mut Option<PathBuf>) -> std::io::Result<()> {
    let Some(newest) = latest::of(folder) else { return Ok(()) };
    // A page that was opened from a folder may load scripts, but may not read other files.
    let id = serde_json::to_string(&newest.to_string_lossy()).expect("a text always serialises");
    write_whole(&folder.join("watch.js"), format!("show({id});\n").as_bytes())?;
    let path = folder.join("watch.html");
    write_whole(&path, include_bytes!("watch.html"))?;
    if page.as_ref() != Some(&path) {
        print(&format!("{}\n", path.display()));
        *page = Some(path);
    }
    Ok(())
}
