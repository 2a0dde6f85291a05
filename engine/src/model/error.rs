//! The error of a step.

use cache::StoreError;
use ops::{ErrorKind, OpError};
use std::borrow::Cow;

/// The error of a step.
#[derive(Debug)]
pub struct StepError {
    /// The step, as an index into the pipeline.
    pub step: usize,
    /// The parameter that the error is about, if there is one.
    pub param: Option<Cow<'static, str>>,
    /// The kind of the error.
    pub kind: ErrorKind,
    /// The message: a lower-case sentence without a full stop.
    pub message: String,
    /// The advice to the user.
    pub help: Option<String>,
    /// The last lines of the step's log.
    pub log: Vec<String>,
}

impl StepError {
    /// An error without a parameter, advice or log.
    pub fn new(step: usize, kind: ErrorKind, message: String) -> Self {
        Self { step, param: None, kind, message, help: None, log: Vec::new() }
    }

    /// The error that an op returned.
    pub fn of_op(step: usize, error: OpError) -> Self {
        let OpError { kind, param, message, help } = error;
        Self { param: param.map(Cow::Borrowed), help, ..Self::new(step, kind, message) }
    }

    /// An error of the store.
    pub fn of_store(step: usize, error: &StoreError) -> Self {
        let help = matches!(error, StoreError::Io { .. })
            .then(|| "check free space and permissions of the store (`--store`); what was finished is kept".to_owned());
        Self { help, ..Self::new(step, ErrorKind::Failure, error.to_string()) }
    }
}
