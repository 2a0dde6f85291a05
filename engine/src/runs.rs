//! Run folders: `<out>/<name>/<id>/`, and `latest` beside them.

use cache::{
    Record,
    record::StepStatus,
    store::{write_renewable, write_whole},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The file of the record in a run's folder.
pub const RECORD: &str = "record.json";

/// Makes the folder of a new run. Its id is the time, so that ids sort by age.
///
/// # Errors
/// When the folder cannot be made.
pub fn create(out: &Path, pipeline: &str) -> io::Result<(String, PathBuf)> {
    let stamp = jiff::Zoned::now().strftime("%Y-%m-%d-%H%M%S").to_string();
    let study = out.join(pipeline);
    fs::create_dir_all(&study)?;
    // Two runs may start in one second: the second takes the next free name.
    for attempt in 1.. {
        let id = if attempt == 1 { stamp.clone() } else { format!("{stamp}-{attempt}") };
        let folder = study.join(&id);
        match fs::create_dir(&folder) {
            Ok(()) => return Ok((id, folder)),
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(fault) => return Err(fault),
        }
    }
    unreachable!("attempts have no end")
}

/// Makes `latest` point to a run: a new link, renamed over the old one.
///
/// # Errors
/// When the folder cannot be written.
pub fn point_latest(folder: &Path) -> io::Result<()> {
    let (Some(study), Some(id)) = (folder.parent(), folder.file_name()) else { return Ok(()) };
    let fresh = study.join(format!(".latest-{}", std::process::id()));
    let _ = fs::remove_file(&fresh);
    std::os::unix::fs::symlink(id, &fresh)?;
    fs::rename(fresh, study.join("latest"))
}

/// Writes the record of a run. One of a run in which nothing ran can be made again by running it.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_record(folder: &Path, record: &Record) -> io::Result<()> {
    let mut json = serde_json::to_vec_pretty(record)?;
    json.push(b'\n');
    let ran = record.steps.iter().any(|step| step.status != StepStatus::Hit);
    let write = if ran { write_whole } else { write_renewable };
    write(&folder.join(RECORD), &json)
}

/// The records of all runs below a folder. A run that was killed has none.
///
/// # Errors
/// A sentence that names the record that cannot be read.
pub fn all(out: &Path) -> Result<Vec<Record>, String> {
    let below = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let real = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let mut folders: Vec<_> = real.map(|entry| entry.path()).collect();
        folders.sort();
        folders
    };
    let runs = below(out).into_iter().flat_map(|study| below(&study));
    runs.map(|run| run.join(RECORD)).filter(|path| path.is_file()).map(|path| read(&path)).collect()
}

fn read(path: &Path) -> Result<Record, String> {
    let text =
        fs::read(path).map_err(|fault| format!("cannot read `{}`: {fault}", path.display()))?;
    serde_json::from_slice(&text)
        .map_err(|fault| format!("`{}` is not a record of this engine: {fault}", path.display()))
}

/// Finds a run by folder, by id, or by `latest`, and reads its record.
///
/// # Errors
/// A sentence that says what was looked for and where.
pub fn find(out: &Path, run: &str) -> Result<(PathBuf, Record), String> {
    let folder = candidates(out, run)
        .into_iter()
        .find(|folder| folder.join(RECORD).is_file())
        .ok_or_else(|| {
            let hint = if out.is_dir() { "" } else { "; `engine run PIPELINE` makes one" };
            format!("there is no run `{run}` below `{}`{hint}", out.display())
        })?;
    let record = read(&folder.join(RECORD))?;
    Ok((folder, record))
}

/// Where a run of that name may lie, the likeliest first; of several studies' `latest`, the newest.
fn candidates(out: &Path, run: &str) -> Vec<PathBuf> {
    let mut below: Vec<_> = fs::read_dir(out)
        .into_iter()
        .flatten()
        .flatten()
        .map(|study| study.path().join(run))
        .filter(|folder| folder.join(RECORD).is_file())
        .filter_map(|folder| fs::canonicalize(folder).ok())
        .collect();
    below.sort_by(|a, b| b.file_name().cmp(&a.file_name()));
    let mut all = vec![
        PathBuf::from(run),
        PathBuf::from(run).join("latest"),
        out.join(run),
        out.join(run).join("latest"),
    ];
    all.append(&mut below);
    all
}
