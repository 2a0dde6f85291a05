//! `engine run`: runs a pipeline and writes its report.

use super::{
    cluster,
    live::{self, Live},
    plan,
    prepare::{MissingStore, further, prepare, refuse},
    remote::{describe_moved, push_all, steps_of},
    up_to_date,
};
use crate::{
    cli::{
        BAD_INPUT, CommandError, ExecutorChoice, FAILED, INTERRUPTED, OutputArgs, PARTLY, RunArgs,
        print,
    },
    devices::limits,
    model::Gpu,
    record::{latest, new, runs},
    run::{
        Outcome, RunInfo,
        cluster::{driver::Cluster, scripts, sizes},
        study::Study,
    },
    ui::{
        console::live::LiveProgress,
        events::{DETAIL, RUN, TEXT},
        fold,
        interrupt::Interrupt,
    },
};
use cache::{
    Record,
    atomic_file::write_atomic_unsynced,
    record::{RunStatus, StepStatus},
    regular,
    store::plain,
};
use ops::Cancel;
use reports::left_out::{Group, LeftOut, left_out};
use std::{fs, num::NonZeroUsize, path::Path, sync::Arc, time::SystemTime};
use tracing::{Level, debug, event_enabled, info, info_span, warn};

/// Runs a pipeline, and prints the path of the report to standard output.
///
/// # Errors
/// Returns the exit code if there is a fault or if a step fails.
pub fn run(
    args: &RunArgs,
    output: &OutputArgs,
    progress: Option<&Arc<LiveProgress>>,
) -> Result<(), CommandError> {
    let mut args = args.clone();
    let profile = &cluster::profile(&args.place, &mut args.plan)?;
    let args = &args;
    if args.detach && profile.is_none() {
        let message = "`--detach` leaves workers on a cluster: name it with `--on`";
        return Err(CommandError::new(BAD_INPUT, message));
    }
    let (mut run, began) = (RunInfo::starting(String::new()), SystemTime::now());
    let _run = info_span!("run", pipeline = %args.plan.pipeline.display()).entered();
    if let Some(last) = up_to_date::find(args, output) {
        info!("{}", nothing_to_run(last.steps, run.clock.elapsed().as_secs_f64()));
        if progress.is_some() {
            live::show_finished(&last.folder);
        }
        print(&format!("{}\n", last.folder.join(REPORT).display()));
        return Ok(());
    }
    let missing_store = if args.dry_run { MissingStore::Empty } else { MissingStore::Create };
    let mut study = prepare(&args.plan, args.keep_going(), missing_store)?;
    let mut limits = study.options.limits.take().unwrap_or_else(limits);
    if let Some(numbers) = &args.gpus {
        limits.gpus = numbers.iter().copied().map(Gpu::numbered).collect();
    }
    limits.gpu_steps = args.gpu_steps.map_or(limits.gpu_steps, NonZeroUsize::get);
    study.options.limits = Some(limits);
    run.cluster = profile.clone().map(|profile| Cluster {
        profile,
        set: args.plan.set.clone(),
        remote: args.plan.store.remote.clone().filter(|remote| !remote.is_empty()),
        detach: args.detach,
        cancel_on_interrupt: args.cancel_on_interrupt,
    });
    if let Some(cluster) = &run.cluster {
        check_cluster(&study, cluster, args.dry_run)?;
    }
    if args.dry_run {
        return plan::show(&study, false, None);
    }
    let new = new::create(&args.out.out, &study.pipeline.name).map_err(|error| {
        let out = args.out.out.display();
        CommandError::new(FAILED, format!("cannot make a run below `{out}`: {}", plain(&error)))
    })?;
    let folder = new.folder.clone();
    run.id.clone_from(&new.id);
    if let Some(ExecutorChoice::Local(executor)) = args.place.executor {
        run.executor = executor;
    }
    note_place(&study.store, &args.out.out);
    let (steps, shown) = (study.pipeline.steps.len(), folder.display().to_string());
    let (name, id) = (&*study.pipeline.name, &*run.id);
    info!(target: RUN, event = "run_started", pipeline = name, id, folder = shown, steps);
    let live =
        progress.and_then(|progress| Live::begin(progress, &study, &run, &folder, args.serve));
    let interrupt = Interrupt::listen();
    let (study, Outcome { mut record, errors, stopped_by, note }) =
        study.run(&run, &interrupt, |study, results, done| {
            let study = further(study, &args.plan, results, done)?;
            live.iter().for_each(|live| live.follow(&study, &run));
            Ok(study)
        })?;
    let Study { pipeline, store, .. } = &study;
    record.name.clone_from(&args.name);
    record.note.clone_from(&args.note);
    record.tags.clone_from(&args.tag);
    if let Some(note) = note {
        // The run goes on without this process, so there is nothing to write down yet.
        info!("{note}");
        let _ = fs::remove_dir(&folder);
        store.close();
        std::mem::forget((record, study));
        return if Interrupt.is_cancelled() {
            Err(CommandError::Shown(INTERRUPTED))
        } else {
            Ok(())
        };
    }
    if let Err(error) = write(&folder, &record, store) {
        // The errors of steps may have the same cause and explain it better.
        if !errors.is_empty() {
            let _ = refuse(pipeline, &errors).print();
        }
        return Err(CommandError::new(FAILED, error));
    }
    if args.push
        && let Some(remote) = args.plan.store.remote()?
    {
        let moved = push_all(store, &steps_of(store, &record), remote.as_ref())?;
        info!("pushed {}", describe_moved(&moved));
    }
    up_to_date::keep(args, &study, &record, &folder, began);
    if let Some(search) = &pipeline.variants.search {
        info!("{} points were tried for {}", search.points.len(), search.objective);
    }
    report_end(&record, store);
    print(&format!("{}\n", folder.join(REPORT).display()));
    let (status, ending) = (record.status, Ending::of(&record, &folder));
    // The process ends here, so the memory of thousands of steps is not freed one by one, which
    // takes time.
    std::mem::forget(record);
    let ended = match (stopped_by, status) {
        (Some(reason), _) => Err(CommandError::new(FAILED, reason)),
        (None, RunStatus::Done) => Ok(()),
        (None, RunStatus::Interrupted) => Err(CommandError::Shown(INTERRUPTED)),
        (None, RunStatus::Partial) => Err(refuse(pipeline, &errors).with_code(PARTLY)),
        (None, RunStatus::Failed) => Err(refuse(pipeline, &errors)),
    };
    // The event that gives the status of the run is the last one.
    let ended = ended.map_err(CommandError::print);
    ending.emit();
    drop(live);
    study.store.close();
    std::mem::forget(study);
    ended
}

/// Refuses what the workers of a cluster cannot run, before anything is submitted; shows the scripts of a dry run.
fn check_cluster(study: &Study, cluster: &Cluster, dry_run: bool) -> Result<(), CommandError> {
    let plan = study.plan();
    let assigned = sizes::assign(&plan, &cluster.profile)
        .map_err(|errors| refuse(&study.pipeline, &errors))?;
    if dry_run {
        let scripts = scripts::scripts(&plan, cluster);
        let scripts = scripts.map_err(|errors| refuse(&study.pipeline, &errors))?;
        scripts.iter().for_each(|script| print(&format!("{script}\n")));
        return Ok(());
    }
    scripts::probe(&plan, cluster, &assigned).map_err(|error| CommandError::new(BAD_INPUT, error))
}

const REPORT: &str = "report.md";

/// Writes the record and the report, and makes the run the latest of its study, unless only a part
/// of it was asked for. The record comes first: if the run is killed in between, its report can
/// still be made.
fn write(folder: &Path, record: &Record, store: &cache::Store) -> Result<(), String> {
    runs::write_record(folder, record).map_err(|error| unwritable(folder, &error))?;
    write_report(folder, record, store)?;
    let note = match record.only {
        true => Some("only some steps were asked for, so `latest` is left as it was".to_owned()),
        false => latest::point_to(folder).map_err(|error| unwritable(folder, &error))?,
    };
    if let Some(note) = note {
        info!(note_word = true, "{note}");
    }
    Ok(())
}

/// Notes the folder of the runs in the store, so that the removal of unneeded objects can search
/// it.
fn note_place(store: &cache::Store, out: &Path) {
    let noted = fs::canonicalize(out).map(|out| store.note_runs(&out));
    if let Ok(Err(error)) = noted {
        warn!("{error}");
    }
}

/// Writes the report of a record.
///
/// # Errors
/// Returns a sentence if a file cannot be written or read.
pub fn write_report(folder: &Path, record: &Record, store: &cache::Store) -> Result<(), String> {
    let _report = info_span!("report").entered();
    let table = crate::record::table(record, store);
    for remark in reports::remarks(&table.rows) {
        info!(note_word = true, "{remark}");
    }
    let report =
        reports::render(record, table, store, folder).map_err(|error| error.to_string())?;
    for (name, bytes) in &report {
        let path = folder.join(name);
        // A file that has the same bytes is left alone, because a durable write waits for the disk.
        if regular::read(&path, bytes.len() as u64).is_ok_and(|there| there == *bytes) {
            continue;
        }
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| write_atomic_unsynced(&path, bytes))
            .map_err(|error| unwritable(folder, &error))?;
    }
    Ok(())
}

fn unwritable(folder: &Path, error: &std::io::Error) -> String {
    format!("cannot write in `{}`: {}", folder.display(), plain(error))
}

/// Warns of files that sources left out, so that users need not search for them.
fn warn_left_out(record: &Record, store: &cache::Store) {
    const LINES: usize = 12;
    // The report gives the same warning, and also the faults of the store.
    for LeftOut { step, files, groups } in left_out(record, store).unwrap_or_default() {
        warn!("`{step}` left out {}", reports::count(files, "file"));
        let lines: Vec<_> = groups.iter().flat_map(Group::lines).collect();
        for (place, reason) in lines.iter().take(LINES) {
            warn!(target: DETAIL, "  `{place}`: {reason}");
        }
        if lines.len() > LINES {
            warn!(target: DETAIL, "  and {} more, which the report lists", lines.len() - LINES);
        }
    }
}

/// Prints the status of the run, and its details if they are asked for.
fn report_end(record: &Record, store: &cache::Store) {
    if event_enabled!(Level::WARN) {
        warn_left_out(record, store);
    }
    if event_enabled!(target: TEXT, Level::DEBUG) {
        let details = super::details::of(record, store, fold::width_of(std::io::stderr()));
        debug!(target: TEXT, "{}", details.trim_end());
    }
    info!(target: TEXT, "{}", summary(record));
}

/// The last event, which gives the status of the run.
struct Ending {
    status: RunStatus,
    seconds: f64,
    counts: [usize; 4],
    report: String,
}

impl Ending {
    fn of(record: &Record, folder: &Path) -> Self {
        let count = |status| record.steps.iter().filter(|step| step.status == status).count();
        let all = [StepStatus::Ran, StepStatus::Hit, StepStatus::Failed, StepStatus::Skipped];
        let report = folder.join(REPORT).display().to_string();
        let (status, seconds) = (record.status, record.seconds);
        Self { status, seconds, counts: all.map(count), report }
    }

    fn emit(&self) {
        let Self { seconds, counts: [ran, hits, failed, skipped], report, .. } = self;
        let (event, status) = ("run_finished", serde_json::json!(self.status));
        let status = status.as_str();
        info!(target: RUN, event, status, seconds, ran, hits, failed, skipped, report);
    }
}

fn nothing_to_run(steps: usize, seconds: f64) -> String {
    format!("nothing to run: all {steps} steps were cached ({})", reports::duration(seconds))
}

fn summary(record: &Record) -> String {
    let count = |status| record.steps.iter().filter(|step| step.status == status).count();
    let (ran, hits) = (count(StepStatus::Ran), count(StepStatus::Hit));
    let (failed, skipped) = (count(StepStatus::Failed), count(StepStatus::Skipped));
    if hits == record.steps.len() {
        return nothing_to_run(hits, record.seconds);
    }
    let took = reports::duration(record.seconds);
    let mut parts = vec![format!("{ran} ran"), format!("{hits} cached")];
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    if skipped > 0 {
        parts.push(format!("{skipped} skipped"));
    }
    format!("{} of {} steps in {took}", parts.join(", "), record.steps.len())
}
