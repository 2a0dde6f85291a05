//! `engine export`: writes a result of a run as a file for other tools.

use crate::{
    cli::{BAD_INPUT, CommandError, FAILED, OutArg, StoreArg},
    record::{
        self,
        export::write,
        runs::{self, FoundRun},
        tensorboard,
    },
    ui::suggest,
};
use cache::{Digest, Record, atomic_file::write_atomic, record::StepRecord, regular, store::plain};
use clap::{Args, ValueEnum};
use reports::{
    Wide,
    figures::{self, Shown},
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tracing::info;

/// The value of `--to` that is no file.
const TENSORBOARD: &str = "tensorboard";

/// The name of the scores of the table, unless a step has it.
const RESULTS: &str = "results";

/// The figures of the report, unless a step has that name.
const FIGURES: &str = "figures";

/// A format of figures.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Format {
    /// Drawings that follow the colours of a page.
    Svg,
    /// Pages of the size of the figure, for papers.
    Pdf,
    /// Pixels, on white.
    Png,
}

impl Format {
    fn ending(self) -> &'static str {
        match self {
            Format::Svg => "svg",
            Format::Pdf => "pdf",
            Format::Png => "png",
        }
    }
}

/// The arguments of `export`.
#[derive(Args)]
pub struct ExportArgs {
    /// A folder, an id, a study's name, `latest` or `NAME/latest`.
    pub run: String,
    /// The output: `STEP.PORT`, or `STEP` for its first. A training's `history` gets the seconds of each epoch. With
    /// `--to tensorboard`, the folder that gets the event files. `results` is the scores of the table, `figures` all
    /// figures of the report.
    #[arg(value_name = "STEP.PORT|DIR")]
    pub output: String,
    /// The file; its ending decides the format: .parquet, .csv, .npy, or for models .safetensors and, of an encoder,
    /// .onnx, or of a picture .svg or .png. `tensorboard` writes the scores, trainings and figures of the whole run for TensorBoard. Of `figures`, a
    /// folder.
    #[arg(long, value_name = "FILE|tensorboard")]
    pub to: PathBuf,
    /// Of `results`: a line for each row and point, with a column for each parameter and metric, in place of a line for
    /// each number.
    #[arg(long)]
    pub wide: bool,
    /// Of `figures`: their format. A picture that a program drew keeps its own.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// The folder of the runs.
    #[command(flatten)]
    pub out: OutArg,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
}

/// Writes the file, or those for TensorBoard.
///
/// # Errors
/// Returns the exit code if there is no such run or output, or if the format cannot hold the
/// output.
pub fn export(args: &ExportArgs) -> Result<(), CommandError> {
    let bad = |error: String| CommandError::new(BAD_INPUT, error);
    let found = runs::find(&args.out.out, &args.run).map_err(bad)?;
    if args.to == Path::new(TENSORBOARD) {
        let (store, folder) = (args.store.open_of(&found.folder)?, Path::new(&args.output));
        let written = tensorboard::write(&found, &store, folder)
            .map_err(|error| CommandError::new(FAILED, error))?;
        info!(
            "wrote {written} event files; `tensorboard --logdir {}` shows them",
            folder.display()
        );
        return Ok(());
    }
    let has_step = || find_output(&found.record, &args.output).is_ok();
    if args.wide || (args.output == RESULTS && !has_step()) {
        return results(args, &found);
    }
    if args.output == FIGURES && !has_step() {
        return all_figures(args, &found);
    }
    if args.format.is_some() {
        return Err(bad(format!("`--format` is of `{FIGURES}`, not of `{}`", args.output)));
    }
    let FoundRun { folder, record } = found;
    let (step, digest) = find_output(&record, &args.output).map_err(bad)?;
    let store = args.store.open_of(&folder)?;
    let artifact = store.get(digest).map_err(|error| {
        CommandError::new(FAILED, format!("{error}; run the pipeline again to rebuild it"))
    })?;
    write(&store, digest, &artifact, &step.laps, &args.to).map_err(bad)?;
    info!("wrote {} to `{}`", artifact.shape(), args.to.display());
    Ok(())
}

/// Writes all figures of the report into a folder.
fn all_figures(args: &ExportArgs, found: &FoundRun) -> Result<(), CommandError> {
    let (record, to) = (&found.record, &args.to);
    let store = args.store.open_of(&found.folder)?;
    let bad = |error: String| CommandError::new(BAD_INPUT, error);
    let failed = |error: String| CommandError::new(FAILED, error);
    let io = |error| bad(format!("cannot write into `{}`: {}", to.display(), plain(&error)));
    if record.figures.is_empty() {
        return Err(bad(format!("the report of `{}` has no figures", args.run)));
    }
    let format = args.format.unwrap_or(Format::Svg);
    fs::create_dir_all(to).map_err(io)?;
    let mut errors = Vec::new();
    for (index, figure) in record.figures.iter().enumerate() {
        let name = figures::file_name(index, figure);
        let file = match format {
            Format::Pdf if !figures::is_picture(figure) => {
                let pdf = figures::pdf(figure, record, &store);
                pdf.map(|pdf| pdf.map(|bytes| ("pdf", bytes)))
            }
            _ => figures::show(figure, record, &store).map(|shown| shown.map(|it| of(it, format))),
        };
        match file
            .map_err(|error| failed(format!("{error}; run the pipeline again to rebuild it")))?
        {
            Ok((ending, bytes)) => {
                write_atomic(&to.join(format!("{name}.{ending}")), &bytes).map_err(io)?;
                if format.ending() != ending {
                    info!(
                        "`{name}` is written as its program drew it, as {}",
                        ending.to_uppercase()
                    );
                }
            }
            Err(error) => errors.push(format!("`{name}` could not be drawn: {error}")),
        }
    }
    let written = record.figures.len() - errors.len();
    info!("wrote {written} figures into `{}`", to.display());
    match errors.is_empty() {
        true => Ok(()),
        false => Err(failed(errors.join("; "))),
    }
}

/// The file of a figure in a format; of a picture that a program drew, the one that there is.
fn of(mut shown: Shown, format: Format) -> (&'static str, Vec<u8>) {
    let wanted = shown.files.remove_entry(format.ending());
    wanted.or_else(|| shown.files.pop_first()).expect("a figure has a file")
}

/// Writes the scores of the table, as they are kept with the run or in the wide form.
fn results(args: &ExportArgs, found: &FoundRun) -> Result<(), CommandError> {
    let (bad, to) = (|error: String| CommandError::new(BAD_INPUT, error), &args.to);
    if args.output != RESULTS {
        return Err(bad(format!("`--wide` is of `{RESULTS}`, not of `{}`", args.output)));
    }
    let ending = to.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let is_csv = match ending.to_lowercase().as_str() {
        "csv" => true,
        "parquet" => false,
        _ => {
            let to = to.display();
            return Err(bad(format!(
                "`{to}` names no format that fits: end it in .csv or .parquet"
            )));
        }
    };
    let failed = |error: String| CommandError::new(FAILED, error);
    let bytes = if args.wide {
        let wide =
            Wide::of(&record::table(&found.record, &args.store.open_of(&found.folder)?).rows);
        if is_csv { wide.csv().into_bytes() } else { wide.parquet().map_err(failed)? }
    } else {
        let path = found.folder.join(if is_csv { "results.csv" } else { "results.parquet" });
        regular::read(&path, u64::MAX).map_err(|error| {
            let help = format!("`engine report {}` writes it again", args.run);
            failed(format!("cannot read `{}`: {}; {help}", path.display(), plain(&error)))
        })?
    };
    let io = |error| bad(format!("cannot write `{}`: {}", to.display(), plain(&error)));
    to.parent().map_or(Ok(()), fs::create_dir_all).map_err(io)?;
    write_atomic(to, &bytes).map_err(io)?;
    info!("wrote the scores to `{}`", to.display());
    Ok(())
}

/// An output of a run and its step, by `STEP.PORT`, or by `STEP` for the first output of the step.
///
/// # Errors
/// Returns a sentence with the outputs that there are.
pub fn find_output<'r>(
    record: &'r Record,
    output: &str,
) -> Result<(&'r StepRecord, &'r Digest), String> {
    // The name of an instance may contain a dot: `vae@0.5`.
    let whole = record.step(output).map(|_| (output, ""));
    let (name, port) = whole.or_else(|| output.rsplit_once('.')).unwrap_or((output, ""));
    let step = record.step(name).ok_or_else(|| {
        let names: Vec<_> = record.steps.iter().map(|step| step.name.as_str()).collect();
        let hint = suggest::help(name, &names, "its steps are");
        let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
        format!("the run has no step `{name}`{hint}")
    })?;
    let digest = match port {
        "" => first_output(step),
        port => step.outputs.get(port),
    };
    digest.map(|digest| (step, digest)).ok_or_else(|| {
        let ports: Vec<_> = step.outputs.keys().map(String::as_str).collect();
        match ports.as_slice() {
            [] => format!("step `{}` has no result: {}", step.name, step.reason),
            _ => {
                format!("step `{}` has no output `{port}`; it has {}", step.name, ports.join(", "))
            }
        }
    })
}

fn first_output(step: &StepRecord) -> Option<&cache::Digest> {
    let entry = ::ops::find(&step.op)?;
    let op = entry.parse(step.params.clone()).ok()?;
    op.outputs().iter().find_map(|port| step.outputs.get(port.name))
}
