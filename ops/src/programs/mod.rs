//! Steps that run external programs.

mod columns;
pub mod command;
mod made;
mod picture;
mod template;
