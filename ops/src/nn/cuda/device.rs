//! A GPU that trains one model, through the CUDA driver.

use super::data_set::DataSets;
use super::driver::{
    Address, CapturedGraph, CudaError, Driver, Event, Launch, Memory, TuningContext,
};
use super::listing::{GpuInfo, driver_error, info, init, taken};
use super::nvrtc::Nvrtc;
use super::shared_allocation;
use super::source::Unit;
use super::{Place, Precision};
use cudarc::driver::{result, sys};
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::path::PathBuf;
use std::sync::Arc;

mod timing;

/// A GPU with a stream, and one for what runs beside it. Its resources are freed when it is dropped.
pub struct Gpu {
    /// The properties of the GPU.
    pub info: GpuInfo,
    /// True if the tiles of products are chosen by their times.
    pub tunes: bool,
    device: sys::CUdevice,
    stream: sys::CUstream,
    side_stream: sys::CUstream,
    is_on_side_stream: bool,
    events: Vec<sys::CUevent>,
    nvrtc: Nvrtc,
    cubins: Option<PathBuf>,
    architecture: i32,
    modules: Vec<sys::CUmodule>,
    kernels: HashMap<String, sys::CUfunction>,
    memory: Vec<sys::CUdeviceptr>,
    graphs: Vec<sys::CUgraphExec>,
}

impl Gpu {
    /// Opens a GPU for products in this precision.
    ///
    /// # Errors
    /// When there is no such GPU, when it is too old, or when the driver fails.
    pub fn open(place: &Place, precision: Precision) -> Result<Self, CudaError> {
        init(&place.driver)?;
        let (device, info) = info(i32::try_from(place.ordinal).unwrap_or(i32::MAX))?;
        let nvrtc = Nvrtc::open(&place.nvrtc)?;
        let (capability, least) = (info.capability_number(), precision.least_capability());
        if capability < least {
            return Err(CudaError::new(
                "cuDeviceGetAttribute",
                format!(
                    "`{}` has compute capability {capability}; `precision: {precision:?}` needs {least}",
                    info.name
                )
                .to_lowercase(),
            ));
        }
        // A cubin also runs on later chips of the same family.
        let known = nvrtc.architectures()?;
        let family = known.iter().copied().filter(|it| it / 10 == info.capability.0);
        let architecture = family.filter(|it| *it <= capability).max().ok_or_else(|| {
            let path = nvrtc.path.display();
            CudaError::new(
                "nvrtcGetSupportedArchs",
                format!("`{path}` does not compile for compute capability {capability}"),
            )
        })?;
        // SAFETY: the device was given by the driver; its primary context stays until `drop`.
        unsafe {
            let context = result::primary_ctx::retain(device)
                .map_err(|error| taken(driver_error("cuDevicePrimaryCtxRetain", &error)))?;
            result::ctx::set_current(context)
                .map_err(|error| driver_error("cuCtxSetCurrent", &error))?;
        }
        let open = || {
            result::stream::create(result::stream::StreamKind::NonBlocking)
                .map_err(|error| driver_error("cuStreamCreate", &error))
        };
        let (stream, side_stream) = (open()?, open()?);
        Ok(Self {
            info,
            tunes: false,
            device,
            stream,
            side_stream,
            is_on_side_stream: false,
            events: Vec::new(),
            nvrtc,
            cubins: place.cubins.clone(),
            architecture,
            modules: Vec::new(),
            kernels: HashMap::new(),
            memory: Vec::new(),
            graphs: Vec::new(),
        })
    }

    fn wait(&self) -> Result<(), CudaError> {
        // SAFETY: the stream lives as long as `self`.
        unsafe { result::stream::synchronize(self.stream) }
            .map_err(|error| driver_error("cuStreamSynchronize", &error))
    }

    /// Records an event after what was launched on a stream so far.
    fn record_event(&mut self, stream: sys::CUstream) -> Result<Event, CudaError> {
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING)
            .map_err(|error| driver_error("cuEventCreate", &error))?;
        self.events.push(event);
        // SAFETY: event and stream live as long as `self`.
        unsafe { result::event::record(event, stream) }
            .map_err(|error| driver_error("cuEventRecord", &error))?;
        Ok(Event(self.events.len() - 1))
    }

    /// Lets a stream wait for an event.
    fn wait_event(&self, stream: sys::CUstream, event: Event) -> Result<(), CudaError> {
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: event and stream live as long as `self`.
        unsafe { result::stream::wait_event(stream, self.events[event.0], flags) }
            .map_err(|error| driver_error("cuStreamWaitEvent", &error))
    }
}

impl Driver for Gpu {
    fn name(&self) -> &str {
        &self.info.name
    }

    fn free_bytes(&self) -> Result<u64, CudaError> {
        let (free, _) =
            result::mem_get_info().map_err(|error| driver_error("cuMemGetInfo", &error))?;
        Ok(free as u64)
    }

    fn load(&mut self, units: &[Unit]) -> Result<(), CudaError> {
        let (nvrtc, architecture) = (&self.nvrtc, self.architecture);
        let kept = self.cubins.as_deref();
        for unit in units {
            let cubin = nvrtc.compile_once(unit, architecture, kept)?;
            // SAFETY: the bytes are a whole cubin and outlive the call; names end with a zero.
            unsafe {
                let module = result::module::load_data(cubin.as_ptr().cast()).map_err(|error| {
                    driver_error(&format!("cuModuleLoadData {}", unit.name), &error)
                })?;
                self.modules.push(module);
                for name in &unit.kernels {
                    let text = CString::new(name.as_str()).expect("names hold no zero byte");
                    let function = result::module::get_function(module, text).map_err(|error| {
                        driver_error(&format!("cuModuleGetFunction {name}"), &error)
                    })?;
                    self.kernels.insert(name.clone(), function);
                }
            }
        }
        Ok(())
    }

    fn reserve(&mut self, bytes: u64) -> Result<Address, CudaError> {
        // SAFETY: the memory is not read before it is written.
        let at = unsafe { result::malloc_sync(bytes as usize) }
            .map_err(|error| driver_error(&format!("cuMemAlloc of {bytes} bytes"), &error))?;
        self.memory.push(at);
        Ok(Address(at))
    }

    fn alloc_shared(&mut self, bytes: u64) -> Result<Arc<dyn Memory>, CudaError> {
        shared_allocation::reserve(self.device, bytes)
    }

    fn data_sets(&self) -> Arc<DataSets> {
        shared_allocation::data_sets(self.device)
    }

    unsafe fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), CudaError> {
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: the trainer's layout keeps the bytes within reserved memory; from pageable
        // memory the call returns when the bytes have been read.
        unsafe { result::memcpy_htod_async(to.0, bytes, self.stream) }
            .map_err(|error| driver_error("cuMemcpyHtoDAsync", &error))
    }

    unsafe fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), CudaError> {
        if bytes.is_empty() {
            return self.wait();
        }
        // SAFETY: the trainer's layout keeps the bytes within reserved memory; they are not read
        // before the stream is synchronised.
        unsafe { result::memcpy_dtoh_async(bytes, from.0, self.stream) }
            .map_err(|error| driver_error("cuMemcpyDtoHAsync", &error))?;
        self.wait()
    }

    unsafe fn launch(&mut self, launch: Launch) -> Result<(), CudaError> {
        let name = &launch.kernel;
        let function = *self.kernels.get(name).expect("BUG: a kernel that no unit has");
        let mut bits: Vec<u64> = launch.args.iter().map(|arg| arg.bits()).collect();
        let mut args: Vec<*mut c_void> =
            bits.iter_mut().map(|bits| std::ptr::from_mut(bits).cast()).collect();
        let [x, y, z] = launch.blocks;
        let (blocks, threads) = ((x, y, z), (launch.threads, 1, 1));
        let stream = if self.is_on_side_stream { self.side_stream } else { self.stream };
        // SAFETY: the arguments fit the kernel's signature, which the tests check with the same
        // launches of the same kernels; the driver copies them during the call.
        unsafe { result::launch_kernel(function, blocks, threads, 0, stream, &mut args) }
            .map_err(|error| driver_error(&format!("cuLaunchKernel {name}"), &error))
    }

    fn begin_side_stream(&mut self) -> Result<(), CudaError> {
        let event = self.record_event(self.stream)?;
        self.is_on_side_stream = true;
        self.wait_event(self.side_stream, event)
    }

    fn end_side_stream(&mut self) -> Result<Event, CudaError> {
        self.is_on_side_stream = false;
        self.record_event(self.side_stream)
    }

    fn wait_for(&mut self, event: Event) -> Result<(), CudaError> {
        self.wait_event(self.stream, event)
    }

    fn begin_capture(&mut self) -> Result<(), CudaError> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream lives and is not the default one.
        unsafe { result::stream::begin_capture(self.stream, mode) }
            .map_err(|error| driver_error("cuStreamBeginCapture", &error))
    }

    fn end_capture(&mut self) -> Result<CapturedGraph, CudaError> {
        // SAFETY: the stream lives; the graph is destroyed once it has an executable form.
        unsafe {
            let graph = result::stream::end_capture(self.stream)
                .map_err(|error| driver_error("cuStreamEndCapture", &error))?;
            let flags = sys::CUgraphInstantiate_flags_enum(0);
            let made = result::graph::instantiate(graph, flags)
                .map_err(|error| driver_error("cuGraphInstantiate", &error));
            let destroyed = result::graph::destroy(graph);
            self.graphs.push(made?);
            destroyed.map_err(|error| driver_error("cuGraphDestroy", &error))?;
        }
        Ok(CapturedGraph(self.graphs.len() - 1))
    }

    fn launch_graph(&mut self, recording: CapturedGraph) -> Result<(), CudaError> {
        // SAFETY: graph and stream live as long as `self`.
        unsafe { result::graph::launch(self.graphs[recording.0], self.stream) }
            .map_err(|error| driver_error("cuGraphLaunch", &error))
    }

    fn tuning_context(&self) -> Option<TuningContext> {
        self.own_tuning_context()
    }

    unsafe fn time(
        &mut self,
        launch: &Launch,
        times: usize,
    ) -> Result<Option<Vec<f64>>, CudaError> {
        // SAFETY: the caller vouches for the launch.
        unsafe { self.seconds(launch, times) }.map(Some)
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // Errors are ignored, since a lost device has already failed and frees nothing.
        // SAFETY: all resources were made by `self` and are freed once, after the work that uses
        // them.
        unsafe {
            let _ = result::stream::synchronize(self.stream);
            let _ = result::stream::synchronize(self.side_stream);
            self.events.drain(..).for_each(|event| {
                let _ = result::event::destroy(event);
            });
            self.graphs.drain(..).for_each(|graph| {
                let _ = result::graph::exec_destroy(graph);
            });
            self.modules.drain(..).for_each(|module| {
                let _ = result::module::unload(module);
            });
            self.memory.drain(..).for_each(|at| {
                let _ = result::free_sync(at);
            });
            let _ = result::stream::destroy(self.stream);
            let _ = result::stream::destroy(self.side_stream);
            let _ = result::primary_ctx::release(self.device);
        }
    }
}
