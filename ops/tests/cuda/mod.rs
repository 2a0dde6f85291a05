//! A device on the CPU: the same kernels, compiled as C++, run block by block.
//!
//! Memory starts as NaN and has a margin that nobody may touch, so that what is read before it is
//! written, or written beyond its place, is seen.

mod memory;

use libloading::Library;
use memory::Piece;
pub use memory::{EmulatedGpu, Upload};
use ops::nn::cuda::data_set::DataSets;
use ops::nn::cuda::driver::{
    Address, Arg, CapturedGraph, CudaError, Driver, Event, Launch, Memory, TuningContext,
};
use ops::nn::cuda::source::Unit;
use std::collections::{BTreeMap, HashMap};
use std::ffi::c_void;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock};

type Count = unsafe extern "C" fn(bool, *mut [Accesses; 2]);
type Run = unsafe extern "C" fn(u32, u32, u32, u32, bool, *mut *mut c_void);

const SHIM: &str = include_str!("emulator.hpp");
const INSTRUCTIONS: &str = include_str!("instructions.hpp");
/// Bytes after each piece of memory, and what they hold.
const MARGIN: usize = 4096;
const UNTOUCHED: u64 = 0x7ff8_dead_7fc0_beef;

/// Accesses of warps to shared memory.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Accesses {
    /// How many there are.
    pub count: u64,
    /// The passes that they take, each of which gets one word from each bank.
    pub passes: u64,
    /// The passes that as many would take without conflicts of banks.
    pub least: u64,
}

/// The C++ compiler, if there is one.
pub fn compiler() -> Option<&'static str> {
    let works = |name: &&&str| {
        Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success())
    };
    ["c++", "g++", "clang++"].iter().find(works).copied()
}

/// Says past the test runner, which would keep it back, that something was not checked.
pub fn say_skipped(why: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let words = format!("\n*** SKIPPED, NOTHING CHECKED: {name}: {why} ***\n");
    std::io::stderr().write_all(words.as_bytes()).unwrap();
}

/// The seconds that a launch takes, by whoever says so; none if nobody does.
pub type Clock = Arc<dyn Fn(&Launch) -> Result<Option<f64>, CudaError> + Send + Sync>;

/// The emulated device.
pub struct Emulator {
    pub kernels: HashMap<String, (usize, Run)>,
    pub libraries: Vec<Library>,
    pub folder: tempfile::TempDir,
    pub memory: Vec<Piece>,
    /// The GPU, which it has to itself if nobody else is given the same.
    pub gpu: Arc<EmulatedGpu>,
    pub upload: Upload,
    /// Copies to the GPU that are not there yet.
    pub late_copies: Vec<(Address, Vec<u8>)>,
    /// Where it waits for others before it looks for a data set.
    pub gate: Option<Arc<Barrier>>,
    pub recording: Option<Vec<Launch>>,
    pub recordings: Vec<Vec<Launch>>,
    /// True if threads and blocks run from the last to the first.
    pub backwards: bool,
    /// True if launches on the side stream run as late as they may, and not at once.
    pub late: bool,
    /// The launches that have not run yet, each with the event that it ends before.
    pub waiting: Vec<(usize, Launch)>,
    /// True if launches go to the side stream now.
    pub is_on_side_stream: bool,
    pub events: usize,
    /// The launch after which one number in the last buffer of its arguments is not what the kernel wrote.
    pub falsifies: Option<usize>,
    /// Launches after which the device is lost.
    pub breaks_after: Option<usize>,
    /// Launches so far.
    pub launches: usize,
    /// Copies to the host and to the device.
    pub reads: usize,
    pub writes: usize,
    /// A counter of launches for somebody else.
    pub counted: Option<Arc<AtomicUsize>>,
    /// Bytes it has.
    pub size: u64,
    /// Where it times launches, and the clock that does.
    pub tuning: Option<(TuningContext, Clock)>,
}

impl Emulator {
    pub fn new() -> Self {
        Self {
            kernels: HashMap::new(),
            libraries: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
            memory: Vec::new(),
            gpu: Arc::default(),
            upload: Upload::Prompt,
            late_copies: Vec::new(),
            gate: None,
            recording: None,
            recordings: Vec::new(),
            backwards: false,
            late: false,
            waiting: Vec::new(),
            is_on_side_stream: false,
            events: 0,
            falsifies: None,
            breaks_after: None,
            launches: 0,
            reads: 0,
            writes: 0,
            counted: None,
            size: 1 << 32,
            tuning: None,
        }
    }

    /// Runs a launch, and counts how it writes and reads shared memory.
    #[allow(dead_code, reason = "each test takes what it needs")]
    pub fn count(&mut self, launch: &Launch) -> [Accesses; 2] {
        let library = &self.libraries[self.kernels[&launch.kernel].0];
        // SAFETY: each library has the function, with this signature.
        let count = unsafe { *library.get::<Count>(b"emulate_count").unwrap() };
        let mut counted = [Accesses::default(); 2];
        // SAFETY: it writes the two that it is given.
        unsafe { count(true, &raw mut counted) };
        self.run(launch).unwrap();
        // SAFETY: as before.
        unsafe { count(false, &raw mut counted) };
        counted
    }

    fn run(&mut self, launch: &Launch) -> Result<(), CudaError> {
        self.finish_copies();
        self.launches += 1;
        if let Some(counted) = &self.counted {
            counted.store(self.launches, Ordering::Relaxed);
        }
        if self.breaks_after.is_some_and(|most| self.launches > most) {
            return Err(CudaError::new(
                format!("cuLaunchKernel {}", launch.kernel),
                "CUDA_ERROR_UNKNOWN: the device is lost",
            ));
        }
        let (_, run) = self.kernels.get(&launch.kernel).expect("a loaded kernel");
        let mut bits: Vec<u64> = launch.args.iter().map(|arg| arg.bits()).collect();
        let mut args: Vec<*mut c_void> =
            bits.iter_mut().map(|bits| std::ptr::from_mut(bits).cast()).collect();
        let [x, y, z] = launch.blocks;
        assert!(y <= 65_535 && z <= 65_535, "a grid that no GPU takes: {launch:?}");
        // SAFETY: the kernel was compiled with this signature; its arguments are those that the
        // trainer gives to a GPU, and checked by the margins below.
        unsafe { run(x, y, z, launch.threads, self.backwards, args.as_mut_ptr()) };
        if self.falsifies == Some(self.launches) {
            let mut places = launch.args.iter().filter_map(|arg| match arg {
                Arg::At(at) if *at != Address::NONE => Some(*at),
                _ => None,
            });
            let place = places.next_back().expect("a kernel writes somewhere").plus(4 * 5);
            // SAFETY: buffers hold more numbers than six.
            unsafe { self.bytes(place, 4) }.copy_from_slice(&7.5_f32.to_ne_bytes());
        }
        let is_intact = self.memory.iter().all(Piece::is_intact) && self.gpu.is_intact();
        assert!(is_intact, "{} wrote beyond a piece of memory", launch.kernel);
        Ok(())
    }

    fn piece(&self, bytes: u64, is_shared: bool) -> Result<Piece, CudaError> {
        let piece = Piece::reserve(&self.gpu, bytes as usize, self.size as usize, is_shared);
        let error = CudaError::new("cuMemAlloc", "CUDA_ERROR_OUT_OF_MEMORY: out of memory");
        piece.ok_or(CudaError { out_of_memory: true, ..error })
    }

    fn write_shared(&mut self, to: Address, bytes: &[u8]) -> Result<(), CudaError> {
        self.gpu.uploaded.fetch_add(bytes.len(), Ordering::SeqCst);
        let (upload, half) = (self.upload, bytes.len() / 2);
        if self.gate.is_some() {
            // Long enough for whoever does not wait for this upload to begin another.
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        // SAFETY: nobody reads what is not uploaded yet; the trainer is checked for it.
        let place = unsafe { self.bytes(to, bytes.len()) };
        match upload {
            Upload::Prompt => place.copy_from_slice(bytes),
            Upload::Late => self.late_copies.push((to, bytes.to_vec())),
            Upload::Fails => {
                place[..half].copy_from_slice(&bytes[..half]);
                return Err(CudaError::new("cuMemcpyHtoDAsync", "CUDA_ERROR_UNKNOWN: no luck"));
            }
            Upload::Panics => {
                place[..half].copy_from_slice(&bytes[..half]);
                panic!("an upload that panics");
            }
        }
        Ok(())
    }

    /// Waits for copies to the GPU, as whatever follows them on a stream does.
    fn finish_copies(&mut self) {
        for (to, bytes) in std::mem::take(&mut self.late_copies) {
            // SAFETY: checked inside.
            unsafe { self.bytes(to, bytes.len()) }.copy_from_slice(&bytes);
        }
    }

    /// # Safety
    /// Nobody else may read or write the bytes meanwhile.
    unsafe fn bytes(&mut self, at: Address, len: usize) -> &mut [u8] {
        let is_own = self.memory.iter().any(|piece| piece.holds(at, len));
        assert!(is_own || self.gpu.shares(at, len), "bytes outside the memory of the device");
        // SAFETY: just checked, and the memory lives as long as `self`.
        unsafe { std::slice::from_raw_parts_mut(at.0 as *mut u8, len) }
    }
}

/// The library of a unit in a folder: compiled once, and copied, since each device needs its own
/// shared memory.
fn build(compiler: &str, unit: &Unit, folder: &Path) -> PathBuf {
    type Made = BTreeMap<String, Arc<OnceLock<Vec<u8>>>>;
    static MADE: Mutex<Made> = Mutex::new(Made::new());
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let mut text = unit.text_with(SHIM, INSTRUCTIONS);
    for name in &unit.kernels {
        text.push_str(&format!(
            "extern \"C\" void emulate_{name}(unsigned x, unsigned y, unsigned z, unsigned threads, \
             bool backwards, void** args) {{ emulator::launch({name}, x, y, z, threads, backwards, args); }}\n"
        ));
    }
    let path = folder.join(format!("{}.so", COUNT.fetch_add(1, Ordering::Relaxed)));
    let made = Arc::clone(MADE.lock().unwrap().entry(text.clone()).or_default());
    let library = made.get_or_init(|| {
        let (source, library) = (path.with_extension("cpp"), path.with_extension("once"));
        std::fs::write(&source, text).unwrap();
        // Some kernels have names that the C library has too, and what is static in a template
        // would be shared by all libraries of the process.
        let own = ["-Wl,-Bsymbolic", "-fno-gnu-unique"];
        let flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-ffp-contract=off", "-w"];
        let out = Command::new(compiler)
            .args(flags)
            .args(own)
            .arg("-o")
            .arg(&library)
            .arg(&source)
            .output();
        let out = out.unwrap();
        let words = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{} does not compile as C++:\n{words}", unit.name);
        std::fs::read(library).unwrap()
    });
    std::fs::write(&path, library).unwrap();
    path
}

impl Driver for Emulator {
    fn name(&self) -> &str {
        "an emulated GPU"
    }

    fn free_bytes(&self) -> Result<u64, CudaError> {
        Ok(self.size - self.gpu.taken.load(Ordering::SeqCst) as u64)
    }

    fn load(&mut self, units: &[Unit]) -> Result<(), CudaError> {
        let (compiler, folder) = (compiler().expect("a C++ compiler"), self.folder.path());
        let built: Vec<PathBuf> = std::thread::scope(|scope| {
            let jobs: Vec<_> =
                units.iter().map(|unit| scope.spawn(|| build(compiler, unit, folder))).collect();
            jobs.into_iter().map(|job| job.join().unwrap()).collect()
        });
        for (unit, path) in units.iter().zip(built) {
            // SAFETY: a library that was just made, without initialisers of its own.
            let library = unsafe { Library::new(path) }.unwrap();
            for name in &unit.kernels {
                let symbol = format!("emulate_{name}");
                // SAFETY: the function of that name was written with this signature.
                let run = unsafe { *library.get::<Run>(symbol.as_bytes()).unwrap() };
                self.kernels.insert(name.clone(), (self.libraries.len(), run));
            }
            self.libraries.push(library);
        }
        Ok(())
    }

    fn reserve(&mut self, bytes: u64) -> Result<Address, CudaError> {
        self.memory.push(self.piece(bytes, false)?);
        Ok(self.memory.last().unwrap().start())
    }

    fn alloc_shared(&mut self, bytes: u64) -> Result<Arc<dyn Memory>, CudaError> {
        Ok(Arc::new(self.piece(bytes, true)?))
    }

    fn data_sets(&self) -> Arc<DataSets> {
        if let Some(gate) = &self.gate {
            gate.wait();
        }
        Arc::clone(&self.gpu.data_sets)
    }

    unsafe fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), CudaError> {
        self.writes += 1;
        if self.gpu.shares(to, bytes.len()) {
            return self.write_shared(to, bytes);
        }
        // SAFETY: checked inside.
        unsafe { self.bytes(to, bytes.len()) }.copy_from_slice(bytes);
        Ok(())
    }

    unsafe fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), CudaError> {
        self.reads += 1;
        self.finish_copies();
        // SAFETY: checked inside.
        bytes.copy_from_slice(unsafe { self.bytes(from, bytes.len()) });
        Ok(())
    }

    unsafe fn launch(&mut self, launch: Launch) -> Result<(), CudaError> {
        if self.late && self.is_on_side_stream {
            self.waiting.push((self.events, launch));
            return Ok(());
        }
        match &mut self.recording {
            Some(launches) => {
                launches.push(launch);
                Ok(())
            }
            None => self.run(&launch),
        }
    }

    fn begin_side_stream(&mut self) -> Result<(), CudaError> {
        self.is_on_side_stream = true;
        Ok(())
    }

    fn end_side_stream(&mut self) -> Result<Event, CudaError> {
        self.is_on_side_stream = false;
        self.events += 1;
        Ok(Event(self.events - 1))
    }

    fn wait_for(&mut self, event: Event) -> Result<(), CudaError> {
        let waiting = std::mem::take(&mut self.waiting);
        let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|it| it.0 <= event.0);
        self.waiting = later;
        // SAFETY: whoever launched these vouched for them.
        now.into_iter().try_for_each(|(_, launch)| unsafe { self.launch(launch) })
    }

    fn begin_capture(&mut self) -> Result<(), CudaError> {
        self.recording = Some(Vec::new());
        Ok(())
    }

    fn end_capture(&mut self) -> Result<CapturedGraph, CudaError> {
        assert!(self.waiting.is_empty(), "nothing waited for {:?}", self.waiting);
        self.recordings.push(self.recording.take().expect("a recording"));
        Ok(CapturedGraph(self.recordings.len() - 1))
    }

    fn launch_graph(&mut self, recording: CapturedGraph) -> Result<(), CudaError> {
        for launch in self.recordings[recording.0].clone() {
            self.run(&launch)?;
        }
        Ok(())
    }

    fn tuning_context(&self) -> Option<TuningContext> {
        self.tuning.as_ref().map(|(tuning, _)| tuning.clone())
    }

    unsafe fn time(
        &mut self,
        launch: &Launch,
        times: usize,
    ) -> Result<Option<Vec<f64>>, CudaError> {
        let (_, clock) = self.tuning.as_ref().expect("a clock");
        // A launch that comes first is slower, and one now and then is.
        let late = |turn| if turn == 0 || turn % 5 == 4 { 9.0 } else { 1.0 };
        Ok(clock(launch)?.map(|seconds| (0..times).map(|turn| seconds * late(turn)).collect()))
    }
}
