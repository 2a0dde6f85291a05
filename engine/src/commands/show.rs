//! `engine show`: shows a finished run.

use super::runs::{count, status};
use crate::{
    cli::{BAD_INPUT, CommandError, FAILED, OutArg, StoreArg, print},
    record::{
        self,
        runs::{self, Found},
    },
    ui::{
        fold::{self, paragraph},
        grid::Grid,
    },
};
use cache::{record::StepStatus, regular, store::plain};
use clap::Args;
use reports::ScoreTable;

/// More bytes than any report has.
const LONGEST_REPORT: u64 = 1 << 30;

/// What `show` reads.
#[derive(Args)]
pub struct ShowArgs {
    /// A folder, an id, a study's name, `latest` or `NAME/latest`.
    #[arg(default_value = "latest")]
    pub run: String,
    /// Where runs are.
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
    let found = runs::find(&args.out.out, &args.run)
        .map_err(|fault| CommandError::new(BAD_INPUT, fault))?;
    if args.json {
        let json = serde_json::to_value(&found.record).expect("a record always serialises");
        print(&format!("{json:#}\n"));
        return Ok(());
    }
    if args.report {
        let path = found.folder.join("report.md");
        let report = regular::read(&path, LONGEST_REPORT).map_err(|fault| {
            let (path, run) = (path.display(), &args.run);
            let help = format!("`engine report {run}` renders it again");
            CommandError::new(FAILED, format!("cannot read `{path}`: {}; {help}", plain(&fault)))
        })?;
        print(&String::from_utf8_lossy(&report));
        return Ok(());
    }
    let store = args.store.open_existing()?;
    let table = record::table(&found.record, &store);
    print(&text(&found, &table, fold::width()));
    Ok(())
}

fn text(found: &Found, table: &ScoreTable, width: usize) -> String {
    let Found { folder, record } = found;
    let line = |text: &str| paragraph("", text, width);
    let mut out = line(&format!(
        "{} {}: {} in {}, started {}",
        record.pipeline,
        record.id,
        status(record.status),
        reports::duration(record.seconds),
        record.started
    ));
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
        out.push_str(&grid(table).fitted(width));
    }
    for (at, row) in table.rows.iter().enumerate() {
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

/// The table, with its rows numbered as in `engine why`.
fn grid(table: &ScoreTable) -> Grid {
    let ScoreTable { rows, columns, .. } = table;
    let provisos = reports::provisos(rows);
    let head = columns.iter().map(|metric| metric.heading());
    let head = head.chain(provisos.iter().map(|(title, _)| (*title).to_owned()));
    let mut grid = Grid::new(std::iter::once("row".to_owned()).chain(head), 1);
    for (at, row) in rows.iter().enumerate() {
        let cells = columns.iter().map(|metric| row.shown(metric));
        let cells = cells.chain(provisos.iter().map(|(_, words)| words[at].clone()));
        let name = format!("r{} {}", at + 1, row.title);
        grid.rows.push(std::iter::once(name).chain(cells).collect());
    }
    grid
}
