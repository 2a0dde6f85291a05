//! The common beginning of `run` and `plan`: reads the pipeline, opens the store, and finds the
//! files.

use crate::{
    cli::{BAD_INPUT, CommandError, FAILED, PlanArgs},
    devices::{self, Machine, limits, trial},
    model::{Options, Pipeline, StepError},
    plan::scan::scan_sources,
    run::{
        search::Batches,
        study::Study,
        workers::{MORE_THREADS, NO_THREADS},
    },
    spec::{self, Results},
    ui::{
        diagnostic::{Diagnostic, listed, report_all},
        suggest,
    },
};
use cache::{
    Store, StoreError, regular,
    store::{plain, remote::Fetch},
};
use std::{collections::BTreeSet, io, num::NonZeroUsize, path::Path};
use tracing::{info_span, warn};

/// The longest pipeline file that is read, in bytes.
pub const MAX_PIPELINE_BYTES: u64 = 4 << 20;

/// The treatment of a store that does not exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum MissingStore {
    /// The store is created, because a run will write to it.
    Create,
    /// The store counts as empty, and nothing is written.
    Empty,
}

/// Reads the pipeline, opens the store and finds the files, and prints all faults. If `keep_going`
/// is none, a sweep goes on after a failure and a single study does not.
///
/// # Errors
/// Returns the exit code if there is any fault.
pub fn prepare(
    args: &PlanArgs,
    keep_going: Option<bool>,
    missing_store: MissingStore,
) -> Result<Study, CommandError> {
    start_threads(args.threads.map_or(0, NonZeroUsize::get))?;
    // An existing store is read at the same time as the pipeline; for a faulty pipeline no store is
    // created.
    let store = args.store.store.clone();
    let opened = Store::is_at(&store)
        .then(|| std::thread::Builder::new().spawn(move || open(&store, missing_store)));
    let loaded = info_span!("load").in_scope(|| load(&args.pipeline, &args.set));
    let (mut pipeline, warnings) = loaded?;
    let store = match opened {
        Some(Ok(thread)) => thread.join().expect("opening a store does not panic"),
        Some(Err(_)) | None => open(&args.store.store, missing_store),
    };
    let store = store.map_err(|error| CommandError::of_store(&error))?;
    let fetch = match missing_store {
        MissingStore::Create => Fetch::All,
        MissingStore::Empty => Fetch::Steps,
    };
    if let Some(remote) = args.store.remote()? {
        store.use_remote(remote, fetch);
    }
    place(&mut pipeline, args)?;
    let only = steps(&pipeline, &args.only, "--only")?;
    let until = steps(&pipeline, &args.until, "--until")?;
    let options = Options {
        force: steps(&pipeline, &args.force, "--force")?,
        only: before(&pipeline, only, &until),
        // One of many variants may fail, for example if a training diverges, and the others are
        // still useful.
        keep_going: keep_going.unwrap_or(pipeline.variants.count > 1),
        limits: Some(limits().with_memory(args.memory)),
    };
    let files = scan_sources(&pipeline, &pipeline.graph.wanted(&options.only), &store)
        .map_err(|errors| refuse(&pipeline, &errors))?;
    if let Err(error) = store.save_files() {
        warn!("{error}");
    }
    Ok(Study { pipeline, warnings, store, files, options })
}

/// Chooses the device of every step.
fn place(pipeline: &mut Pipeline, args: &PlanArgs) -> Result<(), CommandError> {
    if args.gpus_elsewhere {
        devices::place_on_workers(pipeline, args.device);
        return Ok(());
    }
    let doubt = |place: &_| trial::doubt(place, &args.store.store);
    devices::place(pipeline, &Machine::detect(), args.device, doubt)
        .map_err(|errors| refuse(pipeline, &errors))
}

/// Starts the threads of the shared pool; 0 means as many as there are processors.
///
/// # Errors
/// Returns the exit code if the system starts no more threads.
pub fn start_threads(threads: usize) -> Result<(), CommandError> {
    let started = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    started.map_err(|error| {
        let reason = std::error::Error::source(&error).and_then(|it| it.downcast_ref());
        let reason = reason.map_or_else(|| error.to_string(), plain);
        CommandError::new(FAILED, format!("{NO_THREADS}: {reason}; {MORE_THREADS}"))
    })
}

fn open(folder: &Path, missing_store: MissingStore) -> Result<Store, StoreError> {
    let _opening = info_span!("open_store").entered();
    let store = match missing_store {
        MissingStore::Create => Store::open(folder)?,
        MissingStore::Empty => Store::open_existing(folder)?,
    };
    store.files();
    Ok(store)
}

/// The same study with the further points of a search that these results lead to. Its new warnings
/// are printed.
///
/// # Errors
/// Returns the exit code if a chosen point is faulty.
pub fn further(
    study: Study,
    args: &PlanArgs,
    results: &Results,
    done: &Batches,
) -> Result<Study, CommandError> {
    let (mut pipeline, warnings) = load_further(&args.pipeline, &args.set, results)?;
    place(&mut pipeline, args)?;
    // The note on the device was given when the first batch ran.
    pipeline.note = None;
    let mut force = steps(&pipeline, &args.force, "--force")?;
    force.retain(|&step| !done.has_run(&pipeline.steps[step].name));
    let only = steps(&pipeline, &args.only, "--only")?;
    let until = steps(&pipeline, &args.until, "--until")?;
    let only = before(&pipeline, only, &until);
    let options = Options { force, only, ..study.options };
    let wanted = pipeline.graph.wanted(&options.only);
    let files = scan_sources(&pipeline, &wanted, &study.store)
        .map_err(|errors| refuse(&pipeline, &errors))?;
    let new = warnings.iter().filter(|warning| !study.warnings.contains(warning));
    report_all(&pipeline.source, &new.cloned().collect::<Vec<_>>());
    Ok(Study { pipeline, warnings, store: study.store, files, options })
}

/// Reads a pipeline file and prints its errors and warnings.
///
/// # Errors
/// Returns the exit code if there is an error.
pub fn load(path: &Path, sets: &[String]) -> Result<(Pipeline, Vec<Diagnostic>), CommandError> {
    let loaded = load_further(path, sets, &Results::default())?;
    report_all(&loaded.0.source, &loaded.1);
    Ok(loaded)
}

/// Reads a pipeline file without printing its warnings, with the points of a sweep that these
/// results lead to.
fn load_further(
    path: &Path,
    sets: &[String],
    results: &Results,
) -> Result<(Pipeline, Vec<Diagnostic>), CommandError> {
    let refuse = |reason: String| {
        CommandError::new(
            BAD_INPUT,
            format!("cannot read the pipeline `{}`: {reason}", path.display()),
        )
    };
    let text = regular::read(path, MAX_PIPELINE_BYTES).map_err(|error| {
        refuse(match error.kind() {
            io::ErrorKind::IsADirectory => "it is a folder; name one YAML file".to_owned(),
            io::ErrorKind::FileTooLarge => {
                format!("it is longer than {} MiB", MAX_PIPELINE_BYTES >> 20)
            }
            _ => plain(&error),
        })
    })?;
    let text = String::from_utf8(text).map_err(|error| {
        refuse(format!("it is not UTF-8 (byte {})", error.utf8_error().valid_up_to() + 1))
    })?;
    let mut overrides = Vec::new();
    for set in sets {
        let parsed = set.parse().map_err(|error| CommandError::new(BAD_INPUT, error))?;
        overrides.push(parsed);
    }
    spec::load_searched(path, text, &overrides, results).map_err(|diagnostics| {
        let errors = reports::count(diagnostics.errors(), "error");
        CommandError::Pipeline {
            code: BAD_INPUT,
            source: diagnostics.source,
            diagnostics: diagnostics.diagnostics,
            summary: Some(format!("{errors} in `{}`; nothing was run", path.display())),
        }
    })
}

/// The one step of this name.
///
/// # Errors
/// Returns the exit code if there is no such step or if the name means several.
pub fn one_step(pipeline: &Pipeline, name: &str) -> Result<usize, CommandError> {
    let found: Vec<usize> = steps(pipeline, &[name.to_owned()], "STEP")?.into_iter().collect();
    if let [only] = found[..] {
        return Ok(only);
    }
    if let Some(exact) = found.iter().find(|at| pipeline.steps[**at].name == name) {
        return Ok(*exact);
    }
    let names: Vec<&str> = found.iter().map(|at| pipeline.steps[*at].name.as_str()).collect();
    let listed = listed(&names[..names.len().min(8)], "or");
    Err(CommandError::new(
        BAD_INPUT,
        format!("`{name}` means {} steps; write {listed}", names.len()),
    ))
}

/// The steps that are asked for (all if none is named), without those that come after a step of
/// `until`.
fn before(pipeline: &Pipeline, only: BTreeSet<usize>, until: &BTreeSet<usize>) -> BTreeSet<usize> {
    if until.is_empty() {
        return only;
    }
    let (asked, after) = (pipeline.graph.wanted(&only), pipeline.graph.after(until));
    (0..pipeline.steps.len()).filter(|index| asked[*index] && !after[*index]).collect()
}

/// The steps of these names; a name without instance or variant means all of its steps.
fn steps(
    pipeline: &Pipeline,
    names: &[String],
    option: &str,
) -> Result<BTreeSet<usize>, CommandError> {
    let mut found = BTreeSet::new();
    for name in names {
        let before = found.len();
        let matching = pipeline.steps.iter().enumerate().filter(|(_, step)| step.is_called(name));
        found.extend(matching.map(|(index, _)| index));
        if found.len() == before && !pipeline.steps.iter().any(|step| step.is_called(name)) {
            let names: Vec<_> = pipeline.steps.iter().map(|step| step.name.as_str()).collect();
            let hint = suggest::help(name, &names, "the steps are");
            let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
            let option =
                if option == "STEP" { String::new() } else { format!("{option} {name}: ") };
            return Err(CommandError::new(
                BAD_INPUT,
                format!("{option}there is no step `{name}`{hint}"),
            ));
        }
    }
    Ok(found)
}

/// The errors of steps, each at its place in the pipeline.
pub fn refuse(pipeline: &Pipeline, errors: &[StepError]) -> CommandError {
    let diagnostics = errors
        .iter()
        .filter(|error| error.failure.kind != ::ops::ErrorKind::Cancelled)
        .map(|StepError { step, failure }| {
            let step = &pipeline.steps[*step];
            let code = if failure.kind == ::ops::ErrorKind::Input {
                "run::bad_input"
            } else {
                "run::failed"
            };
            let diagnostic =
                Diagnostic::error(code, format!("step `{}`: {}", step.name, failure.message));
            match failure.param.as_deref().and_then(|param| step.param_places.get(param)) {
                Some(place) => diagnostic.at_place(place, ""),
                None => diagnostic.label(step.span.clone(), ""),
            }
            .maybe_help(failure.help.clone())
        })
        .collect();
    let input = errors.iter().all(|error| error.failure.kind == ::ops::ErrorKind::Input);
    let code = if input { BAD_INPUT } else { FAILED };
    let source = pipeline.source.clone();
    CommandError::Pipeline { code, source, diagnostics, summary: None }
}
