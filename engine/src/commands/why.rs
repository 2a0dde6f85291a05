//! `engine why`: the chain from a number of a table to the files that it depends on.

use crate::{
    cli::{self, BAD_INPUT, CommandError, OutArg, StoreArg, print},
    plan::{keys::FILES, reasons::shown},
    record::{
        self,
        runs::{self, FoundRun},
    },
    ui::{
        diagnostic::quote,
        fold::{self, paragraph},
        size, suggest,
    },
};
use cache::{
    CacheKey, Record, Store,
    metric::Metric,
    record::{StepRecord, StepStatus},
};
use clap::Args;
use reports::{ScoreTable, ScoredRow, Seed};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The arguments of `why`.
#[derive(Args)]
pub struct WhyArgs {
    /// A folder, an id, a study's name, `latest` or `NAME/latest`.
    pub run: String,
    /// The cell: `r3.ari` (third row), `table1#r3c2` (third row, second metric), or
    /// `"title of a row".ari`.
    pub cell: String,
    /// Of several seeds, the one to follow; the first if not given.
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
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

/// Prints the chain.
///
/// # Errors
/// Returns the exit code if there is no such run or cell.
pub fn why(args: &WhyArgs) -> Result<(), CommandError> {
    let bad = |error: String| CommandError::new(BAD_INPUT, error);
    let found = runs::find(&args.out.out, &args.run).map_err(bad)?;
    let store = args.store.open_of(&found.folder)?;
    let table = record::table(&found.record, &store);
    let (row, metric) = find(&args.cell, &found.record, &table).map_err(bad)?;
    let line = &table.rows[row];
    let scored = match args.seed {
        None => &line.seeds[0],
        Some(seed) => line.seeds.iter().find(|scored| scored.seed == seed).ok_or_else(|| {
            let seeds: Vec<_> = line.seeds.iter().map(|scored| scored.seed.to_string()).collect();
            bad(format!("row `{}` has no seed {seed}; it has {}", line.title, seeds.join(", ")))
        })?,
    };
    // The number of a column `STEP.METRIC` is made by that step.
    let step = scored.others.get(&*metric.name).unwrap_or(&scored.step);
    let chain = chain(&found.record, step);
    let links: Vec<Link> =
        chain.into_iter().map(|step| link(step, &found.record, &store)).collect();
    let cell = TracedCell { line, scored, step, metric, row };
    print(&if args.json {
        in_json(&found, &cell, &links)
    } else {
        in_text(&found, &cell, &links, fold::width())
    });
    Ok(())
}

/// A number of the table.
struct TracedCell<'l> {
    line: &'l ScoredRow,
    scored: &'l Seed,
    /// The step that made the number.
    step: &'l str,
    metric: &'l Metric,
    row: usize,
}

/// A step that the number depends on.
struct Link<'r> {
    step: &'r StepRecord,
    /// The key of the step, if the store still has it.
    key: Option<CacheKey>,
    /// The parameters that differ from their defaults.
    params: Vec<(String, String)>,
    /// The folder or file that the step reads from outside, with the number of files and of bytes.
    files: Vec<(String, Option<(usize, u64)>)>,
    /// The inputs: port, `step.port`, digest.
    inputs: Vec<(String, String, Option<String>)>,
}

/// The row and the metric of a cell.
fn find<'t>(
    cell: &str,
    record: &Record,
    table: &'t ScoreTable,
) -> Result<(usize, &'t Metric), String> {
    let ScoreTable { rows, columns, .. } = table;
    if rows.is_empty() {
        return Err(format!("run `{}` has no table", record.id));
    }
    let place = match cell.split_once('#') {
        Some((table, place)) if table == record.pipeline || table == "table" => Some(place),
        Some((table, place)) if numbered(place).is_some() => {
            return Err(format!("the table of this run is `{}`, not `{table}`", record.pipeline));
        }
        _ => None,
    };
    if let Some((row, column)) = numbered(place.unwrap_or(cell)) {
        let metric = columns.get(column.wrapping_sub(1)).ok_or_else(|| {
            format!("there is no column {column}: the table has {}", titles(columns))
        })?;
        return Ok((row_at(row, rows)?, metric));
    }
    let place = place.unwrap_or(cell);
    // The name of a metric may contain a dot, and so may a title.
    let split = |name: &str| {
        let row = place.len().checked_sub(name.len()).filter(|at| place.is_char_boundary(*at))?;
        let (row, metric) = place.split_at(row);
        let same = metric.to_lowercase() == name.to_lowercase();
        row.strip_suffix('.').filter(|_| same).map(str::to_owned)
    };
    let named = columns.iter().filter_map(|metric| {
        let underlined = metric.title.to_lowercase().replace(' ', "_");
        let names = [&*metric.name, &*metric.title, &*underlined];
        names.into_iter().find_map(|name| Some((split(name)?, metric)))
    });
    // Of several metrics that fit, the longest is meant, which leaves the shortest row.
    if let Some((row, metric)) = named.min_by_key(|(row, _)| row.len()) {
        return Ok((row_named(&row, rows)?, metric));
    }
    let (_, metric) = place.rsplit_once('.').ok_or_else(|| {
        format!(
            "{} names no cell: write `r1.ari`, `{}#r1c1` or `\"title of a row\".ari`",
            quote(cell),
            record.pipeline
        )
    })?;
    let names: Vec<&str> = columns.iter().map(|metric| &*metric.name).collect();
    let hint = suggest::help(metric, &names, "the table has");
    let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
    Err(format!("the table has no metric {}{hint}", quote(metric)))
}

/// The row with a title, as a reader copies it, or with a number `r3`.
fn row_named(row: &str, rows: &[ScoredRow]) -> Result<usize, String> {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let unquoted = row.trim_matches(['"', '\'']);
    for title in [row, unquoted].map(plain) {
        let fits = rows.iter().enumerate().filter(|(_, it)| plain(&it.title) == title);
        let fits: Vec<usize> = fits.map(|(at, _)| at).collect();
        match fits[..] {
            [] => {}
            [at] => return Ok(at),
            _ => {
                let numbers: Vec<String> = fits.iter().map(|at| format!("r{}", at + 1)).collect();
                let numbers = numbers.join(" and ");
                return Err(format!(
                    "{} is the title of {numbers}: write one of these",
                    quote(&title)
                ));
            }
        }
    }
    if let Some(number) = unquoted.strip_prefix('r').and_then(|number| number.parse().ok()) {
        return row_at(number, rows);
    }
    let titles: Vec<&str> = rows.iter().map(|row| row.title.as_str()).collect();
    let hint = suggest::help(unquoted, &titles, "its rows are");
    let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
    Err(format!("the table has no row {}{hint}", quote(unquoted)))
}

/// Parses `r3c2` into row and column.
fn numbered(place: &str) -> Option<(usize, usize)> {
    let (row, column) = place.strip_prefix('r')?.split_once('c')?;
    Some((row.parse().ok()?, column.parse().ok()?))
}

fn row_at(number: usize, rows: &[ScoredRow]) -> Result<usize, String> {
    match number.checked_sub(1).filter(|at| *at < rows.len()) {
        Some(at) => Ok(at),
        None if rows.len() == 1 => Err(format!("there is no row {number}: the table has only r1")),
        None => Err(format!("there is no row {number}: the table has r1 to r{}", rows.len())),
    }
}

fn titles(metrics: &[Metric]) -> String {
    let titles: Vec<_> =
        metrics.iter().enumerate().map(|(at, it)| format!("c{} {}", at + 1, it.title)).collect();
    titles.join(", ")
}

/// The step and all that it depends on, from the sources down to the step.
fn chain<'r>(record: &'r Record, step: &str) -> Vec<&'r StepRecord> {
    let mut wanted = BTreeSet::from([step]);
    let mut chain: Vec<&StepRecord> = Vec::new();
    for step in record.steps.iter().rev() {
        if wanted.contains(step.name.as_str()) {
            let read = step.inputs.values().filter_map(|output| output.rsplit_once('.'));
            wanted.extend(read.map(|(step, _)| step));
            chain.push(step);
        }
    }
    chain.reverse();
    chain
}

fn link<'r>(step: &'r StepRecord, record: &Record, store: &Store) -> Link<'r> {
    let entry = ops::find(&step.op);
    let schema = entry.map(ops::Entry::schema);
    let key = step.key.and_then(|key| store.finished(&key)).map(|finished| finished.cache_key);
    let default = |name: &str| schema.as_ref()?.pointer(&format!("/properties/{name}/default"));
    let params = step.params.as_object().into_iter().flatten();
    let params = params.filter(|(name, value)| default(name) != Some(value));
    let noted = key.as_ref().and_then(|key| store.noted_files(key.inputs.get(FILES)?));
    let counted = noted.map(|noted| (noted.len(), noted.iter().map(|file| file.size).sum()));
    let sources = entry.and_then(|entry| entry.parse(step.params.clone()).ok());
    let sources = sources.map(|op| op.sources()).unwrap_or_default();
    let content = |output: &String| {
        let (step, port) = output.rsplit_once('.')?;
        Some(record.step(step)?.outputs.get(port)?.short())
    };
    let inputs = step.inputs.iter();
    Link {
        params: params.map(|(name, value)| (name.clone(), shown(value))).collect(),
        files: sources
            .into_iter()
            .map(|source| (source.path.display().to_string(), counted))
            .collect(),
        inputs: inputs.map(|(port, from)| (port.clone(), from.clone(), content(from))).collect(),
        step,
        key,
    }
}

/// The command that computes the number again.
fn command(record: &Record, step: &str) -> Option<String> {
    let args = cli::run_args(&record.command)?;
    let mut words = vec!["engine".to_owned(), "run".to_owned()];
    words.push(args.plan.pipeline.display().to_string());
    for set in args.plan.set {
        words.extend(["--set".to_owned(), set]);
    }
    if args.plan.store.store.as_os_str() != cli::STORE {
        words.extend(["--store".to_owned(), args.plan.store.store.display().to_string()]);
    }
    words.extend(["--only", step, "--force", step].map(str::to_owned));
    Some(words.iter().map(|word| reports::shell(word)).collect::<Vec<_>>().join(" "))
}

fn in_text(found: &FoundRun, cell: &TracedCell<'_>, links: &[Link<'_>], width: usize) -> String {
    let TracedCell { line, scored, step, metric, row } = cell;
    let record = &found.record;
    let head = |head: &str, text: &str| paragraph(&format!("{head:<9}"), text, width);
    let value = line.shown(metric);
    let mut out = format!("{} {value}\n\n", metric.title);
    out.push_str(&head("row", &format!("r{} {}", row + 1, line.title)));
    out.push_str(&head("run", &format!("{}/{}", record.pipeline, record.id)));
    let values = line.draws.get(&*metric.name);
    if let Some(value) = values.and_then(|values| values.get(&scored.seed)) {
        out.push_str(&head("value", &value.to_string()));
    }
    if let Some(missing) = &scored.missing {
        out.push_str(&head("missing", missing));
    }
    if line.seeds.len() > 1 {
        let values = values.into_iter().flatten();
        let values: Vec<_> = values.map(|(seed, it)| format!("{seed}: {it}")).collect();
        out.push_str(&head("seeds", &values.join(", ")));
        out.push_str(&head("followed", &format!("seed {}", scored.seed)));
    }
    for link in links {
        out.push('\n');
        out.push_str(&in_words(link, width));
    }
    if let Some(command) = command(record, step) {
        out.push_str(&format!("\nThis computes it again:\n  {command}\n"));
    }
    out
}

fn in_words(link: &Link<'_>, width: usize) -> String {
    let Link { step, key, params, files, inputs } = link;
    let version = key.as_ref().map_or(String::new(), |key| format!(" version {}", key.version));
    let mut out = paragraph("", &format!("{}: {}{version}", step.name, step.op), width);
    let mut add = |head: &str, text: String| {
        out.push_str(&paragraph(&format!("  {head:<9}"), &text, width));
    };
    for (path, counted) in files {
        add(
            "files",
            match counted {
                Some((1, bytes)) => format!("1 file, {}: {path}", size::bytes(*bytes)),
                Some((count, bytes)) => {
                    format!("{count} files, {}, in {path}", size::bytes(*bytes))
                }
                None => path.clone(),
            },
        );
        if let Some(digest) = key.as_ref().and_then(|key| key.inputs.get(FILES)) {
            add("digest", format!("{} of their names and contents", digest.short()));
        }
    }
    for (port, from, digest) in inputs {
        let digest = digest.as_ref().map_or(String::new(), |digest| format!(" ({digest})"));
        add("reads", format!("{port} from {from}{digest}"));
    }
    if !params.is_empty() {
        let params: Vec<_> = params.iter().map(|(name, it)| format!("{name} {it}")).collect();
        add("params", params.join(", "));
    }
    if let Some(seed) = step.seed {
        add("seed", seed.to_string());
    }
    if let Some(device) = key.as_ref().and_then(|key| key.numerics.as_ref()) {
        add("device", device.clone());
    }
    if let Some(key) = step.key {
        add("key", key.short());
    }
    let took = reports::duration(step.seconds);
    match step.status {
        StepStatus::Ran => add("ran", format!("in this run, {took}")),
        StepStatus::Hit => add("ran", format!("before this run, {took}")),
        StepStatus::Failed | StepStatus::Skipped => add("without", step.reason.clone()),
    }
    out
}

fn in_json(found: &FoundRun, cell: &TracedCell<'_>, links: &[Link<'_>]) -> String {
    let TracedCell { line, scored, step, metric, row } = cell;
    let values = line.draws.get(&*metric.name);
    let seeds: Vec<Value> = values
        .into_iter()
        .flatten()
        .map(|(seed, value)| json!({ "seed": seed, "value": value }))
        .collect();
    let chain: Vec<Value> = links
        .iter()
        .map(|link| {
            let files = link.files.iter().map(|(path, counted)| {
                json!({ "path": path, "files": counted.map(|it| it.0), "bytes": counted.map(|it| it.1) })
            });
            json!({
                "step": link.step.name, "op": link.step.op, "params": link.step.params,
                "seed": link.step.seed, "key": link.step.key, "fields": link.key,
                "inputs": link.step.inputs, "outputs": link.step.outputs,
                "files": files.collect::<Vec<_>>(), "seconds": link.step.seconds,
            })
        })
        .collect();
    let json = json!({
        "run": found.record.id, "pipeline": found.record.pipeline, "row": row + 1,
        "title": line.title, "metric": metric.name, "value": values.and_then(|values| values.get(&scored.seed)),
        "seed": scored.seed, "seeds": seeds, "chain": chain,
        "recompute": command(&found.record, step),
    });
    format!("{json:#}\n")
}
