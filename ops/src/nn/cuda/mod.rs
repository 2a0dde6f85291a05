//! Networks on a GPU: kernels of our own, compiled when they are needed, and nothing linked.
//!
//! - [`find`]: which GPU and libraries are there, by looking at files alone.
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

pub mod driver;
pub mod net;
pub mod nvrtc;
pub mod plan;
pub mod source;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Bytes of a number of an image.
    pub fn bytes(self) -> usize {
        if self == Self::Bf16 { 2 } else { 4 }
    }
}
