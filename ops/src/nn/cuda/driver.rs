//! What the trainer asks of a GPU, and what can go wrong.
//!
//! The trainer knows this trait alone. [`super::device::Gpu`] does it with CUDA's driver; the tests
//! do it on the CPU, with the same kernels compiled as C++.

use super::source::Unit;
use crate::op::OpError;

/// Where something lies on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub u64);

impl Address {
    /// Nowhere: a kernel's pointer that is not given.
    pub const NONE: Self = Self(0);

    /// So many bytes further.
    #[must_use]
    pub fn plus(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Arg {
    /// A pointer.
    At(Address),
    /// An `int`.
    Int(i32),
    /// A `float`.
    Real(f32),
    /// A `double`.
    Double(f64),
}

impl Arg {
    /// Its bytes, at the lower end of eight.
    pub fn bits(self) -> u64 {
        match self {
            Self::At(address) => address.0,
            Self::Int(value) => u64::from(value as u32),
            Self::Real(value) => u64::from(value.to_bits()),
            Self::Double(value) => value.to_bits(),
        }
    }
}

/// A launch of a kernel.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Its name.
    pub kernel: String,
    /// Blocks along x, y and z.
    pub blocks: [u32; 3],
    /// Threads of a block, along x.
    pub threads: u32,
    /// Its arguments.
    pub args: Vec<Arg>,
}

/// Launches that were recorded as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recording(pub usize);

/// A device with memory and one queue of work. What is launched runs in order.
pub trait Driver {
    /// Its name, for people.
    fn name(&self) -> &str;
    /// Bytes that could still be reserved.
    ///
    /// # Errors
    /// When the device does not answer.
    fn free_bytes(&self) -> Result<u64, CudaError>;
    /// Compiles and loads kernels.
    ///
    /// # Errors
    /// When one does not compile or does not fit the device.
    fn load(&mut self, units: &[Unit]) -> Result<(), CudaError>;
    /// Takes memory, until the device is dropped.
    ///
    /// # Errors
    /// When there is not so much.
    fn reserve(&mut self, bytes: u64) -> Result<Address, CudaError>;
    /// Copies to the device, after what was launched before.
    ///
    /// # Errors
    /// When the device fails.
    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), CudaError>;
    /// Waits for what was launched before and copies from the device.
    ///
    /// # Errors
    /// When the device fails, or failed at anything launched before.
    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), CudaError>;
    /// Launches a kernel, or records it.
    ///
    /// # Errors
    /// When the device fails.
    fn launch(&mut self, launch: Launch) -> Result<(), CudaError>;
    /// From now on launches are recorded and not done.
    ///
    /// # Errors
    /// When the device fails.
    fn record(&mut self) -> Result<(), CudaError>;
    /// Ends a recording.
    ///
    /// # Errors
    /// When the device fails.
    fn recorded(&mut self) -> Result<Recording, CudaError>;
    /// Launches all of a recording at once.
    ///
    /// # Errors
    /// When the device fails.
    fn replay(&mut self, recording: Recording) -> Result<(), CudaError>;
}

/// A call to CUDA that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{call}` failed: {detail}")]
pub struct CudaError {
    /// The function, such as `cuLaunchKernel`, with what it was about.
    pub call: String,
    /// What CUDA says of it.
    pub detail: String,
    /// Whether memory ran out.
    pub out_of_memory: bool,
}

impl CudaError {
    /// A call that failed for this reason.
    pub fn new(call: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { call: call.into(), detail: detail.into(), out_of_memory: false }
    }

    /// The same as the failure of an op, in this epoch if it was in one.
    pub fn during(self, epoch: Option<u64>) -> OpError {
        let place = epoch.map(|epoch| format!(" in epoch {epoch}")).unwrap_or_default();
        let help = match epoch {
            Some(epoch) if epoch > 1 => format!(
                "the state after epoch {} is kept: run again to go on from there, or with \
                 `device: cpu`",
                epoch - 1
            ),
            _ => "`engine devices` shows what is found; `device: cpu` needs no GPU".to_owned(),
        };
        OpError::failure(format!("on the GPU{place}, {self}")).help(help)
    }
}
