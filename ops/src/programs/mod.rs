//! Steps that are other people's programs.

mod columns;
pub mod command;
mod made;
mod template;
