//! `engine completions`: the script with which a shell completes commands and options.

use crate::cli::{CommandError, print};
use clap::ValueEnum;
use clap_complete::{Shell, generate};

/// A shell.
#[derive(Clone, Copy, ValueEnum)]
#[expect(missing_docs, reason = "the names say it")]
pub enum For {
    Bash,
    Zsh,
    Fish,
}

/// Prints the completion script.
///
/// # Errors
/// The function never fails.
pub fn completions(shell: For, mut engine: clap::Command) -> Result<(), CommandError> {
    let shell = match shell {
        For::Bash => Shell::Bash,
        For::Zsh => Shell::Zsh,
        For::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut engine, "engine", &mut script);
    print(&String::from_utf8_lossy(&script));
    Ok(())
}
