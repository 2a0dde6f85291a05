//! The command line as a whole: every command with its help, and what is called for each.

use crate::{
    cli::{
        BAD_INPUT, CommandError, FAILED, OutArg, OutputArgs, RunArgs, StoreArg, UNWRITTEN,
        examples, unwritten,
    },
    commands,
    ui::{console::Form, events::DETAIL, suggest, trace::listen, visible::visible},
};
use clap::{
    CommandFactory, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::{
    io::Write,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
};
use tracing::{error, level_filters::LevelFilter};

/// Turns a YAML pipeline into a finished study, and repeats only what a change touches.
#[derive(Parser)]
#[command(name = "engine", version, after_help = format!("{}\n\n{}", examples::ALL, examples::EXIT_CODES), max_term_width = 100, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
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
    /// Compare many runs in one table: what they differ in, and their scores.
    #[command(after_help = examples::COMPARE)]
    Compare(commands::compare::CompareArgs),
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
    /// Write a run with all that it needs to one file, for a colleague.
    #[command(after_help = examples::PACK)]
    Pack(commands::pack::PackArgs),
    /// Take over a run from a file that `engine pack` wrote.
    #[command(after_help = examples::UNPACK)]
    Unpack(commands::pack::UnpackArgs),
    /// Print what a shell needs to complete commands and options.
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: commands::completions::SupportedShell,
    },
    /// End the workers of studies on a cluster.
    #[command(after_help = examples::CANCEL)]
    Cancel(commands::cancel::CancelArgs),
    /// Run steps of a plan on a node of a cluster.
    #[command(hide = true, after_help = examples::WORKER)]
    Worker(commands::worker::WorkerArgs),
    /// Run one step that another process asks for.
    #[command(hide = true, after_help = examples::STEP)]
    Step(commands::step::StepArgs),
    /// Inspect the store, free its space, and verify its integrity and reproducibility.
    #[command(subcommand, after_help = examples::CACHE)]
    Cache(commands::cache::CacheCommand),
    /// Print the help of a command, or what a part of a pipeline may say.
    #[command(after_help = examples::HELP)]
    Help {
        /// A command; or `figures`, `report`, `step` or `sweep`.
        about: Vec<String>,
    },
}

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    // A file that grows beyond `ulimit -f` makes the write fail, and does not end the process.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let output = cli.output;
    // The timeline is complete once this is dropped.
    let is_worker = matches!(cli.command, Command::Worker(_));
    let progress = matches!(&cli.command, Command::Run(args) if args.live || args.serve.is_some())
        .then(Arc::default);
    let trace = output.trace.as_deref();
    let _timeline = match listen(output.form(), output.level(), trace, is_worker, progress.as_ref())
    {
        Ok(timeline) => timeline,
        Err(message) => return end(Err(CommandError::new(BAD_INPUT, message))),
    };
    let ended = match cli.command {
        Command::Run(args) => commands::run::run(&args, &output, progress.as_ref()),
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
        Command::Compare(args) => commands::compare::compare(&args),
        Command::Why(args) => commands::why::why(&args),
        Command::Report { run, out, store } => commands::report::report(&out.out, &run, &store),
        Command::Export(args) => commands::export::export(&args),
        Command::Pack(args) => commands::pack::pack(&args),
        Command::Unpack(args) => commands::pack::unpack(&args),
        Command::Completions { shell } => commands::completions::completions(shell, command()),
        Command::Cancel(args) => commands::cancel::cancel(&args),
        Command::Worker(args) => commands::worker::worker(&args),
        Command::Step(args) => commands::step::step(&args),
        Command::Cache(command) => commands::cache::cache(&command),
        Command::Help { about } => commands::help::help(&about, command()),
    };
    let ended = end(ended);
    // The result of the command could not be written, so the command failed.
    match UNWRITTEN.load(Ordering::Relaxed) && ended == ExitCode::SUCCESS {
        true => ExitCode::from(FAILED),
        false => ended,
    }
}

/// Prints the error of a command, if it ended with one, and returns its exit code.
fn end(ended: Result<(), CommandError>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(error.print().code()),
    }
}

/// Prints the error of a faulty command line; help that was asked for is no error.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let written = error.print().and_then(|()| std::io::stdout().flush());
        return written.map_or_else(unwritten, |()| ExitCode::SUCCESS);
    }
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = words.collect();
    let is_json = words.windows(2).any(|pair| pair == ["--log-format", "json"])
        || words.iter().any(|word| word == "--log-format=json");
    let _ =
        listen(if is_json { Form::Json } else { Form::Text }, LevelFilter::INFO, None, false, None);
    match unknown_command(error) {
        Some(text) => error!("{text}"),
        None if is_json => {
            let text = error.to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            error!("{}", text.split("\n\n").next().unwrap_or(text));
        }
        // Colours are used only if all typed words can be shown as they are.
        None if words.iter().all(|word| visible(word) == *word) => drop(error.print()),
        None => error!(target: DETAIL, "{}", error.to_string().trim_end()),
    }
    ExitCode::from(BAD_INPUT)
}

/// The message for an unknown command; none for any other error.
fn unknown_command(error: &clap::Error) -> Option<String> {
    let typed = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(typed)) if error.kind() == ErrorKind::InvalidSubcommand => typed,
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
