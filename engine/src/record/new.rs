//! The folder of a new run, whose name is the time when it was made.

use jiff::{ToSpan, civil::DateTime};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// The folder of a run in progress. It is locked as long as this value lives, so that no other
/// process takes it for the folder of a killed run.
pub struct NewRun {
    /// The name of the run.
    pub id: String,
    /// The folder.
    pub folder: PathBuf,
    _lock: Option<File>,
}

/// Creates the folder of a new run. Its id is the time to the millisecond, and later than the id of
/// every run below `out`, so that ids sort in the order of runs even if a clock was put back.
///
/// # Errors
/// When the folder cannot be created.
pub fn create(out: &Path, pipeline: &str) -> io::Result<NewRun> {
    let study = out.join(pipeline);
    fs::create_dir_all(&study)?;
    let mut time = after(jiff::Zoned::now().datetime(), newest(out));
    loop {
        let id = id(time);
        let folder = study.join(&id);
        match fs::create_dir(&folder) {
            Ok(()) => {
                // A folder that cannot be locked is judged by its age alone.
                let lock = File::open(&folder).ok().filter(|it| it.try_lock().is_ok());
                return Ok(NewRun { id, folder, _lock: lock });
            }
            // Another process has created a run of the same id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                time = time.saturating_add(1.millisecond());
            }
            Err(error) => return Err(error),
        }
    }
}

/// True if the name is a valid id of a run.
pub fn is_id(name: &OsStr) -> bool {
    name.to_str().and_then(ending).is_some()
}

fn id(time: DateTime) -> String {
    format!("{}-{:03}", time.strftime("%Y-%m-%d-%H%M%S"), time.millisecond())
}

/// The first time whose id sorts behind all ids of the same second or millisecond.
fn ending(id: &str) -> Option<DateTime> {
    let (second, rest) = id.split_at_checked(SECOND.len())?;
    let time = DateTime::strptime("%Y-%m-%d-%H%M%S", second).ok()?;
    let is_number = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    match rest.strip_prefix('-') {
        Some(rest) if rest.len() == 3 && is_number(rest) => {
            time.checked_add((rest.parse::<i64>().ok()? + 1).milliseconds()).ok()
        }
        // Ids of earlier versions hold a second, and a number where several runs began in it.
        Some(rest) if is_number(rest) => time.checked_add(1.second()).ok(),
        None if rest.is_empty() => time.checked_add(1.second()).ok(),
        _ => None,
    }
}

/// An example of the part of an id that names a second.
const SECOND: &str = "2026-11-27-093000";

fn after(now: DateTime, newest: Option<DateTime>) -> DateTime {
    newest.map_or(now, |newest| newest.max(now))
}

/// The first time whose id sorts behind all runs below a folder.
fn newest(out: &Path) -> Option<DateTime> {
    let inside = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let runs = inside(out).flat_map(|study| inside(&study.path()));
    runs.filter_map(|run| ending(run.file_name().to_str()?)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_as_runs_are_made_in_one_millisecond_over_studies_and_back_in_time() {
        let out = tempfile::tempdir().expect("a folder");
        let mut ids = Vec::new();
        for study in ["z", "a", "m"].repeat(4) {
            ids.push(create(out.path(), study).expect("a folder").id);
        }
        // A run whose clock was ahead, and a run of an earlier version.
        for ahead in ["2999-12-31-235959-998", "2999-12-31-235959-9"] {
            fs::create_dir(out.path().join("a").join(ahead)).expect("a folder");
            ids.push(ahead.to_owned());
            ids.push(create(out.path(), "z").expect("a folder").id);
            assert!(ids[ids.len() - 1].as_str() > ahead, "{ids:?}");
        }
        ids.retain(|id| id != "2999-12-31-235959-9");
        assert!(ids.is_sorted(), "{ids:?}");
        ids.dedup();
        assert_eq!(ids.len(), 15);
        assert!(ids.iter().all(|id| is_id(OsStr::new(id))));
        for other in ["latest", "2026-11-27", "2026-11-27-093000-", "2026-11-27-093000-x", "..."] {
            assert!(!is_id(OsStr::new(other)), "{other}");
        }
    }
}
