//! Spec, plan, scheduler, progress: what the binary `engine` is made of.

pub mod expect;
pub mod fault;
pub mod pipeline;
pub mod spec;
pub mod suggest;
