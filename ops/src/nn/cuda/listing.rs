//! The CUDA driver, opened at run time, its errors, and the GPUs that it lists.
//!
//! cudarc loads the driver on first use and panics if there is none, so nothing of it is called
//! before [`sys::is_culib_present`] returns true.

use super::driver::CudaError;
use cudarc::driver::{DriverError, result, sys};
use libloading::Library;
use std::path::Path;
use std::sync::OnceLock;

use sys::CUdevice_attribute_enum as Attribute;

/// The properties of a GPU according to the driver.
#[derive(Clone, Debug)]
pub struct GpuInfo {
    /// The name.
    pub name: String,
    /// The compute capability, such as (9, 0).
    pub capability: (i32, i32),
    /// The memory in bytes.
    pub memory: u64,
    /// The number of streaming multiprocessors.
    pub processors: i32,
    /// The version of CUDA that the driver supports, such as (13, 0).
    pub cuda: (i32, i32),
}

impl GpuInfo {
    /// The compute capability as one number: 90 for (9, 0).
    pub fn capability_number(&self) -> i32 {
        self.capability.0 * 10 + self.capability.1
    }
}

pub(super) fn driver_error(call: &str, error: &DriverError) -> CudaError {
    let name = error.error_name().map(|name| name.to_string_lossy().into_owned());
    let words = error.error_string().map(|words| words.to_string_lossy().into_owned());
    let detail = format!(
        "{}: {}",
        name.unwrap_or_else(|_| format!("{:?}", error.0)),
        words.unwrap_or_else(|_| "no words for it".to_owned())
    );
    let out_of_memory = error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY;
    CudaError { call: call.to_owned(), detail, out_of_memory }
}

/// A context takes some hundred megabytes, so this fails before the free memory can be asked for.
pub(super) fn taken(error: CudaError) -> CudaError {
    let detail = match error.out_of_memory {
        true => "other programs hold all memory of the GPU; `nvidia-smi` lists them".to_owned(),
        false => error.detail,
    };
    CudaError { detail, ..error }
}

/// Loads the driver from this file.
pub(super) fn init(driver: &Path) -> Result<(), CudaError> {
    static OPEN: OnceLock<Option<Library>> = OnceLock::new();
    // cudarc asks the loader for the library by name only, which finds one that is already open.
    // SAFETY: opening the driver's library runs its initialisers, as any CUDA program does.
    let present = unsafe {
        OPEN.get_or_init(|| Library::new(driver).ok());
        sys::is_culib_present()
    };
    if !present {
        return Err(CudaError::new(
            format!("dlopen {}", driver.display()),
            "NVIDIA's driver does not open, or is not visible in this container",
        ));
    }
    result::init().map_err(|error| driver_error("cuInit", &error))
}

pub(super) fn info(ordinal: i32) -> Result<(sys::CUdevice, GpuInfo), CudaError> {
    let device = result::device::get(ordinal)
        .map_err(|error| driver_error(&format!("cuDeviceGet {ordinal}"), &error))?;
    let get = |attribute| {
        // SAFETY: the device was just given by the driver.
        unsafe { result::device::get_attribute(device, attribute) }
            .map_err(|error| driver_error("cuDeviceGetAttribute", &error))
    };
    let mut version = 0;
    // SAFETY: the call writes one integer.
    unsafe { sys::cuDriverGetVersion(&raw mut version) }
        .result()
        .map_err(|error| driver_error("cuDriverGetVersion", &error))?;
    // SAFETY: the device was just given by the driver.
    let memory = unsafe { result::device::total_mem(device) }
        .map_err(|error| driver_error("cuDeviceTotalMem", &error))?;
    let info = GpuInfo {
        name: result::device::get_name(device)
            .map_err(|error| driver_error("cuDeviceGetName", &error))?,
        capability: (
            get(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            get(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        memory: memory as u64,
        processors: get(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        cuda: (version / 1000, version % 1000 / 10),
    };
    Ok((device, info))
}

/// The GPUs that the driver in this file lists.
///
/// # Errors
/// The reason why it lists none.
pub fn gpus(driver: &Path) -> Result<Vec<GpuInfo>, String> {
    let all = || -> Result<Vec<GpuInfo>, CudaError> {
        init(driver)?;
        let count = result::device::get_count()
            .map_err(|error| driver_error("cuDeviceGetCount", &error))?;
        (0..count).map(|ordinal| info(ordinal).map(|(_, info)| info)).collect()
    };
    all().map_err(|error| error.to_string())
}
