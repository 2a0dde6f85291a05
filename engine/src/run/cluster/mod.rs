//! Runs on a cluster: its scheduler starts workers, which take the steps of a frozen plan from the store that all share.
//!
//! - [`frozen`]: the plan as a file. [`events`]: what the processes at it send to each other.
//! - [`worker`]: a process that runs steps. [`driver`]: the process that the user started, which runs none.
//! - [`slurm`]: the calls of the scheduler. [`jobs`]: the number of workers, and their
//!   ends. [`sizes`]: their resources. [`growth`]: more of them for steps that had too little. [`scripts`]: their scripts.
//! - [`progress`]: the progress of a run, for `engine runs` and `engine show`.

pub mod driver;
pub mod events;
pub mod frozen;
mod growth;
mod jobs;
mod oom;
pub mod progress;
pub mod scripts;
pub mod sizes;
pub mod slurm;
pub mod worker;

/// The folder of frozen plans in a store.
pub use cache::store::WORK;
