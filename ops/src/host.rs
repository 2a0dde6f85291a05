//! What an op may ask of whoever runs it, besides files: earlier results, and programs.

use crate::op::{Cancel, Detached, OpError};
use cache::{Artifact, FileEntry, Table};

/// What earlier runs of the same step made, with the same parameters and other inputs or files.
///
/// It spares work and never decides a byte: with it and without it an op makes the same.
pub trait PriorOutputs: Sync {
    /// What some of them made at a port.
    fn outputs(&self, port: &str) -> Vec<Artifact>;
}

/// Hears what the user should know although nothing failed.
pub trait Warnings: Sync {
    /// A lower-case sentence without a full stop; it is shown, and kept with the run.
    fn warn(&self, message: &str);
}

/// Runs programs that are not the engine's.
pub trait Programs: Sync {
    /// Writes the inputs, runs the program to its end, and reads what it made at each of
    /// `outputs`, in their order.
    ///
    /// # Errors
    /// When it cannot be started, fails, is cancelled, or leaves out an output.
    fn run(&self, program: &Program<'_>, cancel: &dyn Cancel) -> Result<Vec<Table>, OpError>;
}

/// A program, and the files between it and the engine.
#[derive(Debug)]
pub struct Program<'a> {
    /// The program and its arguments, each in pieces to be joined.
    pub command: Vec<Vec<Piece<'a>>>,
    /// What it reads, by name.
    pub inputs: Vec<(&'a str, &'a Artifact)>,
    /// The names of what it makes.
    pub outputs: Vec<&'a str>,
    /// Variables of its environment.
    pub variables: Vec<(&'a str, String)>,
    /// Names of variables that it sees as the engine does.
    pub passed: &'a [String],
    /// Files whose content decides what it does; they must not change while it runs.
    pub files: &'a [FileEntry],
}

/// A piece of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text as it is.
    Text(String),
    /// The path of the file of an input.
    Input(&'a str),
    /// The path at which the file of an output shall be.
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
