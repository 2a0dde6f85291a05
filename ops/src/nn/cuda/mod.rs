//! Networks on a GPU, with the engine's own kernels, which are compiled at run time; nothing is linked.
//!
//! - [`source`]: the text of the kernels in `kernels/`, each with its formula and launch shape.
//! - [`nvrtc`]: NVIDIA's compiler for them.
//!   [`cubins`]: what it made, kept for the next process.
//! - [`driver`]: the interface between the trainer and a device; [`device`]: a GPU, through cudarc;
//!   [`listing`]: the CUDA driver and its GPUs; [`shared_allocation`]: what several models read on one.
//! - [`plan`]: the layout of a model's memory; [`parameter_layout`]: that of the parameters;
//!   [`data_set`]: the clips, once for all models on a device.
//! - [`net`]: the launches of a step, forward and backward.
//! - [`tuning`]: the choice of tiles by their times on this GPU.
//! - [`trainer`]: training, encoding and reconstructing with them.
//! - [`parity`]: the comparison of a GPU with the CPU; [`trial`]: what must hold before `auto` uses one;
//!   [`trace`]: what each launch wrote, by which a wrong kernel is found where there is no GPU.
//!
//! Only the driver and NVRTC are needed. Images lie as rows of pixels whose channels are neighbours; convolutions are
//! products of matrices that gather their patches on the fly. Every sum has a fixed order and nothing is added atomically, so that the same
//! GPU gives the same bits in every run.

pub mod cubins;
#[allow(unsafe_code)]
pub mod data_set;
#[allow(unsafe_code)]
pub mod device;
#[allow(unsafe_code)]
pub mod driver;
#[allow(unsafe_code)]
mod listing;
#[allow(unsafe_code)]
pub mod net;
#[allow(unsafe_code)]
pub mod nvrtc;
pub mod parameter_layout;
pub mod parity;
pub mod plan;
#[allow(unsafe_code)]
pub mod shared_allocation;
pub mod source;
#[allow(unsafe_code)]
pub mod trace;
pub mod trainer;
pub mod trial;
#[allow(unsafe_code)]
pub mod tuning;

use super::fit;
pub use crate::device::Place;
use crate::op::OpError;
use cache::Array;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The precision of the factors of matrix products on a GPU; sums are always of single precision.
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
    /// The number of values of an image that one instruction moves: sixteen bytes.
    fn values(self) -> usize {
        if self == Self::Bf16 { 8 } else { 4 }
    }

    /// The compute capability that products in this precision need, as ten times the major number
    /// plus the minor one; tensor cores support these from 8.0 on.
    pub fn least_capability(self) -> i32 {
        if self == Self::F32 { 70 } else { 80 }
    }
}

/// Opens a GPU and puts a network on it.
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
    let mut gpu = gpu.map_err(|error| error.during(None))?;
    gpu.tunes = tuning::is_worth(plan, data.rows());
    trainer::OnDevice::new(gpu, plan, data, seed)
}
