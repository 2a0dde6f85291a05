//! Services of the program that runs an op: progress, files, checkpoints, outputs of earlier runs,
//! warnings, and external programs.

use crate::error::OpError;
use cache::{Artifact, Digest, FileEntry, Table, Tensors};
use std::path::PathBuf;

/// Receives the progress of a step.
pub trait Progress: Sync {
    /// Reports that `done` of `total` units are finished; `note` is shown beside them ("loss
    /// 0.41").
    fn at(&self, done: u64, total: u64, note: &str);
}

/// Tells if a run was cancelled.
pub trait Cancel: Sync {
    /// True from the moment of cancellation on.
    fn is_cancelled(&self) -> bool;
}

/// Finds files by content.
pub trait Locate: Sync {
    /// A path of a file with this content, if one is known.
    fn path_of(&self, content: &Digest) -> Option<PathBuf>;
}

/// Checkpoints of long work, numbered by their position, such as the epoch.
pub trait Checkpoints: Sync {
    /// The checkpoint with the largest number that is not above `at_most`.
    fn load(&self, at_most: u64) -> Option<(u64, Tensors)>;
    /// Keeps a checkpoint.
    ///
    /// # Errors
    /// When the store refuses it.
    fn save(&self, at: u64, state: &Tensors) -> Result<(), OpError>;
}

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
    /// Writes the inputs, runs the program to its end, and reads each of `outputs`, in their order.
    ///
    /// # Errors
    /// When the program cannot be started, fails, is cancelled, or does not write an output.
    fn run(&self, program: &Program<'_>, cancel: &dyn Cancel) -> Result<Vec<Product>, OpError>;
}

/// An external program with its inputs and outputs.
#[derive(Debug)]
pub struct Program<'a> {
    /// The program and its arguments, each in pieces that are joined.
    pub command: Vec<Vec<Piece<'a>>>,
    /// The inputs, by name.
    pub inputs: Vec<(&'a str, &'a Artifact)>,
    /// The names of the outputs, and how they are read.
    pub outputs: Vec<(&'a str, Form)>,
    /// The environment in which it runs, if not in that of the engine.
    pub within: Option<ProgramEnvironment<'a>>,
    /// The environment variables that are set.
    pub variables: Vec<(&'a str, String)>,
    /// The names of environment variables that are passed on unchanged.
    pub passed: &'a [String],
    /// Files on whose content the result depends; they must not change during the run.
    pub files: &'a [FileEntry],
}

/// The form in which an output of a program is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a table in Parquet.
    Table,
    /// As the bytes of a file.
    File {
        /// The extension of its path.
        ending: &'static str,
        /// The most bytes that are read.
        at_most: u64,
    },
}

impl Form {
    /// The extension of its path.
    pub fn ending(self) -> &'static str {
        match self {
            Form::Table => "parquet",
            Form::File { ending, .. } => ending,
        }
    }
}

/// The content of an output of a program.
#[derive(Clone, Debug, PartialEq)]
pub enum Product {
    /// A table.
    Table(Table),
    /// The bytes of a file.
    File(Vec<u8>),
    /// A file that is longer than [`Form::File`] allows.
    TooLong,
}

/// The environment of an external program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramEnvironment<'a> {
    /// Python with the packages of a file of requirements.
    Python(&'a str),
    /// The conda environment of a file.
    Conda(&'a str),
    /// A container: the file of its image, or its name.
    Container(&'a str),
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

/// A host without services: no progress, cancellation, files, checkpoints, earlier runs or external
/// programs. It is for tests and for calling an op as a library.
pub struct Detached;

impl Progress for Detached {
    fn at(&self, _done: u64, _total: u64, _note: &str) {}
}

impl Cancel for Detached {
    fn is_cancelled(&self) -> bool {
        false
    }
}

impl Locate for Detached {
    fn path_of(&self, _content: &Digest) -> Option<PathBuf> {
        None
    }
}

impl Checkpoints for Detached {
    fn load(&self, _at_most: u64) -> Option<(u64, Tensors)> {
        None
    }
    fn save(&self, _at: u64, _state: &Tensors) -> Result<(), OpError> {
        Ok(())
    }
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
    fn run(&self, _program: &Program<'_>, _cancel: &dyn Cancel) -> Result<Vec<Product>, OpError> {
        Err(OpError::failure("nobody is here to run programs"))
    }
}
