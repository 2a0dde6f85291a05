//! `engine fetch`: downloads data sets.

use crate::{
    cli::{CommandError, FAILED, print},
    data::fetch::{IRMAS_MD5, IRMAS_URL, Ui, fetch_irmas},
    ui::events::{self, DETAIL},
};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use tracing::{error, info};

/// The arguments of `fetch`.
#[derive(Args)]
pub struct FetchArgs {
    /// The data set.
    pub dataset: Dataset,
    /// The folder it goes to.
    pub dir: PathBuf,
    /// Another place to download from.
    #[arg(long, default_value = IRMAS_URL)]
    pub url: String,
    /// The MD5 that the download must have.
    #[arg(long, default_value = IRMAS_MD5)]
    pub md5: String,
}

/// A data set that can be downloaded.
#[derive(Clone, Copy, ValueEnum)]
pub enum Dataset {
    /// The training set of IRMAS: 6,705 excerpts of eleven instruments.
    Irmas,
}

/// Downloads the data set, and prints the path of the file to standard output.
///
/// # Errors
/// Returns the exit code if the download fails.
pub fn fetch(args: &FetchArgs) -> Result<(), CommandError> {
    let Dataset::Irmas = args.dataset;
    let shown = events::Steps::begin(1);
    events::step_started(1, "download", "");
    let fetched = fetch_irmas(&args.url, &args.md5, &args.dir, &mut Events);
    drop(shown);
    let file = fetched.map_err(|error| {
        let stop = CommandError::new(FAILED, &error);
        error!(target: DETAIL, "help: {}", error.help);
        stop
    })?;
    print(&format!("{}\n", file.display()));
    Ok(())
}

/// Reports the progress of a download as events.
struct Events;

impl Ui for Events {
    fn log(&mut self, line: &str) {
        info!("{line}");
    }
    fn bytes(&mut self, done: u64, total: Option<u64>) {
        const MEGABYTE: u64 = 1_000_000;
        events::step_at(1, done / MEGABYTE, total.unwrap_or(done).div_ceil(MEGABYTE), "MB");
    }
}
