//! Steps that are other people's programs.

pub mod command;
mod columns;
mod made;
mod template;
