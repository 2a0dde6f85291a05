//! `engine compare`: the rows of many runs in one table, with what the runs differ in.

use super::show::select::{self, RowArgs};
use crate::{
    cli::{BAD_INPUT, CommandError, OutArg, StoreArg, print},
    record::{
        self,
        runs::{self, FoundRun},
    },
    ui::{
        fold::{self, paragraph},
        grid::Grid,
    },
};
use cache::{
    Record, Store,
    record::{StepRecord, without_variant},
};
use clap::Args;
use reports::{ScoreTable, ScoredRow, Wide, incomparable};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The arguments of `compare`.
#[derive(Args)]
pub struct CompareArgs {
    /// The runs: folders, ids, names of studies, `latest` or `NAME/latest`.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<String>,
    /// The selection of rows.
    #[command(flatten)]
    pub rows: RowArgs,
    /// The folder of the runs.
    #[command(flatten)]
    pub out: OutArg,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
    /// Write Markdown.
    #[arg(long, conflicts_with_all = ["csv", "json"])]
    pub md: bool,
    /// Write CSV, with all metrics in full precision.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// The name of the column that says which run a row is of.
const RUN: &str = "run";

/// The rows of all runs as one table: the points of its rows hold the run and what the runs differ in.
struct Compared {
    table: ScoreTable,
    /// The run of each row, and the number of the row in the table of that run.
    places: Vec<(usize, usize)>,
}

/// Prints the rows of several runs as one table.
///
/// # Errors
/// Returns the exit code if one of the runs does not exist, or if a condition cannot be read.
pub fn compare(args: &CompareArgs) -> Result<(), CommandError> {
    let bad = |error| CommandError::new(BAD_INPUT, error);
    let found = args.runs.iter().map(|run| runs::find(&args.out.out, run));
    let found: Vec<FoundRun> = found.collect::<Result<_, _>>().map_err(bad)?;
    let store = args.store.open_of(&found[0].folder)?;
    let compared = compared(&found, &store);
    let rows = select::select(&compared.table, &args.rows).map_err(bad)?;
    if args.json {
        print(&in_json(&found, &compared, &rows));
    } else if args.csv {
        let rows: Vec<_> = rows.iter().map(|at| compared.table.rows[*at].clone()).collect();
        print(&Wide::of(&rows).csv());
    } else {
        print(&text(&compared, &rows, args.md, fold::width()));
    }
    Ok(())
}

fn compared(found: &[FoundRun], store: &Store) -> Compared {
    let settings: Vec<Settings> = found.iter().map(|it| settings(&it.record)).collect();
    let mut names = differing(found, &settings);
    let tables: Vec<ScoreTable> = found.iter().map(|it| record::table(&it.record, store)).collect();
    for (axis, _) in tables.iter().flat_map(|it| &it.rows).flat_map(|row| &row.point) {
        if !names.contains(axis) {
            names.push(axis.clone());
        }
    }
    let (mut all, mut places) = (ScoreTable::default(), Vec::new());
    for (run, table) in tables.into_iter().enumerate() {
        for metric in table.columns {
            if !all.columns.iter().any(|known| known.name == metric.name) {
                all.columns.push(metric);
            }
        }
        for (at, mut row) in table.rows.into_iter().enumerate() {
            let value = |name: &String| {
                let own = row.point.iter().find(|(axis, _)| axis == name);
                let value = own.map(|(_, value)| value).or_else(|| settings[run].get(name))?;
                Some((name.clone(), value.clone()))
            };
            let id = (RUN.to_owned(), Value::from(found[run].record.id.clone()));
            let point = std::iter::once(id).chain(names.iter().filter_map(value)).collect();
            row.point = point;
            all.rows.push(row);
            places.push((run, at));
        }
    }
    Compared { table: all, places }
}

/// The settings of a run, by place: `vae.beta`, `groups.in.features`.
type Settings = BTreeMap<String, Value>;

/// The settings of a run. A parameter that varies within the run is none: its rows have it.
fn settings(record: &Record) -> Settings {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut settings = Settings::new();
    let mut add = |place: String, value: Value| {
        found.entry(place.clone()).or_default().insert(value.to_string());
        settings.insert(place, value);
    };
    add("study".to_owned(), record.pipeline.as_str().into());
    add("engine".to_owned(), record.engine.as_str().into());
    let seeds = record.sweep.iter().flat_map(|sweep| &sweep.seeds);
    let seeds: Vec<u64> = seeds.copied().collect();
    add("seeds".to_owned(), if seeds.is_empty() { json!([0]) } else { json!(seeds) });
    for step in &record.steps {
        let name = without_variant(&step.name);
        add(format!("{name}.op"), step.op.as_str().into());
        for (param, value) in step.params.as_object().into_iter().flatten() {
            add(format!("{name}.{param}"), value.clone());
        }
        for (port, source) in &step.inputs {
            let (step, output) = source.rsplit_once('.').unwrap_or((source, ""));
            add(format!("{name}.in.{port}"), format!("{}.{output}", without_variant(step)).into());
        }
        // What a source has read, whatever its path is.
        let digest = step.outputs.values().next().filter(|_| step.inputs.is_empty());
        if let Some(digest) = digest {
            let digest: String = digest.to_string().chars().take(8).collect();
            add(format!("{name}.data"), digest.into());
        }
    }
    settings.retain(|place, _| found.get(place).is_some_and(|values| values.len() == 1));
    settings
}

/// The places where the settings of runs differ, in the order of the runs' steps. Of a step that some
/// runs do not have, only its op is one.
fn differing(found: &[FoundRun], settings: &[Settings]) -> Vec<String> {
    let has = |record: &Record, name: &str| {
        record.steps.iter().any(|step| without_variant(&step.name) == name)
    };
    let mut places: Vec<String> = ["study", "engine", "seeds"].map(str::to_owned).to_vec();
    let mut seen = BTreeSet::new();
    for step in found.iter().flat_map(|it| &it.record.steps) {
        let name = without_variant(&step.name);
        if !seen.insert(name) {
            continue;
        }
        places.push(format!("{name}.op"));
        let op = |run: &Settings| run.get(&format!("{name}.op")).cloned();
        let is_shared = found.iter().all(|it| has(&it.record, name))
            && settings.iter().all(|run| op(run) == op(&settings[0]));
        if is_shared {
            places.extend(inside(found, name));
        }
    }
    places.retain(|place| settings.iter().any(|run| run.get(place) != settings[0].get(place)));
    places
}

/// The places of a step: its parameters, inputs and data.
fn inside(found: &[FoundRun], name: &str) -> Vec<String> {
    let mut places: Vec<String> = Vec::new();
    let steps =
        found.iter().flat_map(|it| &it.record.steps).filter(|it| without_variant(&it.name) == name);
    for step in steps {
        let StepRecord { params, inputs, .. } = step;
        let params = params.as_object().into_iter().flat_map(Map::keys).cloned();
        let inputs = inputs.keys().map(|port| format!("in.{port}"));
        for place in params.chain(inputs).chain(["data".to_owned()]) {
            let place = format!("{name}.{place}");
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

/// The last part of the name of a parameter where it tells which one is meant.
fn heading<'a>(axis: &'a str, axes: &[&str]) -> &'a str {
    let last = |axis: &'a str| axis.rsplit('.').next().unwrap_or(axis);
    let alike = axes.iter().filter(|other| other.rsplit('.').next() == Some(last(axis))).count();
    if alike > 1 { axis } else { last(axis) }
}

fn text(compared: &Compared, shown: &[usize], md: bool, width: usize) -> String {
    let ScoreTable { rows, columns, .. } = &compared.table;
    if rows.is_empty() {
        return paragraph("", "None of the runs has rows (`report: { table: … }`).", width);
    }
    let axes = select::axes(&compared.table);
    let head = axes.iter().map(|axis| heading(axis, &axes).to_owned());
    let head = head.chain(["row".to_owned()]).chain(columns.iter().map(|it| it.heading()));
    let mut grid = Grid::new(head, axes.len() + 1);
    for at in shown {
        let row = &rows[*at];
        let values = axes.iter().map(|axis| select::cell(row, axis));
        let title = format!("r{} {}", compared.places[*at].1 + 1, row.name);
        let cells = values.chain([title]).chain(columns.iter().map(|it| row.shown(it)));
        grid.rows.push(cells.collect());
    }
    let mut out = if md { grid.markdown() } else { grid.fitted(width) };
    let mut add_note = |note: &str| match md {
        true => out.push_str(&format!("\n{}\n", reports::escape_markdown(note))),
        false => out.push_str(&paragraph("", note, width)),
    };
    if shown.len() < rows.len() {
        add_note(&format!("{} of {}", shown.len(), reports::count(rows.len(), "row")));
    }
    if grid.rows.iter().flatten().any(|cell| cell.contains('±')) {
        add_note("± half the 95 % interval of the mean over seeds.");
    }
    let own: Vec<&ScoredRow> = shown.iter().map(|at| &rows[*at]).collect();
    let why = own
        .split_first()
        .and_then(|(first, others)| others.iter().find_map(|other| incomparable(first, other)));
    if let Some(why) = why {
        add_note(&format!("note: not all of these rows compare: some are {why}."));
    }
    out
}

fn in_json(found: &[FoundRun], compared: &Compared, shown: &[usize]) -> String {
    let rows = shown.iter().map(|at| {
        let (row, (run, number)) = (&compared.table.rows[*at], compared.places[*at]);
        let scores = row.values.keys().filter_map(|metric| {
            let it = row.estimate(metric)?;
            let value = json!({ "mean": it.mean, "half_interval": it.half_width, "seeds": it.n });
            Some((metric.clone(), value))
        });
        let record = &found[run].record;
        json!({
            "run": record.id, "study": record.pipeline, "name": record.name, "tags": record.tags,
            "row": row.name, "number": format!("r{}", number + 1),
            "parameters": row.point.iter().skip(1).cloned().collect::<Map<_, _>>(),
            "scores": scores.collect::<Map<_, _>>(),
        })
    });
    format!("{:#}\n", Value::from(rows.collect::<Vec<_>>()))
}
