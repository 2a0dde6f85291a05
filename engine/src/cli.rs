//! The command line: what can be typed, and what each ending's exit code is.

use crate::{commands, devices, progress::say};
use clap::{Args, Parser, Subcommand};
use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode};

/// A step failed.
pub const FAILED: u8 = 1;
/// Bad pipeline, data or usage.
pub const BAD_INPUT: u8 = 2;
/// Some steps failed; the rest is done (`--keep-going`).
pub const PARTLY: u8 = 3;
/// The user stopped it.
pub const INTERRUPTED: u8 = 130;

const EXIT_CODES: &str = "Exit codes:
  0    done
  1    a step failed
  2    bad pipeline, data or usage
  3    partly done (--keep-going)
  130  interrupted
  101  a bug in the engine";

const EXAMPLES: &str = "Examples:
  engine run pipelines/quickstart.yaml                     a study without any data at hand
  engine run pipelines/table1.yaml --set data=IRMAS        the published study on your copy of IRMAS
  engine run pipelines/quickstart.yaml --set clusters=8
  engine plan pipelines/quickstart.yaml                    what would run, and why
  engine ops pca                                           ports and parameters of an op
  engine export latest pca.latent --to latent.parquet      take a result elsewhere";

/// Turns a YAML pipeline into a finished study, and repeats only what a change touches.
#[derive(Parser)]
#[command(name = "engine", version, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"), max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a pipeline to its report.
    #[command(after_help = EXIT_CODES)]
    Run(RunArgs),
    /// Say of each step whether it would run, and why.
    Plan(PlanArgs),
    /// List the ops, or describe one.
    Ops {
        /// The op to describe.
        name: Option<String>,
    },
    /// Show where models can run, and what is missing for a GPU.
    Devices(commands::devices::DevicesArgs),
    /// Print the JSON schema of pipelines, for editors.
    Schema,
    /// Write a synthetic corpus of eleven instruments as WAV files.
    Synth(commands::synth::SynthArgs),
    /// Download a data set.
    Fetch(commands::fetch::FetchArgs),
    /// Show the results of a run.
    Show {
        /// A folder, an id, or `latest`.
        #[arg(default_value = "latest")]
        run: String,
        #[command(flatten)]
        out: OutArg,
    },
    /// Render the report of a run again.
    Report {
        /// A folder, an id, or `latest`.
        #[arg(default_value = "latest")]
        run: String,
        #[command(flatten)]
        out: OutArg,
        #[command(flatten)]
        store: StoreArg,
    },
    /// Write a result of a run to a file.
    #[command(
        after_help = "Examples:\n  engine export latest pca.latent --to latent.parquet\n  engine export latest mel.features --to mel.npy"
    )]
    Export(commands::export::ExportArgs),
}

/// Where results are kept.
#[derive(Args)]
pub struct StoreArg {
    /// Folder of the store.
    #[arg(long, value_name = "DIR", env = "ENGINE_STORE", default_value = ".engine")]
    pub store: PathBuf,
}

/// Where runs are written.
#[derive(Args)]
pub struct OutArg {
    /// Folder of the runs.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
}

/// What `run` and `plan` read.
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
    /// Run these steps although their results are there.
    #[arg(long, value_name = "STEP")]
    pub force: Vec<String>,
    /// Threads to use; all processors if not given.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZeroUsize>,
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
    /// Go on with what does not depend on a failed step.
    #[arg(long)]
    pub keep_going: bool,
    /// Say what would run, and why, without running it.
    #[arg(long)]
    pub dry_run: bool,
    /// Say only what fails.
    #[arg(short, long)]
    pub quiet: bool,
}

fn threads(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "expected a whole number of at least 1")
}

/// How a command ended without its result: the exit code, after everything was said.
pub struct Stop(pub u8);

impl Stop {
    /// Says what is wrong, and ends with a code.
    pub fn saying(code: u8, message: impl std::fmt::Display) -> Self {
        say(&format!("error: {message}"));
        Self(code)
    }
}

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Run(args) => commands::run::run(&args),
        Command::Plan(args) => commands::plan::plan(&args),
        Command::Ops { name } => commands::ops::ops(name.as_deref()),
        Command::Devices(args) => commands::devices::devices(&args),
        Command::Schema => commands::ops::schema(),
        Command::Synth(args) => commands::synth::synth(&args),
        Command::Fetch(args) => commands::fetch::fetch(&args),
        Command::Show { run, out } => commands::show::show(&out.out, &run),
        Command::Report { run, out, store } => commands::show::report(&out.out, &run, &store.store),
        Command::Export(args) => commands::export::export(&args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop(code)) => ExitCode::from(code),
    }
}

/// Writes data to standard output; a reader that has gone away is no fault.
pub fn print(data: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(data.as_bytes());
}
