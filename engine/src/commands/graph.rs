//! `engine graph`: draws the steps and their connections.

use super::prepare::load;
use crate::{
    cli::{CommandError, print},
    plan::picture::Picture,
};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The arguments of `graph`.
#[derive(Args)]
pub struct GraphArgs {
    /// The pipeline file.
    pub pipeline: PathBuf,
    /// Set a variable or a parameter of a step.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// The language of the picture.
    #[arg(long, value_enum, default_value = "mermaid")]
    pub format: Format,
    /// Show each instance of a `for` or sweep by itself.
    #[arg(long)]
    pub expand: bool,
}

/// The language of a picture.
#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    /// Mermaid: GitHub and GitLab show it in Markdown.
    Mermaid,
    /// Graphviz.
    Dot,
}

/// Prints the picture.
///
/// # Errors
/// Returns the exit code if the pipeline is faulty.
pub fn graph(args: &GraphArgs) -> Result<(), CommandError> {
    let (pipeline, _) = load(&args.pipeline, &args.set)?;
    let picture = Picture::of(&pipeline, args.expand);
    print(&match args.format {
        Format::Mermaid => picture.mermaid(),
        Format::Dot => picture.dot(),
    });
    Ok(())
}
