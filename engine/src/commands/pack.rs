//! `engine pack`, `engine unpack`: one run with all that it needs, as a file for a colleague.

use super::remote::{describe_moved, push_all, steps_of};
use crate::{
    cli::{BAD_INPUT, CommandError, FAILED, OutArg, StoreArg, print},
    record::{new::is_id, runs},
    remote::archive::{self, ArchiveWriter, RUN},
};
use cache::{
    Store,
    blobs::Blobs,
    store::{folder::Folder, plain, remote::TransferCounts},
};
use clap::Args;
use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};
use tracing::{info, warn};
use walkdir::WalkDir;

/// The arguments of `pack`.
#[derive(Args)]
pub struct PackArgs {
    /// A folder, an id, a study's name, `latest` or `NAME/latest`.
    pub run: String,
    /// The file to write, such as `study.tar.zst`.
    pub file: PathBuf,
    /// The folder of the runs.
    #[command(flatten)]
    pub out: OutArg,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
}

/// The arguments of `unpack`.
#[derive(Args)]
pub struct UnpackArgs {
    /// The file that `engine pack` wrote.
    pub file: PathBuf,
    /// The folder of the runs.
    #[command(flatten)]
    pub out: OutArg,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
}

/// Writes a run with its report, its steps and their objects to a file.
///
/// # Errors
/// Returns the exit code if the run is not there, or the file cannot be written.
pub fn pack(args: &PackArgs) -> Result<(), CommandError> {
    let bad = |error: String| CommandError::new(BAD_INPUT, error);
    let found = runs::find(&args.out.out, &args.run).map_err(bad)?;
    let store = args.store.open_of(&found.folder)?;
    let refused = |error: io::Error| {
        let file = args.file.display();
        CommandError::new(FAILED, format!("cannot write `{file}`: {}", plain(&error)))
    };
    // The file is complete or not there.
    let folder = args.file.parent().filter(|it| !it.as_os_str().is_empty());
    let file =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(refused)?;
    let pack = ArchiveWriter::new(file.reopen().map_err(refused)?, &args.file).map_err(refused)?;
    for entry in WalkDir::new(&found.folder).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|error| refused(error.into()))?;
        let below = entry.path().strip_prefix(&found.folder).ok().and_then(Path::to_str);
        if let Some(name) = below.filter(|_| entry.file_type().is_file()) {
            pack.put(&format!("{RUN}/{name}"), entry.path()).map_err(refused)?;
        }
    }
    let steps = steps_of(&store, &found.record);
    let keys = found.record.steps.iter().filter(|step| step.key.is_some()).count();
    if steps.len() < keys {
        let lost = reports::count(keys - steps.len(), "step");
        warn!("{lost} of the run cannot be packed: the store no longer has all their objects");
    }
    let moved = push_all(&store, &steps, &pack)?;
    pack.finish().map_err(refused)?;
    file.persist(&args.file).map_err(|error| refused(error.error))?;
    info!("packed {}", describe_moved(&moved));
    print(&format!("{}\n", args.file.display()));
    Ok(())
}

/// Puts the steps of a packed run into the store, and its folder where runs are.
///
/// # Errors
/// Returns the exit code if the file is no such archive, or the store refuses.
pub fn unpack(args: &UnpackArgs) -> Result<(), CommandError> {
    let shown = args.file.display().to_string();
    let bad = |error: String| CommandError::new(BAD_INPUT, format!("`{shown}` {error}"));
    let of_store = |error| CommandError::of_store(&error);
    let store = Store::open(&args.store.store).map_err(of_store)?;
    let scratch = store.scratch().map_err(of_store)?;
    archive::unpack(&args.file, scratch.path()).map_err(bad)?;
    let unpacked = scratch.path().join(RUN);
    let record = runs::read(&unpacked).map_err(|error| bad(format!("holds no run: {error}")))?;
    let is_name = |name: &str| Path::new(name).components().count() == 1 && !name.starts_with('.');
    if !is_id(OsStr::new(&record.id)) || !is_name(&record.pipeline) || record.pipeline.contains('/')
    {
        return Err(bad(format!("holds a run with an odd name: `{}`", record.pipeline)));
    }
    let steps = Folder::new(scratch.path());
    let mut moved = TransferCounts::default();
    for key in Store::keys_of(&steps).map_err(of_store)? {
        let step = store.pull(&key, &steps).map_err(|error| bad(format!("is damaged: {error}")))?;
        moved.add(step.unwrap_or_default());
    }
    let study = args.out.out.join(&record.pipeline);
    let folder = study.join(&record.id);
    if folder.symlink_metadata().is_ok() {
        info!("the run `{}` is here already and is left as it is", folder.display());
    } else {
        fs::create_dir_all(&study).and_then(|()| copy(&unpacked, &folder)).map_err(|error| {
            let folder = folder.display();
            CommandError::new(FAILED, format!("cannot write `{folder}`: {}", plain(&error)))
        })?;
    }
    info!("unpacked {}", describe_moved(&moved));
    print(&format!("{}\n", folder.display()));
    Ok(())
}

/// Copies a folder of regular files to a folder that does not exist yet.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry?;
        let below = entry.path().strip_prefix(from).map_err(io::Error::other)?;
        if entry.file_type().is_dir() {
            fs::create_dir(to.join(below))?;
        } else {
            fs::copy(entry.path(), to.join(below))?;
        }
    }
    Ok(())
}
