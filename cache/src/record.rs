//! What a run did: `record.json`.

use crate::{Digest, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Version of the record's form. What is added later has a default and leaves the version as it is, so
/// older records are read as they are.
pub const RECORD_VERSION: u32 = 1;

/// What a run did. The report is a function of this and the store alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// The version of the engine.
    pub engine: String,
    /// The study's name.
    pub pipeline: String,
    /// The run's name: the folder it lies in.
    pub id: String,
    /// When it started (RFC 3339).
    pub started: String,
    /// How long it took in all.
    pub seconds: f64,
    /// How it ended.
    pub status: RunStatus,
    /// The command that made it.
    pub command: Vec<String>,
    /// What the study asks.
    pub question: Option<String>,
    /// The rows of its table.
    pub table: Vec<Row>,
    /// The columns of its table, `METRIC` or `STEP.METRIC`; those that the scores name if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// What varies, if something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// Its figures, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
    /// Whether its page lets a reader hear clips that are files on the same machine.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub audio: bool,
    /// Whether only some of its steps were asked for; such a run is not the latest of its study.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only: bool,
    /// Every step, in the order of the plan.
    pub steps: Vec<StepRecord>,
    /// What the user should know although nothing failed.
    pub warnings: Vec<String>,
    /// The machine.
    pub environment: Environment,
}

/// What varies in a run of several variants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// The parameters, in the order of the sweep: `vae.beta`.
    pub axes: Vec<String>,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Points times seeds.
    pub variants: usize,
    /// The steps of all variants, shared ones counted for each.
    pub steps: usize,
    /// Whether rows are compared by signed ranks rather than by Student's t.
    #[serde(default)]
    pub wilcoxon: bool,
    /// The metric by which points were chosen while the sweep ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// The parameter that grows from rung to rung of a search by halving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

fn yes() -> bool {
    true
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Every step is there.
    Done,
    /// Some steps failed; what did not depend on them is there.
    Partial,
    /// A step failed.
    Failed,
    /// The user stopped it.
    Interrupted,
}

/// Where published values are from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How many clips they are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clips: Option<u64>,
}

impl Published {
    /// Whether it says nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A row of the report's table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its title.
    pub title: String,
    /// The step whose scores it shows.
    pub scores: String,
    /// The step with the scores of a cloud without clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Published values, by metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paper: BTreeMap<String, f64>,
    /// Where the published values are from.
    #[serde(default, skip_serializing_if = "Published::is_nothing")]
    pub published: Published,
    /// The step that holds its clusters against chance and other choices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub companion: Option<String>,
    /// The steps of its columns `STEP.METRIC`, by column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, String>,
    /// The point of the sweep: swept parameter and its value, in the order of the sweep. Rows of one
    /// title and one point are repetitions of one cell with other seeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub point: Vec<(String, Value)>,
    /// The seed of this repetition.
    #[serde(default)]
    pub seed: u64,
}

/// A figure of the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What is drawn: one of the kinds that the reports know.
    pub figure: String,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What to see in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// What it is drawn from, by role.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Vec<PortRef>>,
    /// Other settings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, Value>,
}

/// An output of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRef {
    /// The step.
    pub step: String,
    /// Its port.
    pub port: String,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its name in the pipeline.
    pub name: String,
    /// Its op.
    pub op: String,
    /// All its parameters, defaults too.
    pub params: Value,
    /// What it reads: port → `step.port`.
    pub inputs: BTreeMap<String, String>,
    /// The seed, if it draws random numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Its key, if it was known.
    pub key: Option<Digest>,
    /// What became of it.
    pub status: StepStatus,
    /// Why.
    pub reason: String,
    /// What it made: port → digest.
    pub outputs: BTreeMap<String, Digest>,
    /// What its outputs warn of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The shapes of what it made.
    pub shapes: BTreeMap<String, Shape>,
    /// How long it took; for a hit, how long it had taken when it was made.
    pub seconds: f64,
    /// The op alone, without reading inputs and keeping outputs.
    #[serde(default)]
    pub op_seconds: f64,
    /// Seconds of processor time, over all threads; shared evenly with steps at the same time.
    #[serde(default)]
    pub cpu_seconds: f64,
    /// Seconds for which it held GPUs, over all of them: two GPUs for a second are two. None of a step
    /// that had none.
    #[serde(default, skip_serializing_if = "crate::store::is_nothing")]
    pub gpu_seconds: f64,
    /// The most bytes the process held meanwhile; 0 where the system does not say.
    #[serde(default)]
    pub peak_bytes: u64,
    /// Seconds between the states that the op saved on its way: of a training, each epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub laps: Vec<f64>,
    /// Rows that were taken from an earlier run instead of being computed.
    #[serde(default, skip_serializing_if = "crate::store::is_zero")]
    pub rows_reused: usize,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Its result was there.
    Hit,
    /// It ran.
    Ran,
    /// It failed.
    Failed,
    /// It did not run, because something before it failed or the run was stopped.
    Skipped,
}

/// The machine a run was made on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Operating system and architecture.
    pub platform: String,
    /// The processor's name.
    pub processor: String,
    /// Threads the run used.
    pub threads: usize,
}

impl Record {
    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&StepRecord> {
        self.steps.iter().find(|step| step.name == name)
    }
}
