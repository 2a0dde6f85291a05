//! Ops, the computations of steps.
//!
//! Each op is one file in the module of its stage; [`table::OPS`] lists all of them. An op maps
//! artifacts to artifacts and knows nothing of YAML, of the DAG or of the store.

#[macro_use]
pub mod math;

pub mod audio;
pub mod cluster;
pub mod device;
pub mod embed;
mod error;
pub mod features;
pub mod host;
mod memory;
pub mod metrics;
pub mod nn;
pub mod op;
pub mod params;
pub mod ports;
pub mod programs;
pub mod table;

pub use device::Device;
pub use host::{Piece, PriorOutputs, Program, Programs, Warnings};
pub use math::random::{Purpose, Random};
pub use metrics::measures::{Measure, known as known_metric};
pub use op::{
    Cancel, Checkpoints, Companion, Ctx, Detached, Determinism, ErrorKind, Inputs, Locate, Op,
    OpError, Outputs, Progress, Select, Source,
};
pub use ports::Port;
pub use table::{AnyOp, Entry, OPS, ParamError, find};
