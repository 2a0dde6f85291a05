//! The data that the stages of the engine hand to each other: a pipeline with its steps, the
//! options of a run, and the errors of steps. It computes nothing and uses no other module.

mod error;
mod graph;
mod options;
mod pipeline;
mod profile;
mod request;

pub use error::{StepError, StepFailure};
pub use graph::StepGraph;
pub use options::{Gpu, GpuContent, Limits, Needs, Options, STEPS_ON_ONE};
pub use pipeline::{
    FigureSpec, Input, Pipeline, Place, ReportSpec, RowSpec, Search, SourceText, Span, Step,
    Variants,
};
pub use profile::{Profile, WorkerKind};
pub use request::{StepRequest, StepResult};

/// The source files of every step, scanned before anything runs.
pub type Files = Vec<Vec<cache::FileEntry>>;
