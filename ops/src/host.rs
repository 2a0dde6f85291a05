//! Services of the program that runs an op, besides files: outputs of earlier runs, warnings, and
//! external programs.

use crate::op::{Cancel, Detached, OpError};
use cache::{Artifact, FileEntry, Table};

/// Outputs of earlier runs of the same step, with the same parameters and other inputs or files.
///
/// They only save work: the result of an op is the same without them.
pub trait PriorOutputs: Sync {
    /// The outputs of some earlier runs at a port.
    fn outputs(&self, port: &str) -> Vec<Artifact>;
}

/// Receives warnings, which do not fail a step.
pub trait Warnings: Sync {
    /// Adds a warning, a lower-case sentence without a full stop; it is shown and kept with the
    /// run.
    fn warn(&self, message: &str);
}

/// Runs external programs.
pub trait Programs: Sync {
    /// Writes the inputs, runs the program to its end, and reads the table of each of `outputs`, in
    /// their order.
    ///
    /// # Errors
    /// When the program cannot be started, fails, is cancelled, or does not write an output.
    fn run(&self, program: &Program<'_>, cancel: &dyn Cancel) -> Result<Vec<Table>, OpError>;
}

/// An external program with its inputs and outputs.
#[derive(Debug)]
pub struct Program<'a> {
    /// The program and its arguments, each in pieces that are joined.
    pub command: Vec<Vec<Piece<'a>>>,
    /// The inputs, by name.
    pub inputs: Vec<(&'a str, &'a Artifact)>,
    /// The names of the outputs.
    pub outputs: Vec<&'a str>,
    /// The environment variables that are set.
    pub variables: Vec<(&'a str, String)>,
    /// The names of environment variables that are passed on unchanged.
    pub passed: &'a [String],
    /// Files on whose content the result depends; they must not change during the run.
    pub files: &'a [FileEntry],
}

/// A piece of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Literal text.
    Text(String),
    /// The path of the file of an input.
    Input(&'a str),
    /// The path for the file of an output.
    Output(&'a str),
}

impl PriorOutputs for Detached {
    fn outputs(&self, _port: &str) -> Vec<Artifact> {
        Vec::new()
    }
}

impl Warnings for Detached {
    fn warn(&self, _message: &str) {}
}

impl Programs for Detached {
    fn run(&self, _program: &Program<'_>, _cancel: &dyn Cancel) -> Result<Vec<Table>, OpError> {
        Err(OpError::failure("nobody is here to run programs"))
    }
}
