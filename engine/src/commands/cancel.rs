//! `engine cancel`: ends the workers of studies on a cluster.

use crate::{
    cli::{BAD_INPUT, CommandError, FAILED, StoreArg, print},
    run::cluster::{driver::unfinished, scripts::job_name, slurm},
};
use clap::Args;

/// The arguments of `cancel`.
#[derive(Args)]
pub struct CancelArgs {
    /// Only the workers of this study.
    #[arg(value_name = "NAME")]
    pub study: Option<String>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
}

/// Asks all workers to leave, and cancels their jobs.
///
/// # Errors
/// Returns the exit code if there is no such study, or if the scheduler does not answer.
pub fn cancel(args: &CancelArgs) -> Result<(), CommandError> {
    let store = args.store.open_existing()?;
    let plans = unfinished(&store, args.study.as_deref());
    if plans.is_empty() {
        let of = args.study.as_ref().map_or_else(String::new, |study| format!(" of `{study}`"));
        return Err(CommandError::new(BAD_INPUT, format!("the store has no run{of} on a cluster")));
    }
    for (folder, frozen) in &plans {
        let name = &frozen.name;
        folder.stop().map_err(|error| CommandError::of_store(&error))?;
        let jobs = job_name(folder);
        slurm::cancel(&jobs).map_err(|refusal| CommandError::new(FAILED, refusal.message))?;
        print(&format!("cancelled the workers of `{name}` ({jobs}); what is finished is kept\n"));
    }
    Ok(())
}
