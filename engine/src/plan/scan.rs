//! Finds the files that source ops read, and names them by content.

use crate::{
    devices::Machine,
    model::{Files, Pipeline, StepError},
};
use cache::{
    FileEntry, FileIndex, Store, csv::CsvTable, missing::is_missing, regular, store::plain,
};
use ops::{ErrorKind, Select, Source};
use rayon::prelude::*;
use std::{
    env, fs,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};
use tracing::info_span;
use walkdir::WalkDir;

/// A file or folder that cannot be read as a source.
#[derive(Debug)]
pub struct ScanError {
    /// The message: a lower-case sentence without a full stop.
    pub message: String,
    /// The advice to the user.
    pub help: Option<String>,
}

impl ScanError {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()) }
    }

    fn io(path: &Path, error: &io::Error) -> Self {
        let help = match error.kind() {
            io::ErrorKind::PermissionDenied => "check who may read it: `ls -l`",
            _ => "check the path and the disk",
        };
        Self::new(format!("cannot read `{}`: {}", path.display(), plain(error)), help)
    }
}

/// Finds and hashes the files of all sources.
///
/// # Errors
/// Returns an error for everything that cannot be read, of all steps at once.
pub fn scan_sources(
    pipeline: &Pipeline,
    wanted: &[bool],
    store: &Store,
) -> Result<Files, Vec<StepError>> {
    let _scan = info_span!("scan").entered();
    let beside =
        |source: &_| file_beside_pipeline(&pipeline.source.path, source).unwrap_or_default();
    let scanned: Vec<_> = pipeline
        .steps
        .par_iter()
        .enumerate()
        .with_min_len(SCANNED_BY_ONE_THREAD)
        .map(|(index, step)| {
            let (mut found, mut errors) = (Vec::new(), Vec::new());
            let sources = if wanted[index] { step.op.sources() } else { Vec::new() };
            for source in sources {
                match scan(&source, store.files()) {
                    Ok(entries) => found.extend(entries),
                    Err(found) => errors.extend(found.into_iter().map(|error| {
                        let of = StepError::new(index, ErrorKind::Input, error.message);
                        let of = of.param(source.param);
                        match error.help {
                            Some(help) => of.help(help + &beside(&source)),
                            None => of,
                        }
                    })),
                }
            }
            (found, errors)
        })
        .collect();
    let (files, errors): (Files, Vec<_>) = scanned.into_iter().unzip();
    let errors: Vec<_> = errors.into_iter().flatten().collect();
    if errors.is_empty() { Ok(files) } else { Err(errors) }
}

/// The number of steps that one thread scans: few of them have sources, so a thread for each is not
/// worth its cost.
const SCANNED_BY_ONE_THREAD: usize = 64;

/// The files of a source, sorted by name.
///
/// # Errors
/// Returns an error for every file and folder that cannot be read.
pub fn scan(source: &Source, index: &FileIndex) -> Result<Vec<FileEntry>, Vec<ScanError>> {
    let path = &match source.select {
        Select::Library(library) => match Machine::detect().shared_library(library) {
            Some(path) => path,
            None => {
                let message = format!("the library `{}` is not found", library.name);
                return Err(vec![ScanError::new(message, source.missing.unwrap_or_default())]);
            }
        },
        _ => place(source),
    };
    if matches!(source.select, Select::Mentioned) && !path.is_file() {
        return Ok(Vec::new());
    }
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => vec![absent(path, source.missing)],
        _ => vec![ScanError::io(path, &error)],
    })?;
    let named = match source.select {
        Select::Tree(extensions) if metadata.is_dir() => tree(path, extensions)?,
        _ if metadata.is_dir() => {
            let message = format!("`{}` is a folder, not a file", path.display());
            return Err(vec![ScanError::new(message, "give the path of a file")]);
        }
        _ if !metadata.is_file() => return Err(vec![irregular(path)]),
        Select::Listed(column) => listed(path, column)?,
        _ => vec![(file_name(path), path.clone())],
    };
    let hashed: Vec<_> = named
        .into_par_iter()
        .map(|(name, path)| match index.digest(&path) {
            Ok((digest, size)) => Ok(FileEntry { name, path, digest, size }),
            Err(error) => Err(ScanError::io(&path, &error)),
        })
        .collect();
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for file in hashed {
        match file {
            Ok(file) => files.push(file),
            Err(error) => errors.push(error),
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    if errors.is_empty() { Ok(files) } else { Err(errors) }
}

/// The path of a source. A leading `~` is the user's home, as in a shell, unless a file has that
/// very name. The words of a command are used as they are.
pub fn place(source: &Source) -> PathBuf {
    let below_home = source.path.strip_prefix("~").ok();
    let below_home =
        below_home.filter(|_| !matches!(source.select, Select::Mentioned) && !source.path.exists());
    let in_home = below_home.and_then(|path| Some(env::home_dir()?.join(path)));
    in_home.unwrap_or_else(|| source.path.clone())
}

/// The error of a path that does not exist: a relative path may be meant from another folder.
fn absent(path: &Path, missing: Option<&str>) -> ScanError {
    let mut message = format!("`{}` does not exist", path.display());
    let mut help = missing.unwrap_or("check the path").to_owned();
    if path.is_relative() {
        if let Ok(folder) = env::current_dir() {
            message.push_str(&format!(" in `{}`", folder.display()));
        }
        help.push_str("; paths are relative to the folder in which the command runs");
    }
    if path.to_string_lossy().starts_with('~') {
        help.push_str("; of `~` only `~/` is understood, as the home of the user");
    }
    ScanError::new(message, help)
}

/// For a source that does not exist: the path beside the pipeline, if there is something of that
/// name.
pub fn file_beside_pipeline(pipeline: &Path, source: &Source) -> Option<String> {
    let there = pipeline.parent()?.join(&source.path);
    let is_meant = source.path.is_relative() && !source.path.exists() && there.exists();
    is_meant.then(|| format!("; there is one beside the pipeline: `{}`", there.display()))
}

/// The digest of names and contents: the part of a key that a source contributes.
pub fn digest(files: &[FileEntry]) -> cache::Digest {
    cache::store::sources::digest_of(files.iter().map(|file| (file.name.as_str(), &file.digest)))
}

/// The files below a folder with one of the extensions. Hidden files are left out, because
/// operating systems leave their own there (`._take.wav`).
fn tree(root: &Path, extensions: &[&str]) -> Result<Vec<(String, PathBuf)>, Vec<ScanError>> {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    let hidden = |entry: &walkdir::DirEntry| {
        entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.')
    };
    for entry in
        WalkDir::new(root).follow_links(true).into_iter().filter_entry(|entry| !hidden(entry))
    {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                errors.push(walk_error(root, &error));
                continue;
            }
        };
        let fits = entry.path().extension().is_some_and(|extension| {
            extensions.iter().any(|fit| extension.eq_ignore_ascii_case(fit))
        });
        if entry.file_type().is_dir() || !fits {
            continue;
        }
        if !entry.file_type().is_file() {
            errors.push(irregular(entry.path()));
            continue;
        }
        match relative(root, entry.path()) {
            Some(name) => found.push((name, entry.into_path())),
            None => errors.push(ScanError::new(
                format!("the name of `{}` is not UTF-8", entry.path().display()),
                "rename the file: names stand in tables and reports",
            )),
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

/// The error of a path that has the name of a file and is none: reading it may never end.
fn irregular(path: &Path) -> ScanError {
    let reason = match regular::open(path) {
        Err(error) => plain(&error),
        Ok(_) => "it has changed just now".to_owned(),
    };
    let message = format!("cannot read `{}`: {reason}", path.display());
    ScanError::new(message, "remove it, or put a file in its place")
}

fn walk_error(root: &Path, error: &walkdir::Error) -> ScanError {
    let path = error.path().unwrap_or(root);
    match (error.loop_ancestor(), error.io_error()) {
        (Some(ancestor), _) => ScanError::new(
            format!("the link `{}` leads back to `{}`", path.display(), ancestor.display()),
            "remove the link: the folder contains itself",
        ),
        (None, Some(io)) if io.kind() == io::ErrorKind::NotFound => ScanError::new(
            format!("the link `{}` leads nowhere", path.display()),
            "remove the link or restore the file it names",
        ),
        (None, Some(io)) => ScanError::io(path, io),
        (None, None) => ScanError { message: error.to_string(), help: None },
    }
}

/// A CSV file and the files that its column lists, relative to its folder. Files that do not exist
/// are left out: the op knows the line and reports it.
fn listed(csv: &Path, column: &str) -> Result<Vec<(String, PathBuf)>, Vec<ScanError>> {
    let folder = csv.parent().unwrap_or(Path::new(""));
    let (mut found, mut errors) = (vec![(file_name(csv), csv.to_owned())], Vec::new());
    let mut bytes = Vec::new();
    regular::open(csv)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|error| vec![ScanError::io(csv, &error)])?;
    // A faulty list lists nothing here: the op reads it too, and reports what is wrong.
    let Ok(table) = CsvTable::read(&bytes) else { return Ok(found) };
    let Ok(column) = table.place(column) else { return Ok(found) };
    for row in 0..table.rows() {
        let name = table.cell(row, column);
        if !is_missing(&name) {
            let path = folder.join(&*name);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => found.push((name.into_owned(), path)),
                Ok(metadata) if !metadata.is_dir() => errors.push(irregular(&path)),
                _ => {}
            }
        }
    }
    found.sort();
    found.dedup();
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

/// The columns of the list of files of an op that has one; `None` if the list cannot be read.
pub fn listed_columns(sources: &[Source]) -> Option<Option<Vec<String>>> {
    /// The longest first line that is read, in bytes.
    const MAX_LINE_BYTES: u64 = 1 << 20;
    let list = sources.iter().find(|source| matches!(source.select, Select::Listed(_)))?;
    let read = || {
        let mut bytes = Vec::new();
        regular::open(&place(list)).ok()?.take(MAX_LINE_BYTES).read_to_end(&mut bytes).ok()?;
        let first =
            bytes.split_inclusive(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
        Some(CsvTable::read(first?).ok()?.names().to_vec())
    };
    Some(read())
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The path below the root with `/` between folders, if it is UTF-8.
fn relative(root: &Path, path: &Path) -> Option<String> {
    let parts = path.strip_prefix(root).ok()?.components().map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}
