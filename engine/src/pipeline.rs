//! A checked pipeline: only data and the outside can still fail it.

use ops::{AnyOp, Entry};
use serde_json::Value;
use std::{collections::BTreeMap, ops::Range, path::PathBuf, sync::Arc};

/// Bytes of the pipeline file.
pub type Span = Range<usize>;

/// The text of a pipeline file and where it came from.
#[derive(Debug)]
pub struct SourceText {
    /// The file, as the user named it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// A checked pipeline.
pub struct Pipeline {
    /// The study's name; the folder of its runs.
    pub name: String,
    /// What it is about, in the author's words.
    pub description: Option<String>,
    /// The seeds of the study, at least one. Steps carry the first of them.
    pub seeds: Vec<u64>,
    /// Steps in an order in which each comes after all it reads.
    pub steps: Vec<Step>,
    /// What the report shows.
    pub report: ReportSpec,
    /// The text it was read from.
    pub source: Arc<SourceText>,
    /// What is to be said of the device.
    pub note: crate::devices::Note,
}

/// A named use of an op.
pub struct Step {
    /// The name of the instance: `pca`, or `groups@pca` for one of a `for`.
    pub name: String,
    /// The op.
    pub entry: &'static Entry,
    /// The op with its parameters.
    pub op: Box<dyn AnyOp>,
    /// What it reads, in the order of the op's ports; optional ports may be absent.
    pub inputs: Vec<Input>,
    /// The seed of everything random in it.
    pub seed: u64,
    /// Whether the seed is written on the step, so that it is the same whatever the study's.
    pub own_seed: bool,
    /// Where it is to run, if the step says so: `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: Option<String>,
    /// Where it runs on this machine; see [`crate::devices::place`].
    pub place: ops::Device,
    /// How often it is tried again when something outside fails.
    pub retries: u32,
    /// Seconds after which it is stopped.
    pub timeout: Option<f64>,
    /// Where its name stands.
    pub span: Span,
    /// Where its parameters' values stand, as far as they are written in the file.
    pub param_spans: BTreeMap<String, Span>,
}

/// A connection.
#[derive(Clone, Debug)]
pub struct Input {
    /// The port of the reading op.
    pub port: &'static str,
    /// The step read from, as an index into [`Pipeline::steps`].
    pub step: usize,
    /// Its output port.
    pub output: &'static str,
    /// Where the connection is written.
    pub span: Span,
}

/// The `report:` section.
#[derive(Clone, Debug, Default)]
pub struct ReportSpec {
    /// What the study asks, in the author's words.
    pub question: Option<String>,
    /// Rows of the main table.
    pub table: Vec<RowSpec>,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct RowSpec {
    /// Its title.
    pub title: String,
    /// The step whose scores it shows.
    pub scores: usize,
    /// The output port that holds them.
    pub output: &'static str,
    /// The step with the scores of a cloud without clusters.
    pub reference: Option<usize>,
    /// Published values to show beside ours, by metric.
    pub paper: BTreeMap<String, f64>,
    /// Where the step is named.
    pub span: Span,
}

/// Parameters as they were understood, defaults filled in.
pub fn params_of(step: &Step) -> Value {
    step.op.params()
}
