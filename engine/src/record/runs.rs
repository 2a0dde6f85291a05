//! Finds and reads finished runs: their folders `<out>/<name>/<id>/` and their records.

use super::latest;
use crate::ui::suggest;
use cache::{
    Record,
    atomic_file::{write_atomic, write_atomic_unsynced},
    record::{RECORD_VERSION, StepStatus},
    regular,
    store::plain,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The name of the record file in a run's folder.
pub const RECORD: &str = "record.json";
/// The longest record that is read, in bytes.
const MAX_RECORD_BYTES: u64 = 1 << 30;

/// Writes the record of a run, durably unless all steps were hits: such a record can be made again
/// by running the pipeline.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_record(folder: &Path, record: &Record) -> io::Result<()> {
    let mut json = serde_json::to_vec_pretty(record)?;
    json.push(b'\n');
    let ran = record.steps.iter().any(|step| step.status != StepStatus::Hit);
    let write = if ran { write_atomic } else { write_atomic_unsynced };
    write(&folder.join(RECORD), &json)
}

/// A finished run.
pub struct FoundRun {
    /// The folder of the run.
    pub folder: PathBuf,
    /// The record of the run.
    pub record: Record,
}

/// Finds a run by folder, by id, by study, by `latest` or by the name that its user gave it, and reads its record.
///
/// # Errors
/// Returns a sentence with the name and the places that were searched, or with the fault of the
/// record.
pub fn find(out: &Path, run: &str) -> Result<FoundRun, String> {
    let places = candidates(out, run).into_iter().map(latest::followed);
    let Some(folder) = places.into_iter().find(|folder| has_record(folder)) else {
        return named(out, run).ok_or_else(|| unknown(out, run));
    };
    let record = read(&folder)?;
    Ok(FoundRun { folder, record })
}

/// The newest run with this name.
fn named(out: &Path, name: &str) -> Option<FoundRun> {
    let runs = all(out).into_iter();
    let mut runs = runs.filter_map(|folder| Some(FoundRun { record: read(&folder).ok()?, folder }));
    runs.find(|found| found.record.name.as_deref() == Some(name))
}

/// Reads the record in a run's folder.
///
/// # Errors
/// Returns a sentence if the record cannot be read, is damaged, or has another version.
pub fn read(folder: &Path) -> Result<Record, String> {
    let path = folder.join(RECORD);
    let shown = path.display();
    let text = regular::read(&path, MAX_RECORD_BYTES)
        .map_err(|error| format!("cannot read `{shown}`: {}", plain(&error)))?;
    if let Ok(record) = serde_json::from_slice::<Record>(&text)
        && record.version == RECORD_VERSION
    {
        return Ok(record);
    }
    // The error describes the fault of the text.
    let json: serde_json::Value = serde_json::from_slice(&text).map_err(|error| {
        format!("`{shown}` is damaged ({error}); run the pipeline again, which makes a new one")
    })?;
    match json.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(RECORD_VERSION) => {}
        Some(version) if version > u64::from(RECORD_VERSION) => {
            let engine = json.get("engine").and_then(serde_json::Value::as_str);
            let by = engine.map_or_else(String::new, |engine| format!(" {engine}"));
            return Err(format!(
                "`{shown}` was made by a newer engine{by} (form {version}; this one reads up to form {RECORD_VERSION}): \
                 use that engine, or run the pipeline again"
            ));
        }
        Some(version) => {
            return Err(format!(
                "`{shown}` has the old form {version}, which is no longer read: run the pipeline again"
            ));
        }
        None => return Err(format!("`{shown}` is no record of a run: it has no `version`")),
    }
    serde_json::from_value(json).map_err(|error| {
        format!("`{shown}` is damaged ({error}); run the pipeline again, which makes a new one")
    })
}

/// The folders of all runs below a folder, the newest first. Anything else is passed over.
pub fn all(out: &Path) -> Vec<PathBuf> {
    let folders = |folder: &Path| {
        let inside = fs::read_dir(folder).into_iter().flatten().flatten();
        inside.map(|entry| entry.path()).filter(|path| !path.is_symlink()).collect::<Vec<_>>()
    };
    let mut runs: Vec<PathBuf> = folders(out).iter().flat_map(|study| folders(study)).collect();
    runs.retain(|run| has_record(run));
    runs.sort_by(|a, b| b.file_name().cmp(&a.file_name()).then_with(|| a.cmp(b)));
    runs
}

/// True if a folder holds an entry with the name of a record; its content is checked when it is
/// read.
pub fn has_record(folder: &Path) -> bool {
    folder.join(RECORD).symlink_metadata().is_ok()
}

/// The folders where a run of this name may be, the likeliest first; among the `latest` of several
/// studies, the newest.
fn candidates(out: &Path, run: &str) -> Vec<PathBuf> {
    let mut below: Vec<_> = fs::read_dir(out)
        .into_iter()
        .flatten()
        .flatten()
        .map(|study| latest::followed(study.path().join(run)))
        .filter(|folder| has_record(folder))
        .filter_map(|folder| {
            let id = fs::canonicalize(&folder).ok()?.file_name()?.to_owned();
            Some((id, folder))
        })
        .collect();
    below.sort_by(|a, b| b.cmp(a));
    let mut all = vec![
        PathBuf::from(run),
        PathBuf::from(run).join("latest"),
        out.join(run),
        out.join(run).join("latest"),
    ];
    all.extend(below.into_iter().map(|(_, folder)| folder));
    // A copy may have lost the link `latest`; names of runs begin with their time.
    for study in [PathBuf::from(run), out.join(run)] {
        let inside = fs::read_dir(study).into_iter().flatten().flatten().map(|it| it.path());
        all.extend(inside.filter(|folder| has_record(folder)).max());
    }
    all
}

/// The message for a name that no run has.
fn unknown(out: &Path, run: &str) -> String {
    let nothing = format!("there is no run `{run}` below `{}`", out.display());
    let runs = all(out);
    if runs.is_empty() {
        return format!("{nothing}; `engine run PIPELINE` makes one");
    }
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut names: Vec<String> = Vec::new();
    for folder in &runs {
        names.extend(last(folder));
        names.extend(folder.parent().and_then(last));
    }
    match suggest::closest(run, names.iter().map(String::as_str)) {
        Some(near) => format!("{nothing}; did you mean `{near}`?"),
        None => {
            let newest = names.first().map_or("latest", String::as_str);
            format!("{nothing}; the newest is `{newest}`, and `engine runs` lists them all")
        }
    }
}
