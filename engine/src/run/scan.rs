//! Finds the files a source op reads and names them by content.

use cache::{FileEntry, FileIndex, csv::CsvTable, missing::is_missing, store::plain};
use ops::{Select, Source};
use rayon::prelude::*;
use std::{
    io,
    path::{Component, Path, PathBuf},
};
use walkdir::WalkDir;

/// A file or folder that cannot be read as a source.
#[derive(Debug)]
pub struct ScanError {
    /// A lower-case sentence without a full stop.
    pub message: String,
    /// What the user can do.
    pub help: Option<String>,
}

impl ScanError {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()) }
    }

    fn io(path: &Path, fault: &io::Error) -> Self {
        let help = match fault.kind() {
            io::ErrorKind::PermissionDenied => "check who may read it: `ls -l`",
            _ => "check the path and the disk",
        };
        Self::new(format!("cannot read `{}`: {}", path.display(), plain(fault)), help)
    }
}

/// The files of a source, sorted by name.
///
/// # Errors
/// Every file and folder that cannot be read.
pub fn scan(source: &Source, index: &FileIndex) -> Result<Vec<FileEntry>, Vec<ScanError>> {
    if matches!(source.select, Select::Mentioned) && !source.path.is_file() {
        return Ok(Vec::new());
    }
    let metadata = std::fs::metadata(&source.path).map_err(|fault| {
        let help = source.missing.map_or_else(
            || "paths are relative to the folder the command runs in".to_owned(),
            str::to_owned,
        );
        match fault.kind() {
            io::ErrorKind::NotFound => {
                vec![ScanError::new(format!("`{}` does not exist", source.path.display()), help)]
            }
            _ => vec![ScanError::io(&source.path, &fault)],
        }
    })?;
    let named = match source.select {
        Select::Tree(extensions) if metadata.is_dir() => tree(&source.path, extensions)?,
        _ if metadata.is_dir() => {
            let message = format!("`{}` is a folder, not a file", source.path.display());
            return Err(vec![ScanError::new(message, "give the path of a file")]);
        }
        Select::Listed(column) => listed(&source.path, column)?,
        _ => vec![(file_name(&source.path), source.path.clone())],
    };
    let hashed: Vec<_> = named
        .into_par_iter()
        .map(|(name, path)| match index.digest(&path) {
            Ok((digest, size)) => Ok(FileEntry { name, path, digest, size }),
            Err(fault) => Err(ScanError::io(&path, &fault)),
        })
        .collect();
    let (mut files, mut faults) = (Vec::new(), Vec::new());
    for file in hashed {
        match file {
            Ok(file) => files.push(file),
            Err(fault) => faults.push(fault),
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    if faults.is_empty() { Ok(files) } else { Err(faults) }
}

/// The digest of names and contents: what a source contributes to a key.
pub fn digest(files: &[FileEntry]) -> cache::Digest {
    cache::sources::digest_of(files.iter().map(|file| (file.name.as_str(), &file.digest)))
}

/// Files below a folder with one of the extensions. Hidden files are left out: systems leave their
/// own there (`._take.wav`).
fn tree(root: &Path, extensions: &[&str]) -> Result<Vec<(String, PathBuf)>, Vec<ScanError>> {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    let hidden = |entry: &walkdir::DirEntry| {
        entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.')
    };
    for entry in
        WalkDir::new(root).follow_links(true).into_iter().filter_entry(|entry| !hidden(entry))
    {
        let entry = match entry {
            Ok(entry) => entry,
            Err(fault) => {
                faults.push(walk_error(root, &fault));
                continue;
            }
        };
        let fits = entry.path().extension().is_some_and(|extension| {
            extensions.iter().any(|fit| extension.eq_ignore_ascii_case(fit))
        });
        if !entry.file_type().is_file() || !fits {
            continue;
        }
        match relative(root, entry.path()) {
            Some(name) => found.push((name, entry.into_path())),
            None => faults.push(ScanError::new(
                format!("the name of `{}` is not UTF-8", entry.path().display()),
                "rename the file: names stand in tables and reports",
            )),
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

fn walk_error(root: &Path, fault: &walkdir::Error) -> ScanError {
    let path = fault.path().unwrap_or(root);
    match (fault.loop_ancestor(), fault.io_error()) {
        (Some(ancestor), _) => ScanError::new(
            format!("the link `{}` leads back to `{}`", path.display(), ancestor.display()),
            "remove the link: the folder contains itself",
        ),
        (None, Some(io)) if io.kind() == io::ErrorKind::NotFound => ScanError::new(
            format!("the link `{}` leads nowhere", path.display()),
            "remove the link or restore the file it names",
        ),
        (None, Some(io)) => ScanError::io(path, io),
        (None, None) => ScanError { message: fault.to_string(), help: None },
    }
}

/// A CSV file and the files its column lists, relative to its folder. What does not exist is left
/// out: the op knows the line and reports it.
fn listed(csv: &Path, column: &str) -> Result<Vec<(String, PathBuf)>, Vec<ScanError>> {
    let folder = csv.parent().unwrap_or(Path::new(""));
    let mut found = vec![(file_name(csv), csv.to_owned())];
    let bytes = std::fs::read(csv).map_err(|fault| vec![ScanError::io(csv, &fault)])?;
    // A list that is faulty lists nothing: the op reads it too, and says what is wrong.
    let Ok(table) = CsvTable::read(&bytes) else { return Ok(found) };
    let Ok(column) = table.place(column) else { return Ok(found) };
    for row in 0..table.rows() {
        let name = table.cell(row, column);
        let path = folder.join(&*name);
        if !is_missing(&name) && path.is_file() {
            found.push((name.into_owned(), path));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The name below the root with `/` between folders, if it is UTF-8.
fn relative(root: &Path, path: &Path) -> Option<String> {
    let parts = path.strip_prefix(root).ok()?.components().map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}
