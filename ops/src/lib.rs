//! Ops, the computations of steps.
//!
//! Each op is one file in the module of its stage; [`table::OPS`] lists all of them. An op maps
//! artifacts to artifacts and knows nothing of YAML, of the DAG or of the store.

#![deny(unsafe_code)]

#[macro_use]
pub mod math;

pub mod audio;
pub mod cluster;
pub mod device;
pub mod embed;
mod error;
pub mod features;
pub mod fitted;
pub mod host;
pub mod measures;
mod memory;
pub mod metrics;
pub mod nn;
pub mod op;
pub mod params;
pub mod ports;
pub mod programs;
pub mod table;

pub use device::{Device, GpuMemory};
pub use host::{
    Cancel, Checkpoints, Detached, Form, Locate, Piece, PriorOutputs, Product, Program,
    ProgramEnvironment, Programs, Progress, Warnings,
};
pub use math::random::{Purpose, Random};
pub use measures::{Measure, known as known_metric};
pub use nn::cuda::trial as gpu;
pub use nn::onnx::encoder as encoder_as_onnx;
pub use op::{
    AnyOp, Companion, Ctx, Determinism, Entry, ErrorKind, Inputs, Op, OpError, Outputs, ParamError,
    Select, SharedLibrary, Source,
};
pub use ports::Port;
pub use table::{OPS, find};
