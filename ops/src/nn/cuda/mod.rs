//! Networks on a GPU: kernels of our own, compiled when they are needed, and nothing linked.
//!
//! - [`source`]: the text of the kernels in `kernels/`, each with its formula and launch shape.
//! - [`nvrtc`]: NVIDIA's compiler for them.
//! - [`driver`]: what the trainer asks of a device; [`device`]: CUDA's driver, through cudarc.
//! - [`plan`]: where everything lies in the device's memory.
//! - [`net`]: the launches of a step, forward and back.
//! - [`trainer`]: training, encoding and reconstructing with them.
//! - [`parity`]: what a GPU computes beside what the CPU does.
//!
//! Only the driver and NVRTC are needed. Convolutions are products of matrices that fetch their
//! patches as they go; every sum has a fixed order and nothing is added atomically, so that the
//! same GPU gives the same bits from run to run.

pub mod device;
pub mod driver;
pub mod net;
pub mod nvrtc;
pub mod parity;
pub mod plan;
pub mod source;
pub mod trainer;

use super::fit;
use crate::op::OpError;
use cache::Array;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What products of matrices multiply on a GPU; their sums are always of single precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u32)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32 = 0,
    /// Single precision with factors cut to 10 bits after the point, on tensor cores.
    Tf32 = 1,
    /// Factors, clips and images between layers of 7 bits after the point, on tensor cores.
    Bf16 = 2,
}

impl Precision {
    /// The compute capability that its products need, ten times the major number and the minor one:
    /// tensor cores multiply these from 8.0 on.
    pub fn least_capability(self) -> i32 {
        if self == Self::F32 { 70 } else { 80 }
    }

    /// Bytes of a number of an image.
    pub fn bytes(self) -> usize {
        if self == Self::Bf16 { 2 } else { 4 }
    }
}

/// A GPU and what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which GPU, from 0 on.
    pub ordinal: usize,
    /// The file of NVIDIA's driver.
    pub driver: PathBuf,
    /// The file of its run-time compiler.
    pub nvrtc: PathBuf,
}

/// A network on a GPU.
///
/// # Errors
/// When there is no such GPU, when it has too little memory, or when CUDA fails.
pub fn open(
    place: &Place,
    plan: &fit::Plan,
    data: &Array,
    seed: u64,
) -> Result<trainer::OnDevice<device::Gpu>, OpError> {
    let gpu = device::Gpu::open(place, plan.precision);
    let gpu = gpu.map_err(|error| error.during(None))?;
    trainer::OnDevice::new(gpu, plan, data, seed)
}
