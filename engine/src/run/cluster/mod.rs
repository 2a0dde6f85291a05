//! Runs on a cluster: its scheduler starts workers, which take the steps of a frozen plan from the store that all share.
//!
//! - [`frozen`]: the plan as a file. [`events`]: what the processes at it tell each other.
//! - [`worker`]: a process that runs steps. [`driver`]: the process that the user started, which runs none.
//! - [`slurm`]: the calls of the scheduler. [`jobs`]: how many workers there should be, and what became of
//!   them. [`sizes`]: what they have. [`growth`]: when that was too little. [`scripts`]: what is submitted for them.
//! - [`standing`]: how far a run is, for those who ask.

pub mod driver;
pub mod events;
pub mod frozen;
mod growth;
mod jobs;
mod oom;
pub mod scripts;
pub mod sizes;
pub mod slurm;
pub mod standing;
pub mod worker;

/// The folder of frozen plans in a store.
pub use cache::store::WORK;
