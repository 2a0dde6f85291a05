//! The devices on which models run. GPUs and libraries are found by looking at files alone, so that
//! a run of cache hits never touches CUDA.

mod limits;
#[cfg(test)]
mod tests;
pub mod trial;

pub use limits::limits;

use crate::model::{Pipeline, StepError};
use ops::{Determinism, Device, ErrorKind, SharedLibrary, device::Place};
use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The name of the driver's library, up to its version.
const DRIVER: &str = "libcuda.so";
const NVRTC: &str = "libnvrtc.so";
/// Libraries of NVIDIA that the engine's kernels do without.
pub const OTHERS: [(&str, &str); 2] = [("cuBLASLt", "libcublasLt.so"), ("cuDNN", "libcudnn.so")];

/// The GPUs and libraries of a machine.
pub struct Machine {
    /// The device files of the GPUs.
    pub gpus: Vec<PathBuf>,
    /// The folders that may hold libraries, in the order of the search; listed when they are first
    /// needed.
    folders: OnceLock<Vec<PathBuf>>,
}

impl Machine {
    /// Finds the GPUs of this machine.
    pub fn detect() -> Self {
        let names = entries(Path::new("/dev"));
        let is_gpu = |path: &PathBuf| {
            let name = file_name(path);
            let number = name.strip_prefix("nvidia").unwrap_or_default();
            (!number.is_empty() && number.bytes().all(|it| it.is_ascii_digit())) || name == "dxg"
        };
        let gpus: Vec<PathBuf> = names.into_iter().filter(is_gpu).collect();
        Self { gpus, folders: OnceLock::new() }
    }

    /// A GPU of the machines that run the steps, for a process that runs none.
    pub fn of_workers() -> Device {
        let (driver, nvrtc) = (PathBuf::new(), PathBuf::new());
        Device::Cuda(Place { ordinal: 0, driver, nvrtc, cubins: None })
    }

    fn folders(&self) -> &[PathBuf] {
        self.folders.get_or_init(|| folders(&|name| env::var_os(name).map(PathBuf::from)))
    }

    /// The newest file of a library, from the first folder that has one.
    pub fn library(&self, start: &str) -> Option<PathBuf> {
        self.folders().iter().find_map(|folder| {
            let files = entries(folder).into_iter();
            let fits = |path: &PathBuf| file_name(path).starts_with(start) && path.is_file();
            files.filter(fits).max_by_key(|path| (version(path, start), path.clone()))
        })
    }

    /// The file of a library that an op uses where there is one: that of its variable, or the newest one.
    pub fn shared_library(&self, library: &SharedLibrary) -> Option<PathBuf> {
        let named = env::var_os(library.variable).filter(|path| !path.is_empty());
        // The version follows the ending on Linux, and comes before it on a Mac.
        let start = format!("{}{}.", env::consts::DLL_PREFIX, library.name);
        named.map(PathBuf::from).or_else(|| self.library(&start))
    }

    /// The path of the driver's library.
    pub fn driver(&self) -> Option<PathBuf> {
        self.library(DRIVER)
    }

    /// The path of NVIDIA's run-time compiler.
    pub fn nvrtc(&self) -> Option<PathBuf> {
        self.library(NVRTC)
    }

    /// The GPU of this number, with all that it needs.
    ///
    /// # Errors
    /// Returns what is missing, and the advice to the user.
    pub fn cuda(&self, ordinal: usize) -> Result<Device, MissingGpu> {
        if self.gpus.is_empty() {
            return Err(MissingGpu {
                what: "no NVIDIA GPU was found (there is no /dev/nvidia0)".to_owned(),
                help: "use `device: cpu`; in a container, pass the GPU through (`docker run --gpus all`)",
            });
        }
        let Some(driver) = self.driver() else {
            return Err(MissingGpu {
                what: "there is a GPU, but NVIDIA's driver (libcuda.so.1) was not found".to_owned(),
                help: "install the driver, or name its folder in LD_LIBRARY_PATH",
            });
        };
        let nvrtc = self.nvrtc().ok_or_else(|| MissingGpu {
            what: "there is a GPU, but NVRTC, the compiler of its kernels, was not found"
                .to_owned(),
            help: "`pip install nvidia-cuda-nvrtc` in the active Python environment, or set \
                   CUDA_HOME to an installed CUDA toolkit",
        })?;
        let cubins = cubins(|name| env::var_os(name).map(PathBuf::from));
        Ok(Device::Cuda(Place { ordinal, driver, nvrtc, cubins }))
    }
}

/// The folder of compiled kernels, among the caches of the user: not in the store, which may come from somebody else.
fn cubins(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let caches = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let caches = caches.or_else(|| Some(variable("HOME")?.join(".cache")))?;
    Some(caches.join("engine/cubins"))
}

/// The reason why no GPU can be used.
#[derive(Debug)]
pub struct MissingGpu {
    /// The missing part: a sentence without a full stop.
    pub what: String,
    /// The advice to the user.
    pub help: &'static str,
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = all.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The version numbers in a file's name: `libnvrtc.so.13.0` gives 13 and 0; a name without any is
/// oldest.
fn version(path: &Path, start: &str) -> Vec<u32> {
    let rest = file_name(path).strip_prefix(start).unwrap_or_default();
    rest.split('.').filter_map(|part| part.parse().ok()).collect()
}

/// The folders that may hold libraries of CUDA or of Python packages; those that the user chose come first.
fn folders(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut toolkit = |root: &Path| {
        for part in ["lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"] {
            found.push(root.join(part));
        }
    };
    for name in ["CUDA_HOME", "CUDA_PATH"] {
        variable(name).iter().for_each(|root| toolkit(root));
    }
    found.extend(variable("LD_LIBRARY_PATH").iter().flat_map(env::split_paths));
    for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        if let Some(root) = variable(name) {
            found.push(root.join("lib"));
            found.extend(wheels(&root));
        }
    }
    // A Python on the path belongs to an environment, whose `bin` stands beside its `lib`.
    let programs = variable("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>());
    for bin in programs.unwrap_or_default() {
        if bin.join("python3").exists() {
            let real = fs::canonicalize(bin.join("python3")).unwrap_or_default();
            let roots = [Some(bin.as_path()), real.parent()].into_iter().flatten();
            roots.filter_map(Path::parent).for_each(|root| found.extend(wheels(root)));
        }
    }
    found.extend(variable("HOME").iter().flat_map(|home| wheels(&home.join(".local"))));
    found.extend(wheels(Path::new("/usr/local")));
    found.extend(wheels(Path::new("/usr")));
    let installed = entries(Path::new("/usr/local")).into_iter().rev();
    for root in installed.filter(|path| file_name(path).starts_with("cuda")) {
        for part in ["lib64", "lib"] {
            found.push(root.join(part));
        }
    }
    for folder in [
        "/usr/local/nvidia/lib64",
        "/usr/local/nvidia/lib",
        "/usr/lib/wsl/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/lib/x86_64-linux-gnu",
    ] {
        found.push(folder.into());
    }
    for file in entries(Path::new("/etc/ld.so.conf.d")) {
        let text = fs::read_to_string(file).unwrap_or_default();
        found.extend(text.lines().filter(|line| line.starts_with('/')).map(PathBuf::from));
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|folder| folder.is_dir() && seen.insert(folder.clone()));
    found
}

/// The folders of libraries in Python packages below a prefix: those of NVIDIA, and ONNX Runtime.
fn wheels(root: &Path) -> Vec<PathBuf> {
    let pythons = entries(&root.join("lib"));
    let pythons = pythons.iter().filter(|path| file_name(path).starts_with("python3"));
    let sites =
        pythons.flat_map(|python| ["site-packages", "dist-packages"].map(|it| python.join(it)));
    let folders = |site: PathBuf| {
        let of_nvidia = entries(&site.join("nvidia")).into_iter();
        of_nvidia.map(|package| package.join("lib")).chain([site.join("onnxruntime/capi")])
    };
    sites.flat_map(folders).collect()
}

/// Parses a device: `auto`, `cpu`, `cuda`, or `cuda:` and a number.
///
/// # Errors
/// When the text is none of these.
pub fn parse(text: &str) -> Result<DeviceChoice, String> {
    let number =
        |text: &str| text.parse().ok().filter(|_| text.bytes().all(|it| it.is_ascii_digit()));
    match text {
        "auto" => Ok(DeviceChoice::Auto),
        "cpu" => Ok(DeviceChoice::Cpu),
        "cuda" => Ok(DeviceChoice::Cuda(None)),
        _ => text
            .strip_prefix("cuda:")
            .and_then(number)
            .map(|number| DeviceChoice::Cuda(Some(number)))
            .ok_or_else(|| {
                "must be `auto`, `cpu`, `cuda`, or `cuda:1` for the second GPU".to_owned()
            }),
    }
}

/// A device that the user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The choice of the engine.
    Auto,
    /// The processor.
    Cpu,
    /// The GPU of this number, or any free one.
    Cuda(Option<usize>),
}

/// Chooses the device of every step for machines that have GPUs, which need not be this one: `auto` means a GPU.
pub fn place_on_workers(pipeline: &mut Pipeline, other: DeviceChoice) {
    for step in &mut pipeline.steps {
        let own = step.device.as_deref().and_then(|text| parse(text).ok());
        let wanted = own.unwrap_or(other);
        let is_bitwise = step.entry.determinism == Determinism::Bitwise;
        let on_cpu = is_bitwise
            || wanted == DeviceChoice::Cpu
            || (wanted == DeviceChoice::Auto && step.entry.open);
        step.place = if on_cpu { Device::Cpu } else { Machine::of_workers() };
    }
}

/// Chooses the device of every step: its own `device`, else that of the command line. `auto` means
/// a GPU if there is one and `doubts` gives no reason against it.
///
/// # Errors
/// Returns an error for every step that asks for a missing GPU.
pub fn place(
    pipeline: &mut Pipeline,
    machine: &Machine,
    other: DeviceChoice,
    doubts: impl Fn(&Place) -> Option<String>,
) -> Result<(), Vec<StepError>> {
    let mut errors = Vec::new();
    let mut unasked: Option<(Device, String)> = None;
    for (index, step) in pipeline.steps.iter_mut().enumerate() {
        if step.entry.determinism == Determinism::Bitwise {
            continue;
        }
        let own = step.device.as_deref().and_then(|text| parse(text).ok());
        let wanted = own.unwrap_or(other);
        if let DeviceChoice::Cuda(number) = wanted {
            step.needs.gpu = number;
        }
        step.place = match wanted {
            DeviceChoice::Cpu => Device::Cpu,
            // A program chooses its own device.
            DeviceChoice::Auto if step.entry.open => Device::Cpu,
            DeviceChoice::Auto => unasked.get_or_insert_with(|| auto(machine, &doubts)).0.clone(),
            DeviceChoice::Cuda(number) => {
                machine.cuda(number.unwrap_or(0)).unwrap_or_else(|missing| {
                    let message = format!("it asks for a GPU, but {}", missing.what);
                    let error = StepError::new(index, ErrorKind::Input, message);
                    errors.push(error.param("device").help(missing.help));
                    Device::Cpu
                })
            }
        };
    }
    let text = unasked.map(|(_, why)| why);
    pipeline.note = text;
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// The device that `auto` means on this machine, with a note on the reason.
fn auto(machine: &Machine, doubts: impl Fn(&Place) -> Option<String>) -> (Device, String) {
    let why = match machine.cuda(0) {
        Ok(Device::Cuda(place)) => match doubts(&place) {
            None => {
                let note =
                    "device auto: models run on the GPU, which agreed with the CPU in a trial";
                return (Device::Cuda(place), note.to_owned());
            }
            Some(doubt) => format!("there is a GPU, but {doubt}"),
        },
        Err(missing) if !machine.gpus.is_empty() => missing.what,
        _ => "no NVIDIA GPU".to_owned(),
    };
    (Device::Cpu, format!("device auto: {why}; models run on the CPU"))
}
