//! What a step computes.
//!
//! Each op is one file in the room of its stage; [`table::OPS`] lists them all. An op knows
//! nothing of YAML, of the DAG or of the store: it maps artifacts to artifacts.

pub mod audio;
pub mod cluster;
pub mod device;
pub mod embed;
pub mod features;
pub mod math;
pub mod metrics;
pub mod nn;
pub mod op;
pub mod params;
pub mod table;

pub use device::Device;
pub use op::{
    Cancel, Checkpoints, Ctx, Detached, Determinism, Fault, Inputs, Locate, Op, OpError, Outputs,
    Port, Progress, Select, Source,
};
pub use table::{AnyOp, Entry, OPS, ParamError, find};
