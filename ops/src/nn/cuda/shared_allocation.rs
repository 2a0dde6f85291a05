//! Memory of a GPU that several models read, and which of them it holds.

use super::data_set::DataSets;
use super::driver::{Address, CudaError, Memory};
use super::listing::driver_error;
use cudarc::driver::{result, sys};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The data sets on a GPU, of all models of this process.
pub fn data_sets(device: sys::CUdevice) -> Arc<DataSets> {
    // Models are opened on threads that know nothing of each other.
    static ALL: Mutex<BTreeMap<sys::CUdevice, Arc<DataSets>>> = Mutex::new(BTreeMap::new());
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(all.entry(device).or_default())
}

/// Reserves memory of a GPU of the driver, which must be loaded.
///
/// # Errors
/// When there is not enough memory, or when the driver fails.
pub fn reserve(device: sys::CUdevice, bytes: u64) -> Result<Arc<dyn Memory>, CudaError> {
    let context = Context::of(device)?;
    // SAFETY: the memory is not read before it is written.
    let start = context.within(|| unsafe { result::malloc_sync(bytes as usize) });
    let start =
        start.map_err(|error| driver_error(&format!("cuMemAlloc of {bytes} bytes"), &error))?;
    Ok(Arc::new(Piece { start, context }))
}

/// The context of all models on a GPU, which stays until this is dropped.
struct Context {
    device: sys::CUdevice,
    context: sys::CUcontext,
}

// SAFETY: the driver lets any thread make a context its current one, and counts who retains it.
unsafe impl Send for Context {}
// SAFETY: the same.
unsafe impl Sync for Context {}

impl Context {
    fn of(device: sys::CUdevice) -> Result<Self, CudaError> {
        // SAFETY: the driver gave the device to whoever opened it.
        let context = unsafe { result::primary_ctx::retain(device) }
            .map_err(|error| driver_error("cuDevicePrimaryCtxRetain", &error))?;
        Ok(Self { device, context })
    }

    /// Does something with this context as the current one, and leaves the thread with the one that it had. Errors of
    /// these calls are ignored: what is done reports them too.
    fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        // SAFETY: the context is retained; what is pushed is popped.
        unsafe {
            let is_pushed = sys::cuCtxPushCurrent_v2(self.context).result().is_ok();
            let made = work();
            if is_pushed {
                let _ = sys::cuCtxPopCurrent_v2(&mut std::ptr::null_mut());
            }
            made
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was retained once.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// A piece of a GPU's memory.
struct Piece {
    start: sys::CUdeviceptr,
    /// Dropped last: without its context the memory is gone.
    context: Context,
}

impl Memory for Piece {
    fn start(&self) -> Address {
        Address(self.start)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // Errors are ignored, since a lost device has already failed and frees nothing.
        // SAFETY: it was reserved once, and who drops it last has waited for its launches.
        let _ = self.context.within(|| unsafe { result::free_sync(self.start) });
    }
}
