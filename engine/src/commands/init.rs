//! `engine init`: creates a folder with a first pipeline that runs as it is.

use crate::{
    cli::{BAD_INPUT, CommandError, print},
    schema,
};
use cache::{atomic_file::write_atomic, store::plain};
use clap::Args;
use std::{fs, path::PathBuf};
use tracing::info;

/// The arguments of `init`.
#[derive(Args)]
pub struct InitArgs {
    /// The folder; it is made if it is not there.
    pub dir: PathBuf,
}

const PIPELINE: &str = "study.yaml";
const SCHEMA: &str = "pipeline.schema.json";

/// Writes the pipeline, and the schema with which editors complete it.
///
/// # Errors
/// Returns the exit code if one of the files exists already or if the folder cannot be written.
pub fn init(args: &InitArgs) -> Result<(), CommandError> {
    let files = [(PIPELINE, include_str!("init.yaml").to_owned()), (SCHEMA, schema::text())];
    for (name, _) in &files {
        let path = args.dir.join(name);
        if fs::symlink_metadata(&path).is_ok() {
            let path = path.display();
            let message =
                format!("`{path}` is there already, and is left as it is; name a new folder");
            return Err(CommandError::new(BAD_INPUT, message));
        }
    }
    let refuse = |path: &std::path::Path, error: &std::io::Error| {
        CommandError::new(BAD_INPUT, format!("cannot write `{}`: {}", path.display(), plain(error)))
    };
    fs::create_dir_all(&args.dir).map_err(|error| refuse(&args.dir, &error))?;
    for (name, text) in &files {
        let path = args.dir.join(name);
        write_atomic(&path, text.as_bytes()).map_err(|error| refuse(&path, &error))?;
    }
    let path = args.dir.join(PIPELINE);
    info!("wrote a pipeline; run it with `engine run {}`", path.display());
    print(&format!("{}\n", path.display()));
    Ok(())
}
