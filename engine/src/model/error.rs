//! The failures of steps.

use cache::StoreError;
use ops::{ErrorKind, OpError};
use serde::{Deserialize, Serialize};

/// The failure of a step, as processes tell it to each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepFailure {
    /// The kind of the error.
    pub kind: ErrorKind,
    /// The parameter that the error is about, if there is one.
    pub param: Option<String>,
    /// The message: a lower-case sentence without a full stop.
    pub message: String,
    /// The advice to the user.
    pub help: Option<String>,
    /// The last lines of the step's log.
    pub log: Vec<String>,
    /// True if the machine is at fault rather than the step, so that another one may succeed.
    #[serde(default)]
    pub of_node: bool,
}

/// The error of a step of a pipeline.
#[derive(Debug)]
pub struct StepError {
    /// The step, as an index into the pipeline.
    pub step: usize,
    /// Its failure.
    pub failure: StepFailure,
}

impl StepFailure {
    /// A failure without a parameter, advice or log.
    pub fn new(kind: ErrorKind, message: String) -> Self {
        Self { kind, param: None, message, help: None, log: Vec::new(), of_node: false }
    }

    /// A failure of the store.
    pub fn of_store(error: &StoreError) -> Self {
        use std::io::ErrorKind::{
            PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
        };
        let new = Self::new(ErrorKind::Failure, error.to_string());
        let StoreError::Io { source, .. } = error else { return new };
        let help =
            "check free space and permissions of the store (`--store`); what was finished is kept";
        let of_node = [PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull]
            .contains(&source.kind());
        Self { of_node, help: Some(help.to_owned()), ..new }
    }
}

impl From<OpError> for StepFailure {
    fn from(error: OpError) -> Self {
        let OpError { kind, param, message, help } = error;
        Self { param: param.map(str::to_owned), help, ..Self::new(kind, message) }
    }
}

impl StepError {
    /// An error without a parameter, advice or log.
    pub fn new(step: usize, kind: ErrorKind, message: String) -> Self {
        Self { step, failure: StepFailure::new(kind, message) }
    }

    /// Names the parameter that the error is about.
    pub fn param(mut self, name: &str) -> Self {
        self.failure.param = Some(name.to_owned());
        self
    }

    /// Adds advice to the user.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.failure.help = Some(help.into());
        self
    }
}
