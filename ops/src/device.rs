//! The device on which an op computes.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A GPU with the libraries that it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The number of the GPU, from 0 on.
    pub ordinal: usize,
    /// The file of the NVIDIA driver.
    pub driver: PathBuf,
    /// The file of the run-time compiler (NVRTC).
    pub nvrtc: PathBuf,
    /// The folder of the user's own that keeps compiled kernels; without one, each process compiles them.
    #[serde(default)]
    pub cubins: Option<PathBuf>,
}

/// The device on which an op computes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// A GPU.
    Cuda(Place),
}

/// The bytes of a GPU's memory that an op takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuMemory {
    /// The bytes of its own.
    pub own: u64,
    /// The bytes of an input, which lies there once for all ops of a process that read the same content in the same
    /// format.
    pub input: u64,
    /// The port of that input.
    pub port: &'static str,
    /// The format of its numbers.
    pub format: &'static str,
}

impl GpuMemory {
    /// The bytes that an op takes where no other one reads the same input.
    pub fn alone(&self) -> u64 {
        self.own + self.input
    }
}

impl Device {
    /// The name in keys. Results with the same name count as equal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
        }
    }

    /// The same device, or the first of the given GPUs if it is a GPU.
    #[must_use]
    pub fn on(&self, gpus: &[usize]) -> Self {
        match (self, gpus.first()) {
            (Self::Cuda(place), Some(ordinal)) => {
                Self::Cuda(Place { ordinal: *ordinal, ..place.clone() })
            }
            _ => self.clone(),
        }
    }
}
