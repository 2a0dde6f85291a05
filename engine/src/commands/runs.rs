//! `engine runs`: lists the finished runs, the newest first, and tells of those at work on a cluster.

use crate::{
    cli::{CommandError, OutArg, StoreArg, print},
    record::{self, runs},
    run::cluster::progress::{ClusterProgress, cluster_progress},
    ui::{diagnostic::listed, fold, grid::Grid},
};
use cache::{
    Record, Store,
    record::{RunStatus, StepStatus},
};
use clap::Args;
use serde_json::{Value, json};
use tracing::{info, warn};

/// The arguments of `runs`.
#[derive(Args)]
pub struct RunsArgs {
    /// Only the runs of this study.
    #[arg(value_name = "NAME")]
    pub study: Option<String>,
    /// Only the runs with this word; of several, the runs with all of them.
    #[arg(long, value_name = "WORD")]
    pub tag: Vec<String>,
    /// The folder of the runs.
    #[command(flatten)]
    pub out: OutArg,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// Lists the runs.
///
/// # Errors
/// Returns the exit code if the store cannot be opened.
pub fn runs(args: &RunsArgs) -> Result<(), CommandError> {
    // Without a store the runs are listed without their numbers.
    let store = args.store.open_of(&args.out.out).or_else(|_| args.store.open_existing())?;
    let mut found = Vec::new();
    for folder in runs::all(&args.out.out) {
        match runs::read(&folder) {
            Ok(record) => found.push(record),
            Err(error) => warn!("{error}"),
        }
    }
    found.retain(|record| args.study.as_ref().is_none_or(|study| record.pipeline == *study));
    found.retain(|record| args.tag.iter().all(|tag| record.tags.contains(tag)));
    let unfinished = match &*args.tag {
        [] => cluster_progress(&store, args.study.as_deref()),
        _ => Vec::new(),
    };
    if args.json {
        let finished = found.iter().map(|record| in_json(record, &store));
        let runs: Vec<Value> = unfinished.iter().map(unfinished_in_json).chain(finished).collect();
        print(&format!("{:#}\n", Value::from(runs)));
        return Ok(());
    }
    for progress in &unfinished {
        info!("{}", progress.text());
    }
    if found.is_empty() && !args.tag.is_empty() {
        info!("no run below `{}` has {}", args.out.out.display(), listed(&args.tag, "and"));
        return Ok(());
    }
    if found.is_empty() {
        info!("no runs below `{}`; `engine run PIPELINE` makes one", args.out.out.display());
        return Ok(());
    }
    print(&table(&found, &store, fold::width()));
    Ok(())
}

/// The runs in columns; the titles of rows are shortened to fit.
fn table(runs: &[Record], store: &Store, width: usize) -> String {
    let has_names = runs.iter().any(|record| label(record).is_some());
    let head = ["run", "study"].into_iter().chain(has_names.then_some("name"));
    let head = head.chain(["started", "ended", "time", "ran", "best row"]);
    let mut grid = Grid::new(head, 8);
    for record in runs {
        // The time from month to minute; the year is in the name of the run.
        let started = record.started.replace('T', " ");
        let started = started.get(5..16).map_or(started.clone(), |it| format!("{it}Z"));
        let best = best(record, store)
            .map_or("–".to_owned(), |(title, metric, value)| format!("{metric} {value} {title}"));
        let mut row = vec![record.id.clone(), record.pipeline.clone()];
        row.extend(has_names.then(|| label(record).unwrap_or_default()));
        row.extend([
            started,
            status(record.status).to_owned(),
            reports::duration(record.seconds),
            format!("{} of {}", count(record, StepStatus::Ran), record.steps.len()),
            best,
        ]);
        grid.rows.push(row);
    }
    grid.shorten_last(width);
    grid.fitted(width)
}

/// The user's label of a run: its name and its tags.
pub fn label(record: &Record) -> Option<String> {
    let tags = record.tags.iter().map(|tag| format!("#{tag}"));
    let words: Vec<String> = record.name.clone().into_iter().chain(tags).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The word for the status of a run.
pub fn status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Done => "done",
        RunStatus::Partial => "partly",
        RunStatus::Failed => "failed",
        RunStatus::Interrupted => "stopped",
    }
}

/// The number of steps with this status.
pub fn count(record: &Record, status: StepStatus) -> usize {
    record.steps.iter().filter(|step| step.status == status).count()
}

/// The best row of a run: the title of the row, the title of its metric, and the value.
fn best(record: &Record, store: &Store) -> Option<(String, String, String)> {
    let table = record::table(record, store);
    let (row, metric) = table.best()?;
    Some((row.title.clone(), metric.title.to_string(), row.shown(metric)))
}

/// A run that is at work on a cluster: it has no record yet, and so no id.
fn unfinished_in_json(progress: &ClusterProgress) -> Value {
    json!({ "id": null, "pipeline": progress.study, "status": "running", "cluster": progress })
}

fn in_json(record: &Record, store: &Store) -> Value {
    let table = record::table(record, store);
    let best = table.best().and_then(|(row, metric)| {
        let estimate = row.estimate(&metric.name)?;
        Some(json!({ "row": row.title, "metric": metric.name, "mean": estimate.mean,
            "half_interval": estimate.half_width, "seeds": estimate.n }))
    });
    json!({
        "id": record.id, "name": record.name, "note": record.note, "tags": record.tags, "pipeline": record.pipeline, "started": record.started,
        "status": record.status, "seconds": record.seconds,
        "ran": count(record, StepStatus::Ran), "hits": count(record, StepStatus::Hit),
        "failed": count(record, StepStatus::Failed), "skipped": count(record, StepStatus::Skipped),
        "best": best,
    })
}
