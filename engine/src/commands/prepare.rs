//! What `run` and `plan` do first: read the pipeline, open the store, find the files.

use crate::{
    cli::{BAD_INPUT, FAILED, PlanArgs, Stop},
    devices::{self, Machine},
    fault::{Fault, Look, render},
    pipeline::Pipeline,
    progress::say,
    run::{Files, Options, StepError, scan_sources, wanted},
    scan::plain,
    spec, suggest,
};
use cache::Store;
use std::collections::BTreeSet;

/// A pipeline that is ready to run.
pub struct Prepared {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// What the user should know although nothing is wrong.
    pub warnings: Vec<Fault>,
    /// The store.
    pub store: Store,
    /// The files of every step's sources.
    pub files: Files,
    /// Which steps, and how.
    pub options: Options,
}

/// The longest pipeline file that is read.
const LONGEST_PIPELINE: u64 = 4 << 20;

/// Reads the pipeline, opens the store and finds the files. What is wrong is said before it ends.
///
/// # Errors
/// With the exit code, if anything is wrong.
pub fn prepare(args: &PlanArgs, keep_going: bool) -> Result<Prepared, Stop> {
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.get())
            .build_global()
            .map_err(|fault| Stop::saying(FAILED, fault))?;
    }
    let (mut pipeline, warnings) = load(args)?;
    devices::place(&mut pipeline, &Machine::look(), args.device)
        .map_err(|errors| refuse(&pipeline, &errors))?;
    if !warnings.is_empty() {
        say(render(&pipeline.source, &warnings, &Look::of_stderr()).trim_end());
    }
    let options = Options {
        force: steps(&pipeline, &args.force, "--force")?,
        only: steps(&pipeline, &args.only, "--only")?,
        keep_going,
    };
    let store = Store::open(&args.store.store).map_err(|fault| Stop::saying(FAILED, fault))?;
    let files = scan_sources(&pipeline, &wanted(&pipeline, &options.only), &store)
        .map_err(|errors| refuse(&pipeline, &errors))?;
    if let Err(fault) = store.save_files() {
        say(&format!("warning: {fault}"));
    }
    Ok(Prepared { pipeline, warnings, store, files, options })
}

fn load(args: &PlanArgs) -> Result<(Pipeline, Vec<Fault>), Stop> {
    let path = &args.pipeline;
    let refuse = |reason: String| {
        Stop::saying(BAD_INPUT, format!("cannot read the pipeline `{}`: {reason}", path.display()))
    };
    let metadata = std::fs::metadata(path).map_err(|fault| refuse(plain(&fault)))?;
    if metadata.is_dir() {
        return Err(refuse("it is a folder; name one YAML file".to_owned()));
    }
    if metadata.len() > LONGEST_PIPELINE {
        return Err(refuse(format!("it is longer than {} MiB", LONGEST_PIPELINE >> 20)));
    }
    let text = std::fs::read(path).map_err(|fault| refuse(plain(&fault)))?;
    let text = String::from_utf8(text).map_err(|fault| {
        refuse(format!("it is not UTF-8 (byte {})", fault.utf8_error().valid_up_to() + 1))
    })?;
    let mut overrides = Vec::new();
    for set in &args.set {
        let parsed = set.parse().map_err(|fault| Stop::saying(BAD_INPUT, fault))?;
        overrides.push(parsed);
    }
    spec::load(path, text, &overrides).map_err(|faults| {
        say(render(&faults.source, &faults.faults, &Look::of_stderr()).trim_end());
        let errors = faults.errors();
        say(&format!(
            "{errors} error{} in `{}`; nothing was run",
            if errors == 1 { "" } else { "s" },
            path.display()
        ));
        Stop(BAD_INPUT)
    })
}

/// The steps of these names; the name of a `for` step means all its instances.
fn steps(pipeline: &Pipeline, names: &[String], option: &str) -> Result<BTreeSet<usize>, Stop> {
    let mut found = BTreeSet::new();
    for name in names {
        let before = found.len();
        let instance =
            |step: &str| step == name || step.split_once('@').is_some_and(|(base, _)| base == name);
        let matching = pipeline.steps.iter().enumerate().filter(|(_, step)| instance(&step.name));
        found.extend(matching.map(|(index, _)| index));
        if found.len() == before && !pipeline.steps.iter().any(|step| instance(&step.name)) {
            let names: Vec<_> = pipeline.steps.iter().map(|step| step.name.as_str()).collect();
            let hint = suggest::help(name, &names, "the steps are");
            let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
            return Err(Stop::saying(
                BAD_INPUT,
                format!("{option} {name}: there is no step `{name}`{hint}"),
            ));
        }
    }
    Ok(found)
}

/// Says why steps have no result, each at its place in the pipeline; with the exit code that fits.
pub fn refuse(pipeline: &Pipeline, errors: &[StepError]) -> Stop {
    let faults: Vec<_> = errors
        .iter()
        .filter(|error| error.fault != ::ops::Fault::Cancelled)
        .map(|error| {
            let step = &pipeline.steps[error.step];
            let code =
                if error.fault == ::ops::Fault::Input { "run::bad_input" } else { "run::failed" };
            let span =
                error.param.and_then(|param| step.param_spans.get(param)).unwrap_or(&step.span);
            Fault::error(code, format!("step `{}`: {}", step.name, error.message))
                .label(span.clone(), "")
                .maybe_help(error.help.clone())
        })
        .collect();
    say(render(&pipeline.source, &faults, &Look::of_stderr()).trim_end());
    let input = errors.iter().all(|error| error.fault == ::ops::Fault::Input);
    Stop(if input { BAD_INPUT } else { FAILED })
}
