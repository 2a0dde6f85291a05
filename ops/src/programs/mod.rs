//! Steps that are other people's programs.

pub mod command;
mod made;
mod template;
