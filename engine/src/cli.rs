//! The command line: its options and commands, and the exit code of each ending.

pub mod examples;

use crate::{
    commands, devices,
    ui::{self, logging, progress::say, suggest, visible::visible},
};
use cache::{Store, StoreError, store::plain};
use clap::{
    Args, CommandFactory, Parser, Subcommand, ValueEnum,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::{
    io::{self, Write},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The exit code when a step failed.
pub const FAILED: u8 = 1;
/// The exit code of a faulty pipeline, faulty data or wrong usage.
pub const BAD_INPUT: u8 = 2;
/// The exit code when some steps failed and the rest is done (`--keep-going`).
pub const PARTLY: u8 = 3;
/// The exit code when the user stopped the command.
pub const INTERRUPTED: u8 = 130;

/// The default path of the store.
pub const STORE: &str = ".engine";

/// Turns a YAML pipeline into a finished study, and repeats only what a change touches.
#[derive(Parser)]
#[command(name = "engine", version, after_help = format!("{}\n\n{}", examples::ALL, examples::EXIT_CODES), max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

/// What is said on standard error.
#[derive(Args)]
struct OutputArgs {
    /// Say only what fails.
    #[arg(short, long, global = true, display_order = 900)]
    quiet: bool,
    /// Say more: keys, objects, where the time went.
    #[arg(short, long, global = true, conflicts_with = "quiet", display_order = 901)]
    verbose: bool,
    /// How it is said: sentences, or one JSON object a line.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", display_order = 902)]
    log_format: LogFormat,
    /// Write a timeline of the run for Perfetto or `chrome://tracing`: steps, waiting, the store, epochs.
    #[arg(long, global = true, value_name = "FILE", display_order = 903)]
    trace: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Run a pipeline to its report.
    #[command(after_help = format!("{}\n\n{}", examples::RUN, examples::EXIT_CODES))]
    Run(RunArgs),
    /// Run a pipeline again whenever it or its data change; a page follows the newest report.
    #[command(after_help = examples::WATCH)]
    Watch(RunArgs),
    /// Say of each step whether it would run, why, and what that would cost.
    #[command(after_help = examples::PLAN)]
    Plan(commands::plan::PlanCommandArgs),
    /// Say all that decides a step, and how it differs from what ran before.
    #[command(after_help = examples::EXPLAIN)]
    Explain(commands::explain::ExplainArgs),
    /// Draw the steps and what flows between them.
    #[command(after_help = examples::GRAPH)]
    Graph(commands::graph::GraphArgs),
    /// List the ops, or describe one.
    #[command(after_help = examples::OPS)]
    Ops {
        /// The op to describe.
        name: Option<String>,
    },
    /// Show where models can run, and what is missing for a GPU.
    #[command(after_help = examples::DEVICES)]
    Devices(commands::devices::DevicesArgs),
    /// Print the JSON schema of pipelines, for editors.
    #[command(after_help = examples::SCHEMA)]
    Schema,
    /// Write a first pipeline that runs as it is.
    #[command(after_help = examples::INIT)]
    Init(commands::init::InitArgs),
    /// Write a synthetic corpus of eleven instruments as WAV files.
    #[command(after_help = examples::SYNTH)]
    Synth(commands::synth::SynthArgs),
    /// Download a data set.
    #[command(after_help = examples::FETCH)]
    Fetch(commands::fetch::FetchArgs),
    /// List the runs, the newest first.
    #[command(after_help = examples::RUNS)]
    Runs(commands::runs::RunsArgs),
    /// Show the table of a run.
    #[command(after_help = examples::SHOW)]
    Show(commands::show::ShowArgs),
    /// Compare two runs: what went in, and what came out.
    #[command(after_help = examples::DIFF)]
    Diff(commands::diff::DiffArgs),
    /// Follow a number of a table back to the files it was made from.
    #[command(after_help = examples::WHY)]
    Why(commands::why::WhyArgs),
    /// Render the report of a run again.
    #[command(after_help = examples::REPORT)]
    Report {
        /// A folder, an id, a study's name, `latest` or `NAME/latest`.
        #[arg(default_value = "latest")]
        run: String,
        #[command(flatten)]
        out: OutArg,
        #[command(flatten)]
        store: StoreArg,
    },
    /// Write a result of a run to a file.
    #[command(after_help = examples::EXPORT)]
    Export(commands::export::ExportArgs),
    /// Print what a shell needs to complete commands and options.
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: commands::completions::For,
    },
    /// Inspect the store, free its space, and verify its integrity and reproducibility.
    #[command(subcommand, after_help = examples::CACHE)]
    Cache(commands::cache::CacheCommand),
}

/// Where results are kept.
#[derive(Args)]
pub struct StoreArg {
    /// Folder of the store.
    #[arg(long, value_name = "DIR", env = "ENGINE_STORE", default_value = STORE)]
    pub store: PathBuf,
}

/// Where runs are written.
#[derive(Args)]
pub struct OutArg {
    /// Folder of the runs.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
}

/// What `run`, `plan` and `explain` read.
#[derive(Args)]
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
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub memory: Option<u64>,
    /// Where models run, unless a step says so itself: `auto`, `cpu`, `cuda` or `cuda:1`.
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = devices::parse)]
    pub device: devices::Wanted,
}

/// What `run` reads.
#[derive(Args)]
pub struct RunArgs {
    /// The pipeline and what to do with it.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Where the run is written.
    #[command(flatten)]
    pub out: OutArg,
    /// GPUs to use (`0,1`); all if not given.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub gpus: Option<Vec<usize>>,
    /// Steps that may share a GPU, as far as its memory reaches; 4 if not given.
    #[arg(long, value_name = "N")]
    pub gpu_steps: Option<NonZeroUsize>,
    /// Go on with what does not depend on a failed step; sweeps and several seeds do so anyway.
    #[arg(long, conflicts_with = "fail_fast")]
    pub keep_going: bool,
    /// Stop at the first step that fails, in a sweep too.
    #[arg(long)]
    pub fail_fast: bool,
    /// Say what would run, and why, without running it: the same as `engine plan`.
    #[arg(long)]
    pub dry_run: bool,
}

impl RunArgs {
    /// True to go on after a failure, false to stop; none if neither option was given.
    pub fn keep_going(&self) -> Option<bool> {
        (self.keep_going || self.fail_fast).then_some(self.keep_going)
    }
}

fn threads(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "expected a whole number of at least 1")
}

fn memory(text: &str) -> Result<u64, &'static str> {
    crate::spec::bytes(text).ok_or("expected bytes, or a size such as `500MB` or `8GiB`")
}

/// The end of a command without its result: the exit code, after all messages were printed.
pub struct Stop(pub u8);

impl Stop {
    /// Prints an error and returns its exit code.
    pub fn saying(code: u8, message: impl std::fmt::Display) -> Self {
        say(&format!("error: {message}"));
        Self(code)
    }

    /// Prints an error of the store and returns its exit code.
    pub fn of_store(fault: &StoreError) -> Self {
        let code = if matches!(fault, StoreError::Unfit { .. }) { BAD_INPUT } else { FAILED };
        Self::saying(code, fault)
    }
}

impl StoreArg {
    /// Opens an existing store for reading; a store that does not exist is not created.
    ///
    /// # Errors
    /// Returns the exit code if the store cannot be read.
    pub fn open_existing(&self) -> Result<Store, Stop> {
        Store::open_existing(&self.store).map_err(|fault| Stop::of_store(&fault))
    }
}

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    // A file that grows beyond `ulimit -f` makes the write fail, and does not end the process.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(fault) => return refuse(&fault),
    };
    let OutputArgs { quiet, verbose, log_format, trace } = cli.output;
    logging::set(log_format == LogFormat::Json, quiet, verbose);
    // The timeline is complete once this is dropped.
    let _timeline = match ui::trace::start(trace.as_deref()) {
        Ok(timeline) => timeline,
        Err(message) => return ExitCode::from(Stop::saying(BAD_INPUT, message).0),
    };
    let ended = match cli.command {
        Command::Run(args) => commands::run::run(&args),
        Command::Plan(args) => commands::plan::plan(&args),
        Command::Watch(args) => commands::watch::watch(&args),
        Command::Explain(args) => commands::explain::explain(&args),
        Command::Graph(args) => commands::graph::graph(&args),
        Command::Ops { name } => commands::ops::ops(name.as_deref()),
        Command::Devices(args) => commands::devices::devices(&args),
        Command::Schema => commands::ops::schema(),
        Command::Init(args) => commands::init::init(&args),
        Command::Synth(args) => commands::synth::synth(&args),
        Command::Fetch(args) => commands::fetch::fetch(&args),
        Command::Runs(args) => commands::runs::runs(&args),
        Command::Show(args) => commands::show::show(&args),
        Command::Diff(args) => commands::diff::diff(&args),
        Command::Why(args) => commands::why::why(&args),
        Command::Report { run, out, store } => commands::report::report(&out.out, &run, &store),
        Command::Export(args) => commands::export::export(&args),
        Command::Completions { shell } => commands::completions::completions(shell),
        Command::Cache(command) => commands::cache::cache(&command),
    };
    let ended = match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop(code)) => ExitCode::from(code),
    };
    // The result of the command could not be written, so the command failed.
    match UNWRITTEN.load(Ordering::Relaxed) && ended == ExitCode::SUCCESS {
        true => ExitCode::from(FAILED),
        false => ended,
    }
}

/// Prints the error of a faulty command line; help that was asked for is no error.
fn refuse(fault: &clap::Error) -> ExitCode {
    if !fault.use_stderr() {
        let written = fault.print().and_then(|()| std::io::stdout().flush());
        return written.map_or_else(unwritten, |()| ExitCode::SUCCESS);
    }
    let words: Vec<String> = std::env::args().collect();
    let asked = words.windows(2).any(|pair| pair == ["--log-format", "json"])
        || words.iter().any(|word| word == "--log-format=json");
    logging::set(asked, false, false);
    match unknown_command(fault) {
        Some(message) => say(&format!("error: {message}")),
        None if asked => {
            let text = fault.to_string();
            say(text.split("\n\n").next().unwrap_or(&text));
        }
        // Colours are used only if all typed words can be shown as they are.
        None if words.iter().all(|word| visible(word) == *word) => drop(fault.print()),
        None => say(fault.to_string().trim_end()),
    }
    ExitCode::from(BAD_INPUT)
}

/// The message for an unknown command; none for any other error.
fn unknown_command(fault: &clap::Error) -> Option<String> {
    let typed = match fault.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(typed)) if fault.kind() == ErrorKind::InvalidSubcommand => typed,
        _ => return None,
    };
    let commands = command();
    let names = commands.get_subcommands().map(clap::Command::get_name);
    let help = if typed.ends_with(".yaml") || typed.ends_with(".yml") {
        format!("did you mean `engine run {typed}`?")
    } else {
        match suggest::closest(typed, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`engine --help` lists the commands".to_owned(),
        }
    };
    Some(format!("there is no command `{typed}`; {help}"))
}

/// The whole command line, as shell completion needs it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// The options of a run, parsed from the command in its record.
pub fn run_args(words: &[String]) -> Option<RunArgs> {
    match Cli::try_parse_from(words).ok()?.command {
        Command::Run(args) => Some(args),
        _ => None,
    }
}

/// True if something could not be written to standard output.
static UNWRITTEN: AtomicBool = AtomicBool::new(false);

/// Writes data to standard output, with control characters made visible. A reader that has gone
/// away is no error; any other failure is reported, and the command ends with [`FAILED`].
pub fn print(data: &str) {
    let mut out = std::io::stdout();
    // The error of data that is still in the buffer at the end would be lost, so the buffer is
    // flushed.
    if let Err(fault) = out.write_all(visible(data).as_bytes()).and_then(|()| out.flush()) {
        unwritten(fault);
    }
}

fn unwritten(fault: io::Error) -> ExitCode {
    if fault.kind() == io::ErrorKind::BrokenPipe {
        return ExitCode::SUCCESS;
    }
    if !UNWRITTEN.swap(true, Ordering::Relaxed) {
        say(&format!("error: cannot write to standard output: {}", plain(&fault)));
    }
    ExitCode::from(FAILED)
}
