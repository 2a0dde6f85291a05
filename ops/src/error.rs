//! Why an op could not do its work.

/// Whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The user's parameters or data: exit code 2.
    Input,
    /// Something failed while running: exit code 1.
    Failure,
    /// The run was cancelled: exit code 130.
    Cancelled,
}

/// Why an op could not do its work. The engine adds step and place.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct OpError {
    /// Whose fault it was.
    pub fault: ErrorKind,
    /// The parameter it is about, if it is about one.
    pub param: Option<&'static str>,
    /// A lower-case sentence without a full stop.
    pub message: String,
    /// What the user can do.
    pub help: Option<String>,
}

impl OpError {
    fn new(fault: ErrorKind, message: impl Into<String>) -> Self {
        Self { fault, param: None, message: message.into(), help: None }
    }

    /// The data is unfit.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// A parameter is unfit.
    pub fn param(name: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(name), ..Self::new(ErrorKind::Input, message) }
    }

    /// Something failed that is neither parameters nor data.
    pub fn failure(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failure, message)
    }

    /// The run was cancelled.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled")
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
