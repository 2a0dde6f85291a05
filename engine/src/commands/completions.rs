//! `engine completions`: the script with which a shell completes commands and options.

use crate::cli::{CommandError, print};
use clap::ValueEnum;
use clap_complete::{Shell, generate};

/// A shell.
#[derive(Clone, Copy, ValueEnum)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SupportedShell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the completion script.
///
/// # Errors
/// The function never fails.
pub fn completions(shell: SupportedShell, mut engine: clap::Command) -> Result<(), CommandError> {
    let shell = match shell {
        SupportedShell::Bash => Shell::Bash,
        SupportedShell::Zsh => Shell::Zsh,
        SupportedShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut engine, "engine", &mut script);
    print(&String::from_utf8_lossy(&script));
    Ok(())
}
