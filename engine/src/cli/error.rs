//! The error that ends a command: a value with its exit code, which is printed once, at the end.

use super::{BAD_INPUT, FAILED};
use crate::{
    model::SourceText,
    ui::{
        diagnostic::{Diagnostic, report_all},
        events::DETAIL,
    },
};
use cache::StoreError;
use std::sync::Arc;
use tracing::error;

/// The error that ends a command.
pub enum CommandError {
    /// A sentence.
    Message {
        /// The exit code.
        code: u8,
        /// A lower-case sentence without a full stop.
        message: String,
    },
    /// Errors of a pipeline, each at its place.
    Pipeline {
        /// The exit code.
        code: u8,
        /// The text that the places are in.
        source: Arc<SourceText>,
        /// The errors, and the warnings beside them.
        diagnostics: Vec<Diagnostic>,
        /// The sentence below them.
        summary: Option<String>,
    },
    /// An end that the output of the command has reported already, by its exit code.
    Shown(u8),
}

impl CommandError {
    /// An error with one sentence.
    pub fn new(code: u8, message: impl std::fmt::Display) -> Self {
        Self::Message { code, message: message.to_string() }
    }

    /// An error of the store.
    pub fn of_store(error: &StoreError) -> Self {
        let code = if matches!(error, StoreError::Unfit { .. }) { BAD_INPUT } else { FAILED };
        Self::new(code, error)
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Message { code, .. } | Self::Pipeline { code, .. } | Self::Shown(code) => *code,
        }
    }

    /// The same error with another exit code.
    #[must_use]
    pub fn with_code(mut self, new: u8) -> Self {
        let (Self::Message { code, .. } | Self::Pipeline { code, .. } | Self::Shown(code)) =
            &mut self;
        *code = new;
        self
    }

    /// Prints the error, unless that was done.
    #[must_use]
    pub fn print(self) -> Self {
        let code = self.code();
        match self {
            Self::Message { message, .. } => error!("{message}"),
            Self::Pipeline { source, diagnostics, summary, .. } => {
                report_all(&source, &diagnostics);
                summary.iter().for_each(|line| error!(target: DETAIL, "{line}"));
            }
            Self::Shown(_) => {}
        }
        Self::Shown(code)
    }
}
