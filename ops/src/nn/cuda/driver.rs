//! The interface between the trainer and a GPU, with its errors.
//!
//! The trainer uses only this trait. [`super::device::Gpu`] implements it with the CUDA driver; the
//! tests implement it on the CPU, with the same kernels compiled as C++.

use super::data_set::DataSets;
use super::source::Unit;
use crate::op::OpError;
use std::path::PathBuf;
use std::sync::Arc;

/// An address in the device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub u64);

impl Address {
    /// The null address, for an optional pointer of a kernel.
    pub const NONE: Self = Self(0);

    /// The address `bytes` further on.
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
    /// The bytes of the argument in the low part of eight bytes.
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
    /// The name of the kernel.
    pub kernel: String,
    /// The numbers of blocks along x, y and z.
    pub blocks: [u32; 3],
    /// The number of threads in a block, along x.
    pub threads: u32,
    /// The arguments.
    pub args: Vec<Arg>,
}

/// A sequence of launches that was recorded, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapturedGraph(pub usize);

/// An event at the end of launches on the side stream, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub struct Event(pub usize);

/// A piece of a device's memory. It stays reserved until this is dropped, on whatever thread, and even if the [`Driver`]
/// that reserved it is dropped before.
pub trait Memory: Send + Sync {
    /// The address of its first byte.
    fn start(&self) -> Address;
}

/// The device and the compiler for which times of launches hold, and the folder in which what was
/// chosen by them is kept.
#[derive(Clone, Debug)]
pub struct TuningContext {
    /// The folder of choices by time, if they are kept.
    pub folder: Option<PathBuf>,
    /// The GPU and the compiler.
    pub device: String,
}

/// A device with memory, a stream and a side stream. Launches on one stream run in order.
pub trait Driver {
    /// The name for messages.
    fn name(&self) -> &str;
    /// The bytes that can still be reserved.
    ///
    /// # Errors
    /// When the device does not answer.
    fn free_bytes(&self) -> Result<u64, CudaError>;
    /// Compiles and loads kernels.
    ///
    /// # Errors
    /// When one does not compile or does not fit the device.
    fn load(&mut self, units: &[Unit]) -> Result<(), CudaError>;
    /// Reserves memory until the device is dropped.
    ///
    /// # Errors
    /// When there is not enough memory.
    fn reserve(&mut self, bytes: u64) -> Result<Address, CudaError>;
    /// Reserves memory that the launches of every driver of this device may read. It counts in
    /// [`Driver::free_bytes`] of all of them.
    ///
    /// # Errors
    /// When there is not enough memory.
    fn alloc_shared(&mut self, bytes: u64) -> Result<Arc<dyn Memory>, CudaError>;
    /// The data sets on this device, the same for all drivers of this process on it, and no others.
    fn data_sets(&self) -> Arc<DataSets>;
    /// Copies to the device, after all earlier launches.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Safety
    /// As many bytes must be reserved on this device from `to` on.
    unsafe fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), CudaError>;
    /// Waits for all earlier launches and copies, and copies from the device; without bytes it only waits.
    ///
    /// # Errors
    /// When the device fails, or has failed in an earlier launch.
    ///
    /// # Safety
    /// As many bytes must be reserved on this device from `from` on.
    unsafe fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), CudaError>;
    /// Launches a kernel, or records it.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Safety
    /// The arguments must be those that the kernel takes, and whatever it reads or writes must be reserved on this
    /// device.
    unsafe fn launch(&mut self, launch: Launch) -> Result<(), CudaError>;
    /// Puts the next launches on the side stream: they run in order after all so far, but beside those that follow
    /// [`Driver::end_side_stream`]. A device with one stream runs them at once.
    ///
    /// # Errors
    /// When the device fails.
    fn begin_side_stream(&mut self) -> Result<(), CudaError> {
        Ok(())
    }
    /// Returns to the stream; the event is at the end of what [`Driver::begin_side_stream`] began.
    ///
    /// # Errors
    /// When the device fails.
    fn end_side_stream(&mut self) -> Result<Event, CudaError> {
        Ok(Event(0))
    }
    /// Lets the next launches come after all on the side stream before this event. Before a recording ends, its last event
    /// must have been waited for.
    ///
    /// # Errors
    /// When the device fails.
    fn wait_for(&mut self, _event: Event) -> Result<(), CudaError> {
        Ok(())
    }
    /// Starts recording: launches are recorded and not run.
    ///
    /// # Errors
    /// When the device fails.
    fn begin_capture(&mut self) -> Result<(), CudaError>;
    /// Ends the recording.
    ///
    /// # Errors
    /// When the device fails.
    fn end_capture(&mut self) -> Result<CapturedGraph, CudaError>;
    /// Runs all launches of a recording.
    ///
    /// # Errors
    /// When the device fails.
    fn launch_graph(&mut self, recording: CapturedGraph) -> Result<(), CudaError>;
    /// Where launches are timed to choose the quickest tiles; none where that is not to be done.
    fn tuning_context(&self) -> Option<TuningContext> {
        None
    }
    /// Runs a launch so many times, one after the other, and gives the seconds of each; none if the device has no clock.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Safety
    /// As for [`Driver::launch`].
    unsafe fn time(
        &mut self,
        _launch: &Launch,
        _times: usize,
    ) -> Result<Option<Vec<f64>>, CudaError> {
        Ok(None)
    }
}

/// A call to CUDA that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{call}` failed: {detail}")]
pub struct CudaError {
    /// The function, such as `cuLaunchKernel`, with its object.
    pub call: String,
    /// The description of the error by CUDA.
    pub detail: String,
    /// True if memory was exhausted.
    pub out_of_memory: bool,
}

impl CudaError {
    /// A failed call with its reason.
    pub fn new(call: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { call: call.into(), detail: detail.into(), out_of_memory: false }
    }

    /// Converts the error to that of an op, with the epoch if there was one.
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
