//! `engine report`: renders the report of a run again, from its record and the store.

use crate::{
    cli::{BAD_INPUT, CommandError, FAILED, StoreArg, print},
    record::runs::{self, FoundRun},
};
use std::path::Path;

/// Renders the report of a run again.
///
/// # Errors
/// Returns the exit code if there is no such run or if the store has lost a part of the report.
pub fn report(out: &Path, run: &str, store: &StoreArg) -> Result<(), CommandError> {
    let FoundRun { folder, record } =
        runs::find(out, run).map_err(|error| CommandError::new(BAD_INPUT, error))?;
    let store = store.open_of(&folder)?;
    super::run::write_report(&folder, &record, &store).map_err(|error| {
        CommandError::new(
            FAILED,
            format!("{error}; if the store has lost it, run the pipeline again"),
        )
    })?;
    print(&format!("{}\n", folder.join("report.md").display()));
    // The process ends here, so the memory is not freed piece by piece, which takes time.
    store.close();
    std::mem::forget((record, store));
    Ok(())
}
