//! `engine show` and `engine report`: a run that was made before.

use crate::{
    cli::{BAD_INPUT, FAILED, Stop, print},
    runs,
};
use cache::Store;
use std::{fs, path::Path};

/// Prints the report of a run.
///
/// # Errors
/// With the exit code, if there is no such run.
pub fn show(out: &Path, run: &str) -> Result<(), Stop> {
    let (folder, _) = runs::find(out, run).map_err(|fault| Stop::saying(BAD_INPUT, fault))?;
    let path = folder.join("report.md");
    let report = fs::read_to_string(&path).map_err(|fault| {
        Stop::saying(
            FAILED,
            format!(
                "cannot read `{}`: {fault}; `engine report {run}` renders it again",
                path.display()
            ),
        )
    })?;
    print(&report);
    Ok(())
}

/// Renders the report of a run again, from its record and the store.
///
/// # Errors
/// With the exit code, if there is no such run or the store has lost what it shows.
pub fn report(out: &Path, run: &str, store: &Path) -> Result<(), Stop> {
    let (folder, record) = runs::find(out, run).map_err(|fault| Stop::saying(BAD_INPUT, fault))?;
    let store = Store::open(store).map_err(|fault| Stop::saying(FAILED, fault))?;
    super::run::write_report(&folder, &record, &store).map_err(|fault| {
        Stop::saying(FAILED, format!("{fault}; if the store has lost it, run the pipeline again"))
    })?;
    print(&format!("{}\n", folder.join("report.md").display()));
    Ok(())
}
