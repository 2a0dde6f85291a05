//! The sums of what each launch of a training step wrote, in a form by which two devices can be compared.
//!
//! A kernel that is wrong on a GPU can so be found where there is none: the GPU writes its trace to a file, and the same
//! step is traced with the kernels compiled as C++. The first launch whose numbers differ is the wrong one. A trace
//! holds sums over equal blocks of each buffer that a launch changed: it stays small, and one wrong number still shows
//! in its block.

use super::super::backend::{Backend, Batches, State};
use super::super::fit;
use super::data_set::DataSets;
use super::driver::{Address, Arg, CapturedGraph, CudaError, Driver, Launch, Memory};
use super::plan::Buffer;
use super::source::Unit;
use super::trainer::OnDevice;
use crate::op::{Detached, OpError};
use cache::Array;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The number of blocks of a buffer.
const BLOCKS: usize = 256;
/// The numbers from the start of a buffer that are kept as they are.
const FIRST: usize = 8;
const SEED: u64 = 11;

/// The launches of one training step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trace {
    /// The name of the device.
    pub device: String,
    /// The launches, in order.
    pub launches: Vec<LaunchTrace>,
}

/// A launch with all that it changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaunchTrace {
    /// The name of the kernel.
    pub kernel: String,
    /// The numbers of blocks along x, y and z.
    pub blocks: [u32; 3],
    /// The arguments, buffers by their names.
    pub args: Vec<String>,
    /// The buffers that it changed.
    pub written: Vec<BufferTrace>,
}

/// A buffer after a launch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BufferTrace {
    /// The name of the buffer.
    pub buffer: String,
    /// The number of its values.
    pub count: usize,
    /// The number of values that are infinite or NaN; they are not in the sums.
    pub not_finite: usize,
    /// The sum of each block.
    pub sums: Vec<f64>,
    /// The sum of squares of each block.
    pub squares: Vec<f64>,
    /// The first numbers; 0 for one that is not finite.
    pub first: Vec<f64>,
}

impl BufferTrace {
    fn of(buffer: &Buffer, bytes: &[u8]) -> Self {
        let mut numbers = buffer.number.read(bytes);
        let not_finite = numbers.iter().filter(|x| !x.is_finite()).count();
        numbers.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = 0.0);
        let blocks = || numbers.chunks(block_len(numbers.len()));
        Self {
            buffer: buffer.name.clone(),
            count: numbers.len(),
            not_finite,
            sums: blocks().map(|block| block.iter().sum()).collect(),
            squares: blocks().map(|block| block.iter().map(|x| x * x).sum()).collect(),
            first: numbers.iter().take(FIRST).copied().collect(),
        }
    }

    /// The difference from the same buffer on another device, if it is more than rounding.
    fn difference(&self, other: &Self, tolerance: f64) -> Option<String> {
        let name = &self.buffer;
        if self.not_finite != other.not_finite {
            let [a, b] = [self.not_finite, other.not_finite];
            return Some(format!("`{name}`: {a} and {b} of {} numbers are not finite", self.count));
        }
        let most = self.squares.iter().chain(&other.squares).fold(0.0, |most: f64, x| most.max(*x));
        let bound = tolerance * most.sqrt();
        let apart = |(a, b): (&f64, &f64)| (a - b).abs() > bound;
        let roots = |it: &Self| it.squares.iter().map(|x| x.sqrt()).collect::<Vec<_>>();
        let (a, b) = (roots(self), roots(other));
        let sums = self.sums.iter().zip(&other.sums).map(apart);
        let far: Vec<bool> = sums.zip(a.iter().zip(&b).map(apart)).map(|(x, y)| x || y).collect();
        let block = far.iter().position(|far| *far)?;
        let (blocks, len) = (far.iter().filter(|far| **far).count(), block_len(self.count));
        let end = ((block + 1) * len).min(self.count);
        Some(format!(
            "`{name}`: {blocks} of {} blocks differ, first numbers {} up to {end} of {}: sums {:e} and {:e}, norms {:e} \
             and {:e}; the buffer begins {:?} and {:?}",
            far.len(),
            block * len,
            self.count,
            self.sums[block],
            other.sums[block],
            a[block],
            b[block],
            self.first,
            other.first,
        ))
    }
}

fn block_len(count: usize) -> usize {
    count.div_ceil(BLOCKS).max(1)
}

impl Trace {
    /// The launches in which two traces differ by more than this share of a block's norm, at most ten. The first one is
    /// where to look; the others follow from it, or are values that rounding moved across the bend of a ReLU.
    pub fn differences(&self, other: &Self, tolerance: f64) -> Vec<String> {
        let mut found = Vec::new();
        for (at, (a, b)) in self.launches.iter().zip(&other.launches).enumerate() {
            let what = format!(
                "launch {at}, {} in {:?} blocks of ({})",
                a.kernel,
                a.blocks,
                a.args.join(", ")
            );
            let names = |it: &LaunchTrace| {
                it.written.iter().map(|it| it.buffer.clone()).collect::<Vec<_>>()
            };
            if (&a.kernel, a.blocks) != (&b.kernel, b.blocks) {
                found.push(format!("{what}: the other is {} in {:?}", b.kernel, b.blocks));
                break;
            }
            if names(a) != names(b) {
                found.push(format!("{what} changed {:?} and {:?}", names(a), names(b)));
            }
            let pairs = a.written.iter().zip(&b.written).filter(|(a, b)| a.buffer == b.buffer);
            let apart = pairs.filter_map(|(a, b)| a.difference(b, tolerance));
            found.extend(apart.map(|apart| format!("{what}: {apart}")));
        }
        if self.launches.len() != other.launches.len() {
            found.push(format!("{} and {} launches", self.launches.len(), other.launches.len()));
        }
        found.truncate(10);
        found
    }
}

/// Traces the first step of a training on the clips of one batch.
///
/// # Errors
/// When the device fails.
pub fn trace(device: impl Driver, plan: &fit::Plan, data: &Array) -> Result<Trace, OpError> {
    let name = device.name().to_owned();
    let mut model = OnDevice::new(Traced::new(device), plan, data, SEED)?;
    let (buffers, start) = (model.plan().buffers.clone(), model.plan().data);
    (model.driver().buffers, model.driver().data) = (buffers, start);
    model.restore(&State::start(&plan.network(), SEED))?;
    let order: Vec<u32> = (0..data.rows().min(plan.batch_size) as u32).collect();
    let beta = plan.objective.beta.beta;
    let batches = Batches { epoch: 1, order: &order, beta, steps_before: 0 };
    model.train(&batches, &Detached::with_seed(SEED), &mut |_, _| Ok(()))?;
    Ok(Trace { device: name, launches: std::mem::take(&mut model.driver().launches) })
}

/// A device that reads its memory after each launch.
struct Traced<D> {
    device: D,
    start: Address,
    memory: Vec<u8>,
    buffers: Vec<Buffer>,
    data: Address,
    launches: Vec<LaunchTrace>,
    recording: Option<Vec<Launch>>,
    recordings: Vec<Vec<Launch>>,
}

impl<D: Driver> Traced<D> {
    fn new(device: D) -> Self {
        Self {
            device,
            start: Address::NONE,
            memory: Vec::new(),
            buffers: Vec::new(),
            data: Address::NONE,
            launches: Vec::new(),
            recording: None,
            recordings: Vec::new(),
        }
    }

    fn shown(&self, arg: Arg) -> String {
        match arg {
            Arg::At(Address::NONE) => "none".to_owned(),
            Arg::At(address) if address == self.data => "data".to_owned(),
            Arg::At(address) => {
                let at = address.0.wrapping_sub(self.start.0);
                let before = self.buffers.iter().rfind(|buffer| buffer.start <= at);
                before.map_or_else(
                    || "?".to_owned(),
                    |it| format!("{} + {} bytes", it.name, at - it.start),
                )
            }
            Arg::Int(value) => value.to_string(),
            Arg::Real(value) => value.to_string(),
            Arg::Double(value) => value.to_string(),
        }
    }

    /// # Safety
    /// As for [`Driver::launch`].
    unsafe fn run(&mut self, launch: Launch) -> Result<(), CudaError> {
        let Launch { kernel, blocks, args, .. } = launch.clone();
        let mut now = vec![0; self.memory.len()];
        // SAFETY: the caller vouches for the launch; as many bytes were reserved from the start on.
        unsafe {
            self.device.launch(launch)?;
            self.device.read(self.start, &mut now)?;
        }
        let changed = self.buffers.iter().filter(|it| now[it.range()] != self.memory[it.range()]);
        let written = changed.map(|it| BufferTrace::of(it, &now[it.range()])).collect();
        let args = args.into_iter().map(|arg| self.shown(arg)).collect();
        self.launches.push(LaunchTrace { kernel, blocks, args, written });
        self.memory = now;
        Ok(())
    }
}

impl<D: Driver> Driver for Traced<D> {
    fn name(&self) -> &str {
        self.device.name()
    }

    fn free_bytes(&self) -> Result<u64, CudaError> {
        self.device.free_bytes()
    }

    fn load(&mut self, units: &[Unit]) -> Result<(), CudaError> {
        self.device.load(units)
    }

    /// Reserves memory and fills it with zeros, so that all devices begin with the same bytes.
    fn reserve(&mut self, bytes: u64) -> Result<Address, CudaError> {
        self.start = self.device.reserve(bytes)?;
        self.memory = vec![0; bytes as usize];
        // SAFETY: just reserved.
        unsafe { self.device.write(self.start, &self.memory) }?;
        Ok(self.start)
    }

    fn alloc_shared(&mut self, bytes: u64) -> Result<Arc<dyn Memory>, CudaError> {
        self.device.alloc_shared(bytes)
    }

    fn data_sets(&self) -> Arc<DataSets> {
        self.device.data_sets()
    }

    unsafe fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), CudaError> {
        let at = to.0.wrapping_sub(self.start.0) as usize;
        let range = at..at.saturating_add(bytes.len());
        // The data set lies outside, and no launch changes it.
        if let Some(own) = self.memory.get_mut(range) {
            own.copy_from_slice(bytes);
        }
        // SAFETY: the caller vouches for the place.
        unsafe { self.device.write(to, bytes) }
    }

    unsafe fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), CudaError> {
        // SAFETY: the caller vouches for the place.
        unsafe { self.device.read(from, bytes) }
    }

    unsafe fn launch(&mut self, launch: Launch) -> Result<(), CudaError> {
        match &mut self.recording {
            Some(launches) => {
                launches.push(launch);
                Ok(())
            }
            // SAFETY: the caller vouches for the launch.
            None => unsafe { self.run(launch) },
        }
    }

    fn begin_capture(&mut self) -> Result<(), CudaError> {
        self.recording = Some(Vec::new());
        Ok(())
    }

    fn end_capture(&mut self) -> Result<CapturedGraph, CudaError> {
        self.recordings.push(self.recording.take().expect("BUG: no recording was begun"));
        Ok(CapturedGraph(self.recordings.len() - 1))
    }

    fn launch_graph(&mut self, recording: CapturedGraph) -> Result<(), CudaError> {
        let launches = self.recordings[recording.0].clone();
        // SAFETY: the caller that recorded these launches vouched for them.
        launches.into_iter().try_for_each(|launch| unsafe { self.run(launch) })
    }
}
