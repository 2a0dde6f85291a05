//! `engine synth`: writes the synthetic corpus as files.

use crate::{
    cli::{BAD_INPUT, CommandError},
    data::synth::write_corpus,
    ui::events,
};
use clap::Args;
use std::path::PathBuf;
use tracing::info;

/// The arguments of `synth`.
#[derive(Args)]
pub struct SynthArgs {
    /// A new or empty folder.
    pub dir: PathBuf,
    /// Clips of each of the eleven instruments.
    #[arg(long, value_name = "N", default_value_t = 40)]
    pub clips_per_class: u32,
    /// The seed of the corpus.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
}

/// Writes the corpus.
///
/// # Errors
/// Returns the exit code if the corpus cannot be written to the folder.
pub fn synth(args: &SynthArgs) -> Result<(), CommandError> {
    let _shown = events::Steps::begin(1);
    events::step_started(1, "synth", "");
    write_corpus(&args.dir, args.clips_per_class, args.seed, &|done, total| {
        events::step_at(1, done, total, "clips");
    })
    .map_err(|error| CommandError::new(BAD_INPUT, error))?;
    info!("the corpus is in `{}`, in the layout of IRMAS", args.dir.display());
    Ok(())
}
