//! Errors of ops.

use serde::{Deserialize, Serialize};

/// The cause of an error, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Parameters or data of the user: exit code 2.
    Input,
    /// A failure while running: exit code 1.
    Failure,
    /// A cancelled run: exit code 130.
    Cancelled,
}

/// The error of an op. The engine adds the step and the source position.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct OpError {
    /// The cause.
    pub kind: ErrorKind,
    /// The parameter concerned, if any.
    pub param: Option<&'static str>,
    /// A lower-case sentence without a full stop.
    pub message: String,
    /// Advice for the user.
    pub help: Option<String>,
}

impl OpError {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, param: None, message: message.into(), help: None }
    }

    /// An error of unusable data.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// An error of a parameter.
    pub fn param(name: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(name), ..Self::new(ErrorKind::Input, message) }
    }

    /// A failure that neither parameters nor data caused.
    pub fn failure(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failure, message)
    }

    /// The error of a cancelled run.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled")
    }

    /// Adds advice for the user.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
