//! A run as event files of TensorBoard: a folder for each row of the table and seed, with its hyperparameters, its
//! scores, and the epochs of the trainings behind it; and a folder with the figures.

mod events;

use super::runs::FoundRun;
use cache::{
    Artifact, Kind, Record, Store,
    atomic_file::write_atomic,
    record::{Row, StepRecord},
    regular,
    store::plain,
};
use events::EventFile;
use reports::{ScoreTable, ScoredRow};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The name of an event file without its time. TensorBoard takes every file for one whose name holds `tfevents`.
const NAME: &str = "events.out.tfevents";
/// More bytes than any figure has.
const MAX_FIGURE_BYTES: u64 = 1 << 30;

/// Writes the event files below a folder, and returns how many.
///
/// # Errors
/// Returns a sentence if a file cannot be written, or a result cannot be read.
pub fn write(found: &FoundRun, store: &Store, folder: &Path) -> Result<usize, String> {
    let FoundRun { record, .. } = found;
    let table = super::table(record, store);
    let began = record.started.parse::<jiff::Timestamp>();
    let began = began.map_or(0.0, |time| time.as_second() as f64);
    let mut files = BTreeMap::<String, EventFile>::new();
    let mut overview = EventFile::starting(began);
    let axes: BTreeSet<&str> =
        record.table.iter().flat_map(|row| &row.point).map(|(axis, _)| axis.as_str()).collect();
    let names = ["row", "seed"].into_iter().chain(axes);
    let metrics = table.columns.iter().map(|metric| (&*metric.name, &*metric.title));
    overview.experiment(began, &record.pipeline, names, metrics);
    files.insert(String::new(), overview);
    let mut seen = BTreeSet::new();
    for row in &record.table {
        let Some(scored) = scored(&table, row) else { continue };
        let mut file = EventFile::starting(began);
        let mut values = vec![
            ("row".to_owned(), row.title.clone().into()),
            ("seed".to_owned(), row.seed.into()),
        ];
        values.extend(row.point.iter().cloned());
        file.session(began, began + record.seconds, &scored.title, &values);
        for (metric, draws) in &scored.draws {
            if let Some(value) = draws.get(&row.seed) {
                file.scalar(began + record.seconds, 0, metric, *value);
            }
        }
        for step in ancestors(record, &row.scores) {
            seen.insert(step.name.as_str());
            add_training(&mut file, step, store, began)?;
        }
        let name = match record.sweep {
            Some(_) => format!("{}, seed {}", scored.title, row.seed),
            None => scored.title.clone(),
        };
        files.insert(free(&files, &plain_name(&name)), file);
    }
    // Trainings that no row rests on.
    for step in record.steps.iter().filter(|step| !seen.contains(step.name.as_str())) {
        let mut file = EventFile::starting(began);
        if add_training(&mut file, step, store, began)? {
            files.insert(free(&files, &plain_name(&step.name)), file);
        }
    }
    if let Some(figures) = figures(&found.folder, began) {
        files.insert(free(&files, "figures"), figures);
    }
    let count = files.len();
    for (name, file) in files {
        let folder = folder.join(name);
        let path = folder.join(format!("{NAME}.{began:.0}.{}", record.id));
        let written = fs::create_dir_all(&folder);
        written
            .and_then(|()| write_atomic(&path, &file.into_bytes()))
            .map_err(|error| format!("cannot write `{}`: {}", path.display(), plain(&error)))?;
    }
    Ok(count)
}

/// The row of the table that holds the scores of a row of the record.
fn scored<'t>(table: &'t ScoreTable, row: &Row) -> Option<&'t ScoredRow> {
    let holds = |seed: &reports::Seed| {
        seed.seed == row.seed && seed.step == row.scores && seed.missing.is_none()
    };
    table.rows.iter().find(|it| it.name == row.title && it.seeds.iter().any(holds))
}

/// A step and all that it rests on, in the order of the run.
fn ancestors<'r>(record: &'r Record, step: &'r str) -> Vec<&'r StepRecord> {
    let mut names = BTreeSet::from([step]);
    // Each step stands after all that it reads.
    for step in record.steps.iter().rev() {
        if names.contains(step.name.as_str()) {
            let sources = step.inputs.values();
            names.extend(sources.filter_map(|source| Some(source.rsplit_once('.')?.0)));
        }
    }
    record.steps.iter().filter(|step| names.contains(step.name.as_str())).collect()
}

/// Adds the epochs of a step that was trained; false if it has none.
fn add_training(
    file: &mut EventFile,
    step: &StepRecord,
    store: &Store,
    began: f64,
) -> Result<bool, String> {
    let histories = step.shapes.iter().filter(|(_, shape)| shape.kind == Kind::History);
    let histories = histories.filter_map(|(port, _)| step.outputs.get(port));
    let mut any = false;
    for digest in histories {
        let history = store
            .get(digest)
            .map_err(|error| format!("{error}; run the pipeline again to rebuild it"))?;
        any |= add_history(file, &history, step, began);
    }
    Ok(any)
}

fn add_history(file: &mut EventFile, history: &Artifact, step: &StepRecord, began: f64) -> bool {
    let Some(table) = history.as_table() else { return false };
    // All variants of a step have one tag, so that TensorBoard draws them together.
    let name = cache::record::without_variant(&step.name);
    // The epochs of an earlier training that this one went on with have no time of their own.
    let before = table.rows().saturating_sub(step.laps.len());
    let mut time = began;
    let times: Vec<f64> = (0..table.rows())
        .map(|row| {
            time += row.checked_sub(before).and_then(|at| step.laps.get(at)).unwrap_or(&0.0);
            time
        })
        .collect();
    let epochs = table.ints("epoch");
    for column in table.columns().map(|(name, _)| name.to_owned()).collect::<Vec<_>>() {
        let Some(values) = table.reals(&column) else { continue };
        for (row, value) in values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
            let epoch = epochs.map_or(row as u64 + 1, |epochs| epochs[row] as u64);
            file.scalar(times[row], epoch, &format!("{name}/{column}"), *value);
        }
    }
    table.rows() > 0
}

/// The figures of the report.
fn figures(run: &Path, time: f64) -> Option<EventFile> {
    let mut paths: Vec<_> = fs::read_dir(run.join("figures"))
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "png"))
        .collect();
    paths.sort();
    let mut file = EventFile::starting(time);
    for path in &paths {
        let (Some(name), Ok(png)) = (path.file_stem(), regular::read(path, MAX_FIGURE_BYTES))
        else {
            continue;
        };
        file.image(time, &name.to_string_lossy(), &png);
    }
    (!paths.is_empty()).then_some(file)
}

/// A name that is one folder everywhere.
fn plain_name(name: &str) -> String {
    let plain = |letter: char| match letter {
        letter if letter.is_alphanumeric() || " -_=,.()+{}@".contains(letter) => letter,
        _ => '_',
    };
    let name: String = name.chars().map(plain).collect();
    name.trim_start_matches(['.', ' ']).to_owned()
}

/// The name, with a number if another file has it.
fn free(files: &BTreeMap<String, EventFile>, name: &str) -> String {
    let numbered = (2..).map(|number| format!("{name} {number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !name.is_empty() && !files.contains_key(name)).expect("numbers do not end")
}
