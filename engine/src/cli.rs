//! The shared parts of commands: options, exit codes, and the writing of standard output.

mod error;
pub mod examples;

pub use error::CommandError;

use crate::{
    devices, remote,
    run::executor::{self, Executor},
    spec::quantity::{self, SIZES, TIMES},
    ui::{console::Form, visible::visible},
};
use cache::{Store, blobs::Blobs, store::plain};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{
    io::{self, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tracing::{error, level_filters::LevelFilter};

/// The exit code when a step failed.
pub const FAILED: u8 = 1;
/// The exit code of a faulty pipeline, faulty data or wrong usage.
pub const BAD_INPUT: u8 = 2;
/// The exit code when some steps failed and the rest is done (`--keep-going`).
pub const PARTLY: u8 = 3;
pub use crate::ui::interrupt::INTERRUPTED;

/// The default path of the store.
pub const STORE: &str = ".engine";

/// The options for messages on standard error.
#[derive(Args)]
pub struct OutputArgs {
    /// Say only what fails.
    #[arg(short, long, global = true, display_order = 900)]
    pub quiet: bool,
    /// Say more: keys, objects, where the time went.
    #[arg(short, long, global = true, conflicts_with = "quiet", display_order = 901)]
    pub verbose: bool,
    /// Message format: sentences, or one JSON object a line.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", display_order = 902)]
    pub log_format: LogFormat,
    /// Write a timeline of the run for Perfetto or `chrome://tracing`: steps, waiting, the store, epochs.
    #[arg(long, global = true, value_name = "FILE", display_order = 903)]
    pub trace: Option<PathBuf>,
}

/// The format of messages.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the help of every command would repeat them")]
pub enum LogFormat {
    Text,
    Json,
}

impl OutputArgs {
    /// The form of messages.
    pub fn form(&self) -> Form {
        match self.log_format {
            LogFormat::Text => Form::Text,
            LogFormat::Json => Form::Json,
        }
    }

    /// The level down to which messages are shown.
    pub fn level(&self) -> LevelFilter {
        match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::ERROR,
            (_, true) => LevelFilter::DEBUG,
            _ => LevelFilter::INFO,
        }
    }
}

/// The option for the store.
#[derive(Args, Clone)]
pub struct StoreArg {
    /// Folder of the store.
    #[arg(long, value_name = "DIR", env = "ENGINE_STORE", default_value = STORE)]
    pub store: PathBuf,
    /// A folder or `s3://BUCKET/PREFIX` from which results are taken that the store does not have.
    #[arg(long, value_name = "REMOTE", env = "ENGINE_REMOTE")]
    pub remote: Option<String>,
}

/// The option for the folder of the runs.
#[derive(Args, Clone)]
pub struct OutArg {
    /// Folder of the runs.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
}

/// The arguments that `run`, `plan` and `explain` share.
#[derive(Args, Clone)]
pub struct PlanArgs {
    /// The pipeline file.
    pub pipeline: PathBuf,
    /// Set a variable (`data=DIR`) or a parameter of a step (`pca.components=16`).
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
    /// Only these steps and what they need.
    #[arg(long, value_name = "STEP")]
    pub only: Vec<String>,
    /// All but what comes after these steps.
    #[arg(long, value_name = "STEP")]
    pub until: Vec<String>,
    /// Run these steps although their results are there.
    #[arg(long, value_name = "STEP")]
    pub force: Vec<String>,
    /// Threads to use; all processors if not given.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZeroUsize>,
    /// Memory that steps at the same time may take (`8GB`), and none alone may exceed; nine tenths of
    /// what is free if not given, and none may exceed what the machine has.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory: Option<u64>,
    /// Device for models, unless a step names its own: `auto`, `cpu`, `cuda` or `cuda:1`.
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = devices::parse)]
    pub device: devices::DeviceChoice,
    /// True if the steps run on machines with GPUs, whatever this one has.
    #[arg(skip)]
    pub gpus_elsewhere: bool,
}

/// The arguments of `run`.
#[derive(Args, Clone)]
pub struct RunArgs {
    /// The pipeline and what to do with it.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// The folder of the runs.
    #[command(flatten)]
    pub out: OutArg,
    /// GPUs to use (`0,1`); all if not given.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', conflicts_with = "on")]
    pub gpus: Option<Vec<usize>>,
    /// Steps that may share a GPU, as far as its memory reaches; 4 if not given.
    #[arg(long, value_name = "N", conflicts_with = "on")]
    pub gpu_steps: Option<NonZeroUsize>,
    /// The executor or the cluster.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Submit the workers and leave; the same command without this follows them and writes the report.
    #[arg(long)]
    pub detach: bool,
    /// Cancel all jobs when the run is interrupted. Without this, it asks, and leaves them where there is no terminal.
    #[arg(long)]
    pub cancel_on_interrupt: bool,
    /// Go on with what does not depend on a failed step; sweeps and several seeds do so anyway.
    #[arg(long, conflicts_with = "fail_fast")]
    pub keep_going: bool,
    /// Stop at the first step that fails, in a sweep too.
    #[arg(long)]
    pub fail_fast: bool,
    /// Copy what the run made to the remote once it has ended.
    #[arg(long, requires = "remote")]
    pub push: bool,
    /// A name for the run, by which commands find it.
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// A note on the run, which `runs`, `show` and its record give.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// A word by which `runs --tag` finds the run; may be given several times.
    #[arg(long, value_name = "WORD")]
    pub tag: Vec<String>,
    /// Keep a page `live.html` in the folder of the study that shows the run while it goes on.
    #[arg(long)]
    pub live: bool,
    /// Keep that page, and serve it at a port of 127.0.0.1 as long as this command lives: at any port that is free, or at
    /// this one.
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "0")]
    pub serve: Option<u16>,
    /// Say what would run, and why, without running it: the same as `engine plan`.
    #[arg(long)]
    pub dry_run: bool,
}

/// The executor or the cluster.
#[derive(Args, Clone)]
pub struct PlaceArgs {
    /// Executor of steps: `threads` of this process, `processes`, one for each, or `slurm`.
    #[arg(long, value_name = "NAME", value_parser = executors)]
    pub executor: Option<ExecutorChoice>,
    /// Run it on the cluster that this profile describes; `--executor slurm` takes the profile from ENGINE_PROFILE.
    #[arg(long, value_name = "PROFILE")]
    pub on: Option<PathBuf>,
}

/// An executor.
#[derive(Clone, Copy)]
pub enum ExecutorChoice {
    /// On this machine.
    Local(&'static dyn Executor),
    /// On a cluster.
    Cluster,
}

/// The executor on a cluster, which is no function of a single step.
const CLUSTER: &str = "slurm";

fn executors(name: &str) -> Result<ExecutorChoice, String> {
    match name {
        CLUSTER => Ok(ExecutorChoice::Cluster),
        _ => executor::named(name)
            .map(ExecutorChoice::Local)
            .map_err(|error| format!("{error}, and `{CLUSTER}`")),
    }
}

impl PlaceArgs {
    /// The file with the profile of the cluster, if the run is to be on one.
    ///
    /// # Errors
    /// Returns the exit code if no profile is named.
    pub fn profile(&self) -> Result<Option<PathBuf>, CommandError> {
        let named =
            || std::env::var_os("ENGINE_PROFILE").filter(|it| !it.is_empty()).map(PathBuf::from);
        match (&self.on, self.executor) {
            (Some(path), _) => Ok(Some(path.clone())),
            (None, Some(ExecutorChoice::Cluster)) => named().map(Some).ok_or_else(|| {
                CommandError::new(BAD_INPUT, "no profile of a cluster is named: write `--on lab.yaml`, or set ENGINE_PROFILE")
            }),
            _ => Ok(None),
        }
    }
}

impl RunArgs {
    /// True to go on after a failure, false to stop; none if neither option was given.
    pub fn keep_going(&self) -> Option<bool> {
        (self.keep_going || self.fail_fast).then_some(self.keep_going)
    }
}

fn threads(text: &str) -> Result<NonZeroUsize, &'static str> {
    // The rest of rayon takes time that grows with the square of the threads.
    let threads = text.parse().ok().filter(|it: &NonZeroUsize| it.get() <= 1024);
    threads.ok_or("expected a whole number from 1 to 1024")
}

/// Parses a size of an option.
pub fn size(text: &str) -> Result<u64, String> {
    quantity::bytes(text).ok_or_else(|| format!("expected {SIZES}"))
}

/// Parses a time of an option.
pub fn time(text: &str) -> Result<Duration, String> {
    quantity::time(text).ok_or_else(|| format!("expected {TIMES}"))
}

impl StoreArg {
    /// Opens an existing store for reading; a store that does not exist is not created.
    ///
    /// # Errors
    /// Returns the exit code if the store cannot be read.
    pub fn open_existing(&self) -> Result<Store, CommandError> {
        Store::open_existing(&self.store).map_err(|error| CommandError::of_store(&error))
    }

    /// Opens the store of runs in a folder, or of the run that lies there: the one that is named or, as a command may be
    /// given elsewhere, the first of that name in a folder above.
    ///
    /// # Errors
    /// Returns the exit code if there is none, or if it cannot be read.
    pub fn open_of(&self, run: &Path) -> Result<Store, CommandError> {
        let run = run.canonicalize().unwrap_or_else(|_| run.to_owned());
        let above = run.ancestors().map(|folder| folder.join(&self.store));
        let found = std::iter::once(self.store.clone()).chain(above).find(|it| Store::is_at(it));
        let Some(found) = found else {
            let (store, run) = (self.store.display(), run.display());
            return Err(CommandError::new(
                BAD_INPUT,
                format!(
                    "there is no store `{store}`, neither here nor in a folder above `{run}`: the results of runs are in a \
                     store; name its folder by `--store`"
                ),
            ));
        };
        Store::open_existing(&found).map_err(|error| CommandError::of_store(&error))
    }

    /// The remote, if one is named.
    ///
    /// # Errors
    /// Returns the exit code if its name is faulty.
    pub fn remote(&self) -> Result<Option<Box<dyn Blobs>>, CommandError> {
        let name = self.remote.as_deref().filter(|name| !name.is_empty());
        name.map(remote::open).transpose().map_err(|error| CommandError::new(BAD_INPUT, error))
    }
}

/// The options of a run, parsed from the command in its record.
pub fn run_args(words: &[String]) -> Option<RunArgs> {
    let RecordedCommand::Run(args) = Recorded::try_parse_from(words).ok()?.command;
    Some(args)
}

/// The command in the record of a run.
#[derive(Parser)]
struct Recorded {
    #[command(flatten)]
    _output: OutputArgs,
    #[command(subcommand)]
    command: RecordedCommand,
}

#[derive(Subcommand)]
enum RecordedCommand {
    Run(RunArgs),
}

/// True if something could not be written to standard output.
pub(crate) static UNWRITTEN: AtomicBool = AtomicBool::new(false);

/// Writes data to standard output, with control characters made visible. A reader that has gone
/// away is no error; any other failure is reported, and the command ends with [`FAILED`].
pub fn print(data: &str) {
    let mut out = std::io::stdout();
    // The error of data that is still in the buffer at the end would be lost, so the buffer is
    // flushed.
    if let Err(error) = out.write_all(visible(data).as_bytes()).and_then(|()| out.flush()) {
        unwritten(error);
    }
}

pub(crate) fn unwritten(error: io::Error) -> ExitCode {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ExitCode::SUCCESS;
    }
    if !UNWRITTEN.swap(true, Ordering::Relaxed) {
        error!("cannot write to standard output: {}", plain(&error));
    }
    ExitCode::from(FAILED)
}
