//! `engine show`: shows a finished run, or how far a study's first one on a cluster is.

pub mod select;

use self::select::RowArgs;
use super::runs::{count, label, status};
use crate::{
    cli::{BAD_INPUT, CommandError, FAILED, OutArg, StoreArg, print},
    record::{
        self,
        runs::{self, FoundRun},
    },
    run::cluster::progress::cluster_progress,
    ui::{
        fold::{self, paragraph},
        grid::Grid,
    },
};
use cache::{Store, record::StepStatus, regular, store::plain};
use clap::Args;
use reports::ScoreTable;
use serde_json::json;
use tracing::info;

/// More bytes than any report has.
const MAX_REPORT_BYTES: u64 = 1 << 30;

/// The arguments of `show`.
#[derive(Args)]
pub struct ShowArgs {
    /// A folder, an id, a study's name, `latest` or `NAME/latest`.
    #[arg(default_value = "latest")]
    pub run: String,
    /// The selection of rows.
    #[command(flatten)]
    pub rows: RowArgs,
    /// The folder of the runs.
    #[command(flatten)]
    pub out: OutArg,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
    /// Print the whole report, in Markdown.
    #[arg(long, conflicts_with = "json")]
    pub report: bool,
    /// Print the record, in JSON.
    #[arg(long)]
    pub json: bool,
}

/// Prints the table of a run, its report or its record.
///
/// # Errors
/// Returns the exit code if there is no such run.
pub fn show(args: &ShowArgs) -> Result<(), CommandError> {
    let found = match runs::find(&args.out.out, &args.run) {
        Ok(found) => found,
        Err(error) if !shows_progress(args)? => return Err(CommandError::new(BAD_INPUT, error)),
        Err(_) => return Ok(()),
    };
    if args.json {
        let json = serde_json::to_value(&found.record).expect("a record always serialises");
        print(&format!("{json:#}\n"));
        return Ok(());
    }
    if args.report {
        let path = found.folder.join("report.md");
        let report = regular::read(&path, MAX_REPORT_BYTES).map_err(|error| {
            let (path, run) = (path.display(), &args.run);
            let help = format!("`engine report {run}` renders it again");
            CommandError::new(FAILED, format!("cannot read `{path}`: {}; {help}", plain(&error)))
        })?;
        print(&String::from_utf8_lossy(&report));
        return Ok(());
    }
    let store = args.store.open_of(&found.folder)?;
    let table = record::table(&found.record, &store);
    let rows =
        select::select(&table, &args.rows).map_err(|error| CommandError::new(BAD_INPUT, error))?;
    print(&text(&found, &table, &rows, fold::width()));
    for progress in cluster_progress(&store, Some(&found.record.pipeline)) {
        info!("{}", progress.text());
    }
    Ok(())
}

/// Shows how far the first run of a study is that is still at work on a cluster; false if there is none.
fn shows_progress(args: &ShowArgs) -> Result<bool, CommandError> {
    if !Store::is_at(&args.store.store) {
        return Ok(false);
    }
    let study = args.run.strip_suffix("/latest").unwrap_or(&args.run);
    let study = (study != "latest").then_some(study);
    let found = cluster_progress(&args.store.open_existing()?, study);
    match args.json {
        true if !found.is_empty() => print(&format!("{:#}\n", json!({ "cluster": found }))),
        _ => found.iter().for_each(|it| print(&paragraph("", &it.text(), fold::width()))),
    }
    Ok(!found.is_empty())
}

fn text(found: &FoundRun, table: &ScoreTable, shown: &[usize], width: usize) -> String {
    let FoundRun { folder, record } = found;
    let line = |text: &str| paragraph("", text, width);
    let mut out = line(&format!(
        "{} {}: {} in {}, started {}",
        record.pipeline,
        record.id,
        status(record.status),
        reports::duration(record.seconds),
        record.started
    ));
    if let Some(label) = label(record) {
        out.push_str(&line(&label));
    }
    if let Some(note) = &record.note {
        out.push_str(&line(note));
    }
    if record.only {
        out.push_str(&line("Only some of its steps were asked for, so it is not the latest run."));
    }
    for step in &record.steps {
        if let Some(error) = &step.error {
            out.push_str(&paragraph(&format!("failed  {}: ", step.name), error, width));
        }
    }
    if let Some(question) = &record.question {
        out.push_str(&format!("\n{}", line(question)));
    }
    out.push('\n');
    if table.rows.is_empty() {
        out.push_str(&line("The pipeline names no rows for a table (`report: { table: … }`)."));
    } else {
        let grid = grid(table, shown, record.sweep.as_ref().is_some_and(|it| it.shown.is_empty()));
        out.push_str(&grid.fitted(width));
    }
    if shown.len() < table.rows.len() {
        let all = reports::count(table.rows.len(), "row");
        out.push_str(&line(&format!("{} of {all}", shown.len())));
    }
    for (at, row) in shown.iter().map(|at| (*at, &table.rows[*at])) {
        let absent = row.seeds.iter().filter_map(|seed| Some((seed.seed, seed.missing.as_ref()?)));
        let absent: Vec<_> = absent.collect();
        let Some((_, why)) = absent.first() else { continue };
        let of = match absent.len() {
            all if all == row.seeds.len() => String::new(),
            _ => {
                let seeds: Vec<_> = absent.iter().map(|(seed, _)| seed.to_string()).collect();
                format!(" with seed {}", seeds.join(", "))
            }
        };
        out.push_str(&line(&format!("r{} has no scores{of}: {why}", at + 1)));
    }
    if out.contains('±') {
        out.push_str(&line("± half the 95 % interval of the mean over seeds."));
    }
    for remark in reports::remarks(&table.rows) {
        out.push_str(&line(&format!("note: {remark}")));
    }
    let ran = count(record, StepStatus::Ran);
    let hits = count(record, StepStatus::Hit);
    out.push_str(&format!(
        "\n{}",
        line(&format!("{ran} of {} steps ran, {hits} were cached", record.steps.len()))
    ));
    out.push_str(&line(&format!("report: {}", folder.join("report.md").display())));
    out
}

/// Some rows of the table, numbered as in `engine why`; of a sweep with a column for each parameter.
fn grid(table: &ScoreTable, shown: &[usize], is_sweep: bool) -> Grid {
    let ScoreTable { rows, columns, .. } = table;
    let context_columns = reports::context_columns(rows);
    let axes = if is_sweep { select::axes(table) } else { Vec::new() };
    let head = std::iter::once("row".to_owned()).chain(axes.iter().map(|axis| (*axis).to_owned()));
    let head = head.chain(columns.iter().map(|metric| metric.heading()));
    let head = head.chain(context_columns.iter().map(|(title, _)| (*title).to_owned()));
    let mut grid = Grid::new(head, 1);
    for (at, row) in shown.iter().map(|at| (*at, &rows[*at])) {
        let title = if axes.is_empty() { &row.title } else { &row.name };
        let values = axes.iter().map(|axis| select::cell(row, axis));
        let cells = values.chain(columns.iter().map(|metric| row.shown(metric)));
        let cells = cells.chain(context_columns.iter().map(|(_, words)| words[at].clone()));
        grid.rows.push(std::iter::once(format!("r{} {title}", at + 1)).chain(cells).collect());
    }
    grid
}
