//! The record of a run: `record.json`.

use crate::{Digest, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The version of the format of records. Fields added later have a default and do not change the
/// version, so older records can still be read.
pub const RECORD_VERSION: u32 = 1;

/// The record of a run. The report is a function of this record and the store alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The format, [`RECORD_VERSION`].
    pub version: u32,
    /// The version of the engine.
    pub engine: String,
    /// The study's name.
    pub pipeline: String,
    /// The run's name, which is the name of its folder.
    pub id: String,
    /// The name that its user gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The note that its user wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The words under which its user finds it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The start time (RFC 3339).
    pub started: String,
    /// The duration of the run in seconds.
    pub seconds: f64,
    /// The status at the end of the run.
    pub status: RunStatus,
    /// The command line that started the run.
    pub command: Vec<String>,
    /// The question of the study.
    pub question: Option<String>,
    /// The rows of the report's table.
    pub table: Vec<Row>,
    /// The columns of the table, `METRIC` or `STEP.METRIC`; if there are none, those that the
    /// scores name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// The sweep, if the study has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// True if numbers have intervals over recordings and not over seeds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_recordings: bool,
    /// The figures, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
    /// True if the page plays clips that are files on the same machine.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub audio: bool,
    /// True if only some steps were asked for; such a run is not the latest of its study.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only: bool,
    /// Every step, in the order of the plan.
    pub steps: Vec<StepRecord>,
    /// The ops, in the order in which steps use them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
    /// Warnings of a run that did not fail.
    pub warnings: Vec<String>,
    /// The machine.
    pub environment: Environment,
}

/// The parameters and seeds that vary in a run of several variants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// The parameters, in the order of the sweep: `vae.beta`.
    pub axes: Vec<String>,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The number of variants: points times seeds.
    pub variants: usize,
    /// The number of steps of all variants; a shared step counts once for each.
    pub steps: usize,
    /// True if rows are compared by signed ranks, false for Student's t.
    #[serde(default)]
    pub wilcoxon: bool,
    /// The metric by which points were chosen during the sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// The point that the table shows, if the others only say how far choices matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<(String, Value)>,
    /// The parameter that grows with each rung of a successive halving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

fn yes() -> bool {
    true
}

/// The status of a run at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Every step finished.
    Done,
    /// Some steps failed; steps that do not depend on them finished.
    Partial,
    /// A step failed.
    Failed,
    /// The user stopped the run.
    Interrupted,
}

/// The source of published values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The number of clips that the values are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clips: Option<u64>,
}

impl Published {
    /// True if no field is set.
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
    /// The step with the scores of the Gaussian null reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Published values, by metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paper: BTreeMap<String, f64>,
    /// The source of the published values.
    #[serde(default, skip_serializing_if = "Published::is_nothing")]
    pub published: Published,
    /// The step that compares its clusters with chance and with other choices.
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
    /// The type of the figure: one of those that the reports know.
    pub figure: String,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A caption that explains the figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// The outputs from which it is drawn, by role.
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

/// An op of a run, as it describes itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// The op.
    pub op: String,
    /// Its name in titles.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Its version.
    pub version: u32,
    /// A sentence on what it does.
    pub summary: String,
    /// The libraries with which it agrees, and the publications that it follows.
    pub source: String,
    /// Its uses: the names of steps, and the parameters that are not the defaults.
    pub uses: Vec<(Vec<String>, BTreeMap<String, Value>)>,
}

/// The record of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its name in the pipeline.
    pub name: String,
    /// Its op.
    pub op: String,
    /// All parameters, including defaults.
    pub params: Value,
    /// The inputs: port → `step.port`.
    pub inputs: BTreeMap<String, String>,
    /// The name of its classes, in a word, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The seed, if it draws random numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Its key, if it was known.
    pub key: Option<Digest>,
    /// The status at the end of the run.
    pub status: StepStatus,
    /// The reason for the status.
    pub reason: String,
    /// The outputs: port → digest.
    pub outputs: BTreeMap<String, Digest>,
    /// The warnings of its outputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The shapes of the outputs.
    pub shapes: BTreeMap<String, Shape>,
    /// The duration in seconds; for a hit, that of the run that made the result.
    pub seconds: f64,
    /// The duration in seconds of the op alone, without reading inputs and writing outputs.
    #[serde(default)]
    pub op_seconds: f64,
    /// Seconds of processor time over all threads, divided evenly among steps that run at the same
    /// time.
    #[serde(default)]
    pub cpu_seconds: f64,
    /// Seconds for which the step held GPUs, over all of them: two GPUs for a second are two. Zero
    /// without a GPU.
    #[serde(default, skip_serializing_if = "crate::store::is_nothing")]
    pub gpu_seconds: f64,
    /// The peak memory of the process during the step in bytes; 0 where the system does not tell.
    #[serde(default)]
    pub peak_bytes: u64,
    /// Seconds between the checkpoints that the op saved, such as one each epoch of a training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub laps: Vec<f64>,
    /// Rows taken from an earlier run instead of computed.
    #[serde(default, skip_serializing_if = "crate::store::is_zero")]
    pub rows_reused: usize,
    /// The error, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The status of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// The result was in the store (cache hit).
    Hit,
    /// The step ran.
    Ran,
    /// The step failed.
    Failed,
    /// The step did not run, because a step before it failed or the run was stopped.
    Skipped,
}

/// The machine of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Operating system and architecture.
    pub platform: String,
    /// The processor's name.
    pub processor: String,
    /// The number of threads.
    pub threads: usize,
}

impl Record {
    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&StepRecord> {
        self.steps.iter().find(|step| step.name == name)
    }
}

/// The name of a step without its variant: `map@pca` for `map@pca{seed=0}`.
pub fn without_variant(step: &str) -> &str {
    step.split('{').next().unwrap_or(step)
}
