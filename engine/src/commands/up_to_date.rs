//! Finds out if a run would find everything as the last run left it: pipeline, data, results and
//! report. If so, no new run is needed, and the existing report is still right.
//!
//! After each run, a note in the store lists what the run left behind and, if every step was a hit,
//! what it depends on. The name of the note is a digest of the command:
//!
//! ```text
//! .engine/unchanged-v1/<digest of the command>     <digest of the rest>
//!                                                  {"folder":…,"steps":…,"files":…,"seen":…,"environment":…}
//!                                                  one line for each path: see `cache::versions`
//! ```
//! A note that is lost, damaged or out of date costs an ordinary run.

use crate::{
    cli::{OutputArgs, RunArgs},
    devices::Machine,
    plan::scan,
    record::{latest, runs},
    run::study::Study,
    ui::console::Form,
};
use cache::{
    Digest, FileEntry, Hasher, Record,
    file_version::FileVersion,
    record::{RunStatus, StepStatus},
    regular,
    store::{UP_TO_DATE, notes},
    verified::Hashed,
    versions::Versions,
};
use ops::{Device, Select, Source};
use rayon::{ThreadPoolBuilder, prelude::*};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::SystemTime,
};
use tracing::warn;
use walkdir::WalkDir;

/// A run after which nothing has changed.
#[derive(Serialize, Deserialize)]
pub struct Unchanged {
    /// The folder of the run.
    pub folder: PathBuf,
    /// The number of steps of the run.
    pub steps: usize,
    /// True if every step was a hit, and if all that the run depends on is listed.
    is_settled: bool,
    /// The digests of the files in the folder, by name: a report that was edited is made anew.
    files: BTreeMap<String, Digest>,
    /// The versions at which they had these digests, once every later write would change them. As long as a file has
    /// its version, it is not read.
    seen: BTreeMap<String, FileVersion>,
    /// The digests of the environment variables that the pipeline reads; none for a variable that
    /// is not set.
    environment: BTreeMap<String, Option<Digest>>,
}

/// Reads a file of any length.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    regular::read(path, u64::MAX)
}

/// The run that this run would repeat, if there is one. A run with details, events or forced steps
/// never repeats another.
pub fn find(args: &RunArgs, output: &OutputArgs) -> Option<Unchanged> {
    let looked = SystemTime::now();
    let detailed = output.form() == Form::Json || output.verbose || args.dry_run;
    if detailed || !args.plan.force.is_empty() {
        return None;
    }
    // The store is not opened, which would take longer than all the rest.
    let note = format!("{UP_TO_DATE}/{}", name(args)?);
    let text = notes::read(&args.plan.store.store, &note, u64::MAX)?;
    let (digest, rest) = split_line(&text)?;
    if Digest::of(rest).to_string().as_bytes() != digest {
        return None;
    }
    let (head, dependencies) = split_line(rest)?;
    let mut run: Unchanged = serde_json::from_slice(head).ok()?;
    let versions = Versions::from_text(dependencies)?;
    let newest = latest::of(run.folder.parent()?)?;
    if newest.as_os_str() != run.folder.file_name()? {
        return None;
    }
    // The global pool belongs to an ordinary run, which may have to follow.
    let threads = args.plan.threads.map_or(0, NonZeroUsize::get);
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().ok()?;
    let version = |(name, digest): (&String, _)| (name.clone(), run.version_of(name, digest));
    let (holds, seen) = pool.install(|| {
        let holds = run.is_settled && versions.are_current();
        (holds, run.files.par_iter().map(version).collect::<Vec<_>>())
    });
    let same = run.environment.iter().all(|(name, value)| variable(name) == *value);
    let (mut settled, mut is_changed) = (BTreeMap::new(), false);
    for (name, version) in seen {
        match version {
            Some(version) if version.is_settled(looked) => {
                settled.insert(name, version);
            }
            Some(_) => {}
            None => {
                let path = run.folder.join(name);
                let path = path.display();
                warn!("`{path}` is not as its run left it; this run makes a new one");
                is_changed = true;
            }
        }
    }
    if !holds || !same || is_changed {
        return None;
    }
    if settled != run.seen {
        run.seen = settled;
        // If it cannot be written, the next run reads the files once more.
        let _ = notes::write(&args.plan.store.store, &note, &run.to_text(dependencies)?);
    }
    Some(run)
}

impl Unchanged {
    /// The version of a file of the run's folder; none if it is not as the run left it.
    fn version_of(&self, name: &str, digest: &Digest) -> Option<FileVersion> {
        let path = self.folder.join(name);
        // It is taken before the file is read, so that a write in between shows as another version.
        let version = FileVersion::of(&fs::metadata(&path).ok()?);
        if self.seen.get(name) != Some(&version) {
            Hashed::open(&path).ok()?.finish(digest).ok()?;
        }
        Some(version)
    }

    /// The text of a note, with the versions of what the run depends on as text.
    fn to_text(&self, versions: &[u8]) -> Option<Vec<u8>> {
        let mut rest = serde_json::to_vec(self).ok()?;
        rest.push(b'\n');
        rest.extend(versions);
        let mut text = format!("{}\n", Digest::of(&rest)).into_bytes();
        text.extend(rest);
        Some(text)
    }
}

/// Notes what a run leaves behind and what it depends on.
///
/// `started` is a time before any file was read, so that later changes are noticed.
pub fn keep(args: &RunArgs, study: &Study, record: &Record, folder: &Path, started: SystemTime) {
    if record.status == RunStatus::Done {
        // A note that cannot be written costs the next run a few milliseconds.
        let _ = try_keep(args, study, record, folder, started);
    }
}

fn try_keep(
    args: &RunArgs,
    study: &Study,
    record: &Record,
    folder: &Path,
    started: SystemTime,
) -> Option<()> {
    let versions = versions(args, study, record, started);
    let text = [&study.pipeline.source.text].into_iter().chain(&args.plan.set);
    let run = Unchanged {
        folder: folder.to_owned(),
        steps: record.steps.len(),
        is_settled: versions.is_some(),
        files: files(folder)?,
        seen: BTreeMap::new(),
        environment: text
            .flat_map(|text| variables(text))
            .map(|name| (name.to_owned(), variable(name)))
            .collect(),
    };
    let text = run.to_text(&versions.map(|versions| versions.to_text()).unwrap_or_default())?;
    study.store.keep_unsynced(UP_TO_DATE, &name(args)?, &text).ok()
}

/// The versions of all files that a run depends on; none if not every step was a hit.
fn versions(
    args: &RunArgs,
    study: &Study,
    record: &Record,
    started: SystemTime,
) -> Option<Versions> {
    let there = record.steps.iter().all(|step| step.status == StepStatus::Hit);
    // On a GPU a result also depends on the hardware.
    let on_cpu = study.pipeline.steps.iter().all(|step| matches!(step.place, Device::Cpu));
    if !there || !on_cpu || !record.warnings.is_empty() || !args.plan.force.is_empty() {
        return None;
    }
    let mut paths = BTreeSet::from([env::current_exe().ok()?, args.plan.pipeline.clone()]);
    paths.extend(study.pipeline.source.files().map(|(path, _)| path.to_owned()));
    for source in study.pipeline.steps.iter().flat_map(|step| step.op.sources()) {
        paths.extend(places(&source)?);
    }
    paths.extend(study.files.iter().flatten().map(|file| file.path.clone()));
    for digest in record.steps.iter().flat_map(|step| step.outputs.values()) {
        paths.insert(study.store.object_path(digest)?);
    }
    // All of these are older than the run, unless a link leads elsewhere now.
    let versions = Versions::of(paths, started)?;
    let is_as_read = |file: &FileEntry| {
        versions.get(&file.path).is_some_and(|version| study.store.files().holds(file, &version))
    };
    let as_it_is = |(path, text): (&Path, &str)| read(path).is_ok_and(|it| it == text.as_bytes());
    let same = study.pipeline.source.files().all(as_it_is);
    (same && study.files.iter().flatten().all(is_as_read)).then_some(versions)
}

/// The name of the note for a command: a digest of its words, its folder, and the number of GPUs
/// that `auto` may use.
fn name(args: &RunArgs) -> Option<String> {
    let mut hasher = Hasher::new("asked-v1");
    hasher.text(env::current_dir().ok()?.to_str()?);
    hasher.text(args.plan.store.store.to_str()?);
    hasher.number(Machine::detect().gpus.len() as u64);
    for word in env::args_os().skip(1) {
        hasher.text(word.to_str()?);
    }
    Some(hasher.finish().to_string())
}

/// The paths whose versions show if a source still has the same files; none for a list and a library,
/// because the places where a file was missing are not noted.
fn places(source: &Source) -> Option<Vec<PathBuf>> {
    let path = scan::place(source);
    match source.select {
        Select::Listed(_) | Select::Library(_) => None,
        Select::File | Select::Mentioned => Some(vec![path]),
        Select::Tree(_) => {
            let entries = WalkDir::new(path).follow_links(true).into_iter();
            let folders = entries.filter(|entry| {
                entry
                    .as_ref()
                    .map_or(true, |entry| entry.depth() == 0 || entry.file_type().is_dir())
            });
            folders.map(|entry| Some(entry.ok()?.into_path())).collect()
        }
    }
}

/// The files of a run by name, with their digests.
fn files(folder: &Path) -> Option<BTreeMap<String, Digest>> {
    let entries = WalkDir::new(folder).into_iter();
    let files = entries.filter(|entry| !entry.as_ref().is_ok_and(|it| it.file_type().is_dir()));
    let digest = |entry: walkdir::Result<walkdir::DirEntry>| {
        let path = entry.ok()?.into_path();
        let name = path.strip_prefix(folder).ok()?.to_str()?.to_owned();
        Some((name, Digest::of(&read(&path).ok()?)))
    };
    let files: Option<BTreeMap<_, _>> = files.map(digest).collect();
    files.filter(|files| files.contains_key(runs::RECORD))
}

/// The environment variables that a text reads as `${env:NAME}` or `${env:NAME:-default}`.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split("${env:").skip(1).map(|rest| {
        let end = rest.find(['}', ':']).unwrap_or(rest.len());
        rest[..end].trim()
    })
}

fn variable(name: &str) -> Option<Digest> {
    env::var(name).ok().map(|value| Digest::of(value.as_bytes()))
}

fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    Some((&text[..end], &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::variables;

    #[test]
    fn finds_the_variables_of_a_text() {
        let text = "vars: { a: \"${env:ONE:-x}\", b: \"${ env:no }${env: TWO }\" } # ${env:THREE";
        assert_eq!(variables(text).collect::<Vec<_>>(), ["ONE", "TWO", "THREE"]);
    }
}
