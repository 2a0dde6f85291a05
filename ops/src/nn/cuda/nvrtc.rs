//! NVIDIA's run-time compiler (NVRTC), opened from a given file.
//!
//! It needs neither a GPU nor a driver, so kernels can be compiled on any machine for any GPU.

use super::cubins::load_or_compile;
use super::driver::CudaError;
use super::source::Unit;
use cache::{Digest, Hasher, file_version::FileVersion};
use libloading::Library;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The option that names the language.
const STANDARD: &str = "--std=c++17";

type Program = *mut c_void;
type Create = unsafe extern "C" fn(
    *mut Program,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> c_int;
type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Bytes = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;
type Words = unsafe extern "C" fn(c_int) -> *const c_char;
type Version = unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int;
type Count = unsafe extern "C" fn(*mut c_int) -> c_int;

/// The compiler.
pub struct Nvrtc {
    /// The file of the library.
    pub path: PathBuf,
    library: Library,
    /// Libraries that NVRTC opens by name while it compiles; it finds them because they are already
    /// open.
    _builtins: Vec<Library>,
}

impl Nvrtc {
    /// Opens the compiler.
    ///
    /// # Errors
    /// When the file does not exist or is not NVRTC.
    pub fn open(path: &Path) -> Result<Self, CudaError> {
        let call = || format!("dlopen {}", path.display());
        // SAFETY: the file is a shared library that was installed as NVRTC; opening it runs its
        // initialisers, as in every program linked to it.
        let library = unsafe { Library::new(path) }
            .map_err(|error| CudaError::new(call(), error.to_string()))?;
        let _builtins = builtins(path);
        let nvrtc = Self { path: path.to_owned(), library, _builtins };
        nvrtc.version().map(|_| nvrtc)
    }

    /// Looks up a function of the library.
    ///
    /// # Safety
    /// `F` must be the type of the function of that name.
    unsafe fn function<F: Copy>(&self, name: &str) -> Result<F, CudaError> {
        // SAFETY: the caller vouches for the type; the library lives as long as `self`.
        let symbol = unsafe { self.library.get::<F>(name.as_bytes()) };
        symbol.map(|symbol| *symbol).map_err(|error| CudaError::new(name, error.to_string()))
    }

    fn check(&self, call: &str, code: c_int) -> Result<(), CudaError> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the signature of `nvrtcGetErrorString`, which gives a text that is never freed.
        let words = unsafe {
            let words = self.function::<Words>("nvrtcGetErrorString")?;
            CStr::from_ptr(words(code))
        };
        Err(CudaError::new(call, words.to_string_lossy()))
    }

    /// The version, such as (13, 0).
    ///
    /// # Errors
    /// When the library lacks the function.
    pub fn version(&self) -> Result<(i32, i32), CudaError> {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: the signature of `nvrtcVersion`, which writes two integers.
        let code =
            unsafe { self.function::<Version>("nvrtcVersion")?(&raw mut major, &raw mut minor) };
        self.check("nvrtcVersion", code).map(|()| (major, minor))
    }

    /// The compute capabilities it compiles for, such as 90 for 9.0.
    ///
    /// # Errors
    /// When the library lacks the function.
    pub fn architectures(&self) -> Result<Vec<i32>, CudaError> {
        let mut count = 0;
        // SAFETY: the signatures of the two functions; the second writes as many numbers as the
        // first says.
        unsafe {
            let code = self.function::<Count>("nvrtcGetNumSupportedArchs")?(&raw mut count);
            self.check("nvrtcGetNumSupportedArchs", code)?;
            let mut all = vec![0; count.max(0) as usize];
            let code = self.function::<Count>("nvrtcGetSupportedArchs")?(all.as_mut_ptr());
            self.check("nvrtcGetSupportedArchs", code).map(|()| all)
        }
    }

    /// Does the same as [`Nvrtc::compile`], but compiles each unit only once in a process, since
    /// the variants of a sweep have the same kernels, and takes what an earlier process kept in `folder`.
    ///
    /// # Errors
    /// When the unit does not compile.
    pub fn compile_once(
        &self,
        unit: &Unit,
        architecture: i32,
        folder: Option<&Path>,
    ) -> Result<Arc<[u8]>, CudaError> {
        type Cubin = OnceLock<Result<Arc<[u8]>, CudaError>>;
        type Made = HashMap<(PathBuf, i32, String), Arc<Cubin>>;
        static MADE: Mutex<Option<Made>> = Mutex::new(None);
        let what = (self.path.clone(), architecture, unit.text());
        let place = {
            let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(made.get_or_insert_default().entry(what).or_default())
        };
        let kept = || Some(folder?.join(format!("{}.cubin", self.name_of(unit, architecture)?)));
        let make = || self.compile(unit, architecture);
        place.get_or_init(|| load_or_compile(kept().as_deref(), make).map(Arc::from)).clone()
    }

    /// The version of the library's file, if it can be asked for.
    pub fn file_version(&self) -> Option<String> {
        Some(FileVersion::of(&self.path.metadata().ok()?).to_string())
    }

    /// The digest of all that a cubin depends on; none if the compiler is unknown.
    fn name_of(&self, unit: &Unit, architecture: i32) -> Option<Digest> {
        let library = self.file_version()?;
        let mut hasher = Hasher::new("cubin");
        hasher.text(&unit.text()).number(u64::from(architecture.unsigned_abs()));
        hasher.text(STANDARD).text(&library);
        Some(hasher.finish())
    }

    /// Compiles a unit to a cubin for a compute capability.
    ///
    /// # Errors
    /// When the unit does not compile; the compiler's first lines are in the message.
    pub fn compile(&self, unit: &Unit, architecture: i32) -> Result<Vec<u8>, CudaError> {
        // One program after the other: processes in which many threads compiled at once have ended
        // with an invalid access in a lock of libc. The cause is not known.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let text = CString::new(unit.text()).expect("kernels hold no zero byte");
        let name = CString::new(format!("{}.cu", unit.name)).expect("names hold no zero byte");
        let options = [format!("--gpu-architecture=sm_{architecture}"), STANDARD.to_owned()]
            .map(|option| CString::new(option).expect("options hold no zero byte"));
        let options = options.each_ref().map(|option| option.as_ptr());
        let call = format!("nvrtcCompileProgram {}", unit.name);
        let mut program: Program = std::ptr::null_mut();
        // SAFETY: the signatures are NVRTC's; texts end with a zero byte and outlive the calls;
        // buffers have the sizes that the calls before them gave.
        unsafe {
            let none = std::ptr::null();
            let create = self.function::<Create>("nvrtcCreateProgram")?;
            let code = create(&raw mut program, text.as_ptr(), name.as_ptr(), 0, none, none);
            self.check("nvrtcCreateProgram", code)?;
            let compile = self.function::<Compile>("nvrtcCompileProgram")?;
            let code = compile(program, options.len() as c_int, options.as_ptr());
            let result = match self.check(&call, code) {
                Ok(()) => self.fetch(program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN"),
                Err(error) => {
                    let log = self.fetch(program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog");
                    let log = String::from_utf8_lossy(&log.unwrap_or_default()).into_owned();
                    let log: Vec<&str> = log.trim_end_matches('\0').lines().take(40).collect();
                    Err(CudaError {
                        detail: format!("{}\n{}", error.detail, log.join("\n")),
                        ..error
                    })
                }
            };
            let destroy = self.function::<Destroy>("nvrtcDestroyProgram")?;
            self.check("nvrtcDestroyProgram", destroy(&raw mut program))?;
            result
        }
    }

    /// Reads a result of the compiler.
    ///
    /// # Safety
    /// `program` must be alive, and the names must be of a pair of functions for size and bytes.
    unsafe fn fetch(
        &self,
        program: Program,
        size: &str,
        bytes: &str,
    ) -> Result<Vec<u8>, CudaError> {
        let mut len = 0;
        // SAFETY: the caller vouches for program and names; the buffer is as long as asked for.
        unsafe {
            self.check(size, self.function::<Size>(size)?(program, &raw mut len))?;
            let mut all = vec![0_u8; len];
            self.check(bytes, self.function::<Bytes>(bytes)?(program, all.as_mut_ptr().cast()))?;
            Ok(all)
        }
    }
}

/// Opens the libraries beside NVRTC that it needs by their path, since the loader would search only
/// the system's folders.
fn builtins(nvrtc: &Path) -> Vec<Library> {
    let files = nvrtc.parent().and_then(|folder| folder.read_dir().ok()).into_iter().flatten();
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("libnvrtc-builtins.so")
    };
    let paths = files.filter_map(|file| file.ok().map(|file| file.path())).filter(named);
    // SAFETY: as for NVRTC itself, to which they belong.
    paths.filter_map(|path| unsafe { Library::new(path) }.ok()).collect()
}
