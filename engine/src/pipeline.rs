//! A checked pipeline: only data and the outside can still fail it.

use crate::run::resources::Needs;
use cache::record::{Figure, PortRef, Published};
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
    /// The seeds of the study, at least one.
    pub seeds: Vec<u64>,
    /// The variants: points of the sweep times seeds.
    pub variants: Variants,
    /// Steps in an order in which each comes after all it reads.
    pub steps: Vec<Step>,
    /// What the report shows.
    pub report: ReportSpec,
    /// The text it was read from.
    pub source: Arc<SourceText>,
    /// What is to be said of the device.
    pub note: crate::devices::Note,
}

/// How many variants there are, and what tells them apart.
#[derive(Clone, Debug, Default)]
pub struct Variants {
    /// What varies, in the order of the sweep: `vae.beta`.
    pub axes: Vec<String>,
    /// Points of the sweep times seeds; 1 where nothing varies.
    pub count: usize,
    /// The steps of all variants, shared ones counted for each.
    pub steps: usize,
    /// What is looked for, where results choose the points.
    pub search: Option<Search>,
}

/// What a sweep looks for whose points are chosen by results.
#[derive(Clone, Debug)]
pub struct Search {
    /// The metric, with its step: `scores.ari`.
    pub objective: String,
    /// The metric alone.
    pub metric: String,
    /// The points so far, by the labels of their values, and the steps with their scores, one a seed.
    pub points: Vec<(Vec<String>, Vec<usize>)>,
    /// Whether the results of these points lead to others.
    pub more: bool,
    /// The parameter that grows from rung to rung.
    pub resource: Option<String>,
}

/// A named use of an op.
pub struct Step {
    /// The name of the instance: `pca`, `groups@pca` for one of a `for`, `groups@pca{beta=2}` for
    /// one that not all variants share.
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
    /// What it takes while it runs.
    pub needs: Needs,
    /// Where its name stands.
    pub span: Span,
    /// Where its parameters' values stand, as far as they are written in the file.
    pub param_places: BTreeMap<String, Place>,
}

/// Where the value of a parameter comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where it is read in the file.
    pub span: Span,
    /// The option `--set` that gave it, as it was typed.
    pub option: Option<String>,
}

impl Step {
    /// Whether a name typed by a user means it: its own, that of its step for all instances and
    /// variants, or `groups@pca` for all variants of one instance.
    pub fn is_called(&self, name: &str) -> bool {
        let base = self.name.split('{').next().unwrap_or_default();
        let step = base.split_once('@').map(|(step, _)| step);
        self.name == name
            || base == name
            || step.is_some_and(|step| step == name.strip_suffix("@*").unwrap_or(name))
    }
}

/// A connection.
#[derive(Clone, Debug)]
pub struct Input {
    /// The port of the reading op; `port@label` where that takes several.
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
    /// Its columns, `METRIC` or `STEP.METRIC`; those that the scores name if there are none.
    pub columns: Vec<String>,
    /// Whether rows are compared by signed ranks rather than by Student's t.
    pub wilcoxon: bool,
    /// Its figures.
    pub figures: Vec<FigureSpec>,
    /// Whether clips stay unheard although they are files.
    pub mute: bool,
}

/// A figure of the report.
#[derive(Clone, Debug, Default)]
pub struct FigureSpec {
    /// What is drawn.
    pub figure: &'static str,
    /// Its title.
    pub title: Option<String>,
    /// What to see in it.
    pub caption: Option<String>,
    /// What it is drawn from, by role: steps, as indices into [`Pipeline::steps`], and their ports.
    pub inputs: BTreeMap<String, Vec<(usize, &'static str)>>,
    /// Other settings.
    pub options: BTreeMap<String, Value>,
}

impl FigureSpec {
    /// The figure as the record holds it.
    pub fn record(&self, pipeline: &Pipeline) -> Figure {
        let port = |(step, port): &(usize, &str)| PortRef {
            step: pipeline.steps[*step].name.clone(),
            port: (*port).to_owned(),
        };
        let inputs = self.inputs.iter();
        Figure {
            figure: self.figure.to_owned(),
            title: self.title.clone(),
            caption: self.caption.clone(),
            inputs: inputs
                .map(|(role, ports)| (role.clone(), ports.iter().map(port).collect()))
                .collect(),
            options: self.options.clone(),
        }
    }
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
    /// Where they are from.
    pub published: Published,
    /// The steps of its columns `STEP.METRIC`, by column.
    pub others: BTreeMap<String, usize>,
    /// The step that holds its clusters against chance and other choices.
    pub companion: Option<usize>,
    /// What the scores depend on of what varies, and its values.
    pub point: Vec<(String, Value)>,
    /// The seed of the variant.
    pub seed: u64,
    /// Where the step is named.
    pub span: Span,
}
