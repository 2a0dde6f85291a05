//! `engine worker`: runs steps of a frozen plan, on a node of a cluster.

use super::prepare::start_threads;
use crate::{
    cli::{self, BAD_INPUT, CommandError, FAILED, StoreArg},
    model::{Gpu, Limits, STEPS_ON_ONE},
    run::cluster::{
        WORK,
        frozen::PlanFolder,
        worker::{self, STORE_NOT_SEEN, Task},
    },
    ui::{events::TEXT, interrupt::Interrupt},
};
use cache::{Digest, Store, store::set_job};
use clap::Args;
use std::{env, num::NonZeroUsize, sync::Arc, time::Duration};
use tracing::info;

/// A network file system may show a new name late.
const PATIENCE: Duration = Duration::from_secs(70);

/// The arguments of `worker`.
#[derive(Args)]
pub struct WorkerArgs {
    /// The plan: its name below `work-v1` in the store.
    pub plan: String,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
    /// The kind of worker.
    #[arg(long)]
    pub kind: String,
    /// Threads to use.
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Memory that its steps may take.
    #[arg(long, value_name = "SIZE", value_parser = cli::size)]
    pub memory: u64,
    /// Number of GPUs that it has.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub gpu_count: usize,
    /// Leave after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub until: f64,
    /// The name of the driver's store.
    #[arg(long, value_name = "ID")]
    pub store_id: Option<String>,
    /// Seconds between two signs of life.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub beat: f64,
}

/// Runs steps until nothing is left for this worker.
///
/// # Errors
/// Returns the exit code if this node cannot run any.
pub fn worker(args: &WorkerArgs) -> Result<(), CommandError> {
    let variable = |name: &str| env::var(name).ok();
    // Slurm tells how many processors a job has; the system tells those of the node.
    let cpus = variable("SLURM_CPUS_ON_NODE").and_then(|cpus| cpus.parse().ok());
    let threads = args.threads.map(NonZeroUsize::get).or(cpus).unwrap_or(1);
    start_threads(threads)?;
    let array = variable("SLURM_ARRAY_JOB_ID").zip(variable("SLURM_ARRAY_TASK_ID"));
    let job = array.map(|(job, task)| format!("{job}_{task}")).or_else(|| variable("SLURM_JOB_ID"));
    if !(args.beat > 0.0 && args.beat < 1e6) {
        return Err(CommandError::new(BAD_INPUT, "`--beat` must be above 0"));
    }
    set_job(job.clone(), Duration::from_secs_f64(args.beat));
    let digest: Digest = args.plan.parse().map_err(|_| {
        CommandError::new(BAD_INPUT, format!("`{}` is not the name of a plan", args.plan))
    })?;
    let shown = args.store.store.display();
    if !Store::is_at(&args.store.store) {
        let message = format!("this node does not see the store `{shown}`");
        return Err(CommandError::new(STORE_NOT_SEEN, message));
    }
    let store = Store::open(&args.store.store).map_err(|error| CommandError::of_store(&error))?;
    let is_of_driver = args.store_id.as_ref().is_none_or(|id| store.is_called(id, PATIENCE));
    if !is_of_driver {
        let message = format!(
            "this node sees another store as `{shown}` than the one in which the run was started"
        );
        return Err(CommandError::new(STORE_NOT_SEEN, message));
    }
    let remote = args.store.remote()?;
    let store = Arc::new(store);
    let limits = Limits {
        threads,
        memory: args.memory,
        max_memory: args.memory,
        gpus: (0..args.gpu_count).map(Gpu::numbered).collect(),
        gpu_steps: STEPS_ON_ONE,
    };
    let mut task = Task { kind: args.kind.clone(), until: args.until, job, limits, remote };
    let folder = PlanFolder { store: &store, name: format!("{WORK}/{digest}") };
    let interrupt = Interrupt::listen_without_exit();
    let worked = worker::work(&store, &folder, &mut task, &interrupt);
    store.close();
    let is_all = worked.map_err(|error| CommandError::new(FAILED, error))?;
    info!(target: TEXT, "{}", if is_all { worker::NOTHING_LEFT } else { worker::STOPPED });
    Ok(())
}
