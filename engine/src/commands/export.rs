//! `engine export`: writes a result of a run as a file for other tools.

use crate::{
    cli::{BAD_INPUT, CommandError, FAILED, OutArg, StoreArg},
    record::{export::write, runs, tensorboard},
    ui::suggest,
};
use cache::{Digest, Record, record::StepRecord};
use clap::Args;
use std::path::{Path, PathBuf};
use tracing::info;

/// What `--to` names instead of a file.
const TENSORBOARD: &str = "tensorboard";

/// What `export` reads.
#[derive(Args)]
pub struct ExportArgs {
    /// A folder, an id, a study's name, `latest` or `NAME/latest`.
    pub run: String,
    /// The output: `STEP.PORT`, or `STEP` for its first. A training's `history` gets the seconds of each epoch. With
    /// `--to tensorboard`, the folder that gets the event files.
    #[arg(value_name = "STEP.PORT|DIR")]
    pub output: String,
    /// The file; its ending decides the format: .parquet, .csv, .npy, or for models .safetensors and, of an encoder,
    /// .onnx. `tensorboard` writes the scores, trainings and figures of the whole run for TensorBoard.
    #[arg(long, value_name = "FILE|tensorboard")]
    pub to: PathBuf,
    /// Where runs are.
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
    let bad = |fault: String| CommandError::new(BAD_INPUT, fault);
    let found = runs::find(&args.out.out, &args.run).map_err(bad)?;
    if args.to == Path::new(TENSORBOARD) {
        let (store, folder) = (args.store.open_existing()?, Path::new(&args.output));
        let written = tensorboard::write(&found, &store, folder)
            .map_err(|fault| CommandError::new(FAILED, fault))?;
        info!(
            "wrote {written} event files; `tensorboard --logdir {}` shows them",
            folder.display()
        );
        return Ok(());
    }
    let record = found.record;
    let (step, digest) = find_output(&record, &args.output).map_err(bad)?;
    let store = args.store.open_existing()?;
    let artifact = store.get(digest).map_err(|fault| {
        CommandError::new(FAILED, format!("{fault}; run the pipeline again to rebuild it"))
    })?;
    write(&store, digest, &artifact, &step.laps, &args.to).map_err(bad)?;
    info!("wrote {} to `{}`", artifact.shape(), args.to.display());
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
