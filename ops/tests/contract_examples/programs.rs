//! Programs run as simply as can be: in a folder of files, to their end.

use cache::interchange;
use ops::{Cancel, OpError, Piece, Product, Program, Programs};
use std::process::Command;

/// No log, no time limit, and the environment of the test.
pub struct Plain;

impl Programs for Plain {
    fn run(&self, program: &Program<'_>, _cancel: &dyn Cancel) -> Result<Vec<Product>, OpError> {
        let folder = tempfile::tempdir().expect("a folder");
        let input = |name: &str| folder.path().join(format!("in-{name}"));
        let output = |name: &str| folder.path().join(format!("out-{name}"));
        for (name, artifact) in &program.inputs {
            interchange::write(&input(name), artifact).map_err(OpError::failure)?;
        }
        let word = |pieces: &Vec<Piece<'_>>| -> String {
            let text = |piece: &Piece<'_>| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Input(name) => input(name).display().to_string(),
                Piece::Output(name) => output(name).display().to_string(),
            };
            pieces.iter().map(text).collect()
        };
        let words: Vec<_> = program.command.iter().map(word).collect();
        let variables = program.variables.iter().map(|(name, value)| (name, value));
        let status = Command::new(&words[0]).args(&words[1..]).envs(variables).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err(OpError::failure(format!("`{}` failed", words[0])));
        }
        let read = |name: &str| interchange::read(&output(name)).map_err(OpError::failure);
        program.outputs.iter().map(|(name, _)| Ok(Product::Table(read(name)?))).collect()
    }
}
