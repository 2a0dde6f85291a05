//! The leftovers of killed runs among the runs: folders without a record, half-written files, links
//! that were not renamed. Only names that the engine itself gives are counted as leftovers.

use super::{new, runs};
use std::{
    ffi::OsStr,
    fs::{self, File, Metadata},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use walkdir::WalkDir;

/// The leftovers that are old enough.
#[derive(Default)]
pub struct Leftovers {
    /// Folders of runs without a record.
    pub folders: Vec<PathBuf>,
    /// Half-written files, and links that were not renamed.
    pub files: Vec<PathBuf>,
}

/// Searches the studies below a folder. No link is followed.
pub fn find(out: &Path, older_than: Duration) -> Leftovers {
    let mut left = Leftovers::default();
    let is_old = |metadata: &Metadata| {
        let written = metadata.modified().unwrap_or_else(|_| SystemTime::now());
        written.elapsed().unwrap_or_default() >= older_than
    };
    for (study, metadata) in entries(out) {
        if !metadata.is_dir() {
            continue;
        }
        for (path, metadata) in entries(&study).into_iter().filter(|(_, it)| is_old(it)) {
            let name = path.file_name().unwrap_or_default();
            if metadata.is_dir() {
                if new::is_id(name) && !runs::has_record(&path) && is_dead(&path) {
                    left.folders.push(path);
                } else if runs::has_record(&path) {
                    let inside = entries(&path).into_iter();
                    let half = inside.filter(|(path, it)| is_half(path, it) && is_old(it));
                    left.files.extend(half.map(|(path, _)| path));
                }
            } else if is_half(&path, &metadata) || is_fresh_link(name) {
                left.files.push(path);
            }
        }
    }
    left
}

/// Removes the leftovers.
///
/// # Errors
/// When one of them cannot be removed.
pub fn remove(left: &Leftovers) -> io::Result<()> {
    for file in &left.files {
        fs::remove_file(file)?;
    }
    for folder in &left.folders {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

fn entries(folder: &Path) -> Vec<(PathBuf, Metadata)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> =
        entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?))).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// True if no run works in a folder, and the folder holds only what the engine writes there.
fn is_dead(folder: &Path) -> bool {
    let is_free = File::open(folder).is_ok_and(|folder| folder.try_lock().is_ok());
    is_free
        && WalkDir::new(folder).min_depth(1).into_iter().all(|entry| {
            let Ok(entry) = entry else { return false };
            let (Ok(metadata), Ok(name)) = (entry.metadata(), entry.path().strip_prefix(folder))
            else {
                return false;
            };
            if metadata.is_dir() {
                return name == Path::new(FIGURES);
            }
            let is_figure = name.parent() == Some(Path::new(FIGURES))
                && name.extension().is_some_and(|ending| ending == "svg" || ending == "png");
            let is_report = REPORT.iter().any(|file| name == Path::new(file));
            metadata.is_file() && (is_figure || is_report || is_half(entry.path(), &metadata))
        })
}

/// The files of a report.
const REPORT: [&str; 8] = [
    "report.md",
    "report.html",
    "report.tex",
    "results.csv",
    "results.parquet",
    "multiverse.csv",
    "methods.md",
    "methods.tex",
];
const FIGURES: &str = "figures";

/// True for a file that still has a temporary name: `.tmp` and six letters or digits.
fn is_half(path: &Path, metadata: &Metadata) -> bool {
    let name = path.file_name().and_then(OsStr::to_str);
    let random = name.and_then(|name| name.strip_prefix(".tmp"));
    let is_random = |it: &str| it.len() == 6 && it.bytes().all(|byte| byte.is_ascii_alphanumeric());
    metadata.is_file() && random.is_some_and(is_random)
}

/// True for a link `latest` that was not renamed yet: `.latest-<process>`.
fn is_fresh_link(name: &OsStr) -> bool {
    let process = name.to_str().and_then(|name| name.strip_prefix(".latest-"));
    process.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_what_killed_runs_left_is_found_and_removed() {
        let out = tempfile::tempdir().expect("a folder");
        let at = |name: &str| out.path().join("study").join(name);
        let write = |name: &str| {
            fs::create_dir_all(at(name).parent().expect("a folder")).expect("a folder");
            fs::write(at(name), "").expect("a file");
        };
        let dead = ["2026-11-27-093000-001", "2026-11-27-093000"].map(&at);
        write("2026-11-27-093000-001/.tmpa1B2c3");
        write("2026-11-27-093000-001/figures/scree.svg");
        write("2026-11-27-093000/report.md");
        for kept in ["2026-11-27-093001-001/record.json", "2026-11-27-093002-001/notes.txt"] {
            write(kept);
        }
        write("mine/.tmpa1B2c3");
        write("2026-11-27-093001-001/.tmpa1B2c3");
        write(".tmpnotes");
        symlink("nowhere", at(".latest-12")).expect("a link");
        symlink(at("mine"), at("2026-11-27-093003-001")).expect("a link");
        let alive = new::create(out.path(), "study").expect("a folder");
        assert!(find(out.path(), Duration::from_secs(3600)).folders.is_empty());
        let left = find(out.path(), Duration::ZERO);
        let (mut folders, files) = (left.folders.clone(), left.files.clone());
        folders.sort();
        assert_eq!(folders, [dead[1].clone(), dead[0].clone()]);
        assert_eq!(files, [at(".latest-12"), at("2026-11-27-093001-001/.tmpa1B2c3")]);
        remove(&left).expect("removed");
        assert!(alive.folder.is_dir() && at("mine/.tmpa1B2c3").exists());
        assert!(at("2026-11-27-093001-001/record.json").exists());
        drop(alive);
        assert_eq!(find(out.path(), Duration::ZERO).folders.len(), 1, "its run has ended");
    }
}
