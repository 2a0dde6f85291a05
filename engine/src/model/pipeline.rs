//! A checked pipeline: only data and the host can still make it fail.

use super::{Needs, StepGraph};
use cache::record::{Figure, PortRef, Published};
use ops::{AnyOp, Entry, Port};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A range of bytes in the pipeline file.
pub type Span = Range<usize>;

/// The text of a pipeline file, and its path.
#[derive(Clone, Debug, Default)]
pub struct SourceText {
    /// The path of the file, as the user gave it.
    pub path: PathBuf,
    /// The text of the file, and behind it the texts of the files that it includes. Places of nodes
    /// and of diagnostics are in this text.
    pub text: String,
    /// The files that it includes: the path of each, and where its text begins.
    pub included: Vec<(PathBuf, usize)>,
}

impl SourceText {
    /// A file that includes no others.
    pub fn new(path: PathBuf, text: String) -> Self {
        Self { path, text, included: Vec::new() }
    }

    /// Every file with its own text.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &str)> {
        (0..=self.included.len()).map(|at| {
            let (path, range) = self.file(at);
            (path, &self.text[range])
        })
    }

    /// The file at a place, and the range of its own text.
    pub fn file_at(&self, place: usize) -> (&Path, Span) {
        self.file(self.included.partition_point(|(_, start)| *start <= place))
    }

    /// The file of that number: the pipeline itself is the first.
    fn file(&self, at: usize) -> (&Path, Span) {
        let start = |at: usize| self.included.get(at).map(|(_, start)| *start);
        let before = at.checked_sub(1);
        // A line break stands between two files.
        let end = start(at).map_or(self.text.len(), |next| next - 1);
        match before.and_then(|before| self.included.get(before)) {
            Some((path, start)) => (path, *start..end),
            None => (&self.path, 0..end),
        }
    }
}

/// A checked pipeline.
pub struct Pipeline {
    /// The study's name, which is also the name of the folder of its runs.
    pub name: String,
    /// The description of the study, in the author's words.
    pub description: Option<String>,
    /// The seeds of the study, at least one.
    pub seeds: Vec<u64>,
    /// The variants: points of the sweep times seeds.
    pub variants: Variants,
    /// The steps, each after all steps that it reads.
    pub steps: Vec<Step>,
    /// The contents of the report.
    pub report: ReportSpec,
    /// The text of the pipeline file.
    pub source: Arc<SourceText>,
    /// The graph of the steps.
    pub graph: StepGraph,
    /// The note on the device that `auto` means, if it means one for a step.
    pub note: Option<String>,
}

/// The number of variants, and the parameters in which they differ.
#[derive(Clone, Debug, Default)]
pub struct Variants {
    /// The parameters that vary, in the order of the sweep: `vae.beta`.
    pub axes: Vec<String>,
    /// The points of the sweep times the seeds; 1 where nothing varies.
    pub count: usize,
    /// The number of steps of all variants, shared steps counted for each.
    pub steps: usize,
    /// The search, if results choose the points.
    pub search: Option<Search>,
    /// The point that the table shows, if the points are those of a multiverse.
    pub shown: Vec<(String, Value)>,
    /// The steps of that point.
    pub shown_steps: BTreeSet<usize>,
}

/// The search of a sweep whose points are chosen by results.
#[derive(Clone, Debug)]
pub struct Search {
    /// The metric with its step: `scores.ari`.
    pub objective: String,
    /// The metric without its step.
    pub metric: String,
    /// The points so far: the labels of their values, and their steps with scores, one for each
    /// seed.
    pub points: Vec<(Vec<String>, Vec<usize>)>,
    /// True if the results of these points lead to further points.
    pub more: bool,
    /// The parameter that grows from one rung of a halving search to the next, if there is one.
    pub resource: Option<String>,
}

/// A step of the pipeline: an op with its parameters and inputs.
pub struct Step {
    /// The name of the instance: `pca`, `groups@pca` for one of a `for`, `groups@pca{beta=2}` for
    /// one that only some variants share.
    pub name: String,
    /// The entry of the op in the table of ops.
    pub entry: &'static Entry,
    /// The op with its parameters.
    pub op: Box<dyn AnyOp>,
    /// The output ports.
    pub outputs: &'static [Port],
    /// The inputs, in the order of the op's ports; optional inputs may be absent.
    pub inputs: Vec<Input>,
    /// The seed of all random numbers of the step.
    pub seed: u64,
    /// True if the seed is written on the step, so that it does not depend on the study's seeds.
    pub own_seed: bool,
    /// The device that the step asks for, if it does: `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: Option<String>,
    /// The device of the step on this machine; see `devices::place`.
    pub place: ops::Device,
    /// The number of further tries after a failure outside the engine.
    pub retries: u32,
    /// The seconds after which the step is stopped.
    pub timeout: Option<f64>,
    /// The resources that the step takes while it runs.
    pub needs: Needs,
    /// The place of the step's name in the file.
    pub span: Span,
    /// The places of parameter values that are written in the file.
    pub param_places: BTreeMap<String, Place>,
}

/// The origin of a parameter's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The place in the file where the value is read.
    pub span: Span,
    /// The option `--set` that gave the value, as it was typed.
    pub option: Option<String>,
}

impl Step {
    /// True if a name typed by a user means this step: its own name, the name in the file for all
    /// instances and variants, or `groups@pca` for all variants of one instance.
    pub fn is_called(&self, name: &str) -> bool {
        let base = cache::record::without_variant(&self.name);
        let step = base.split_once('@').map(|(step, _)| step);
        self.name == name
            || base == name
            || step.is_some_and(|step| step == name.strip_suffix("@*").unwrap_or(name))
    }
}

/// A connection between two steps.
#[derive(Clone, Debug)]
pub struct Input {
    /// The port of the reading op; `port@label` if the port takes several inputs.
    pub port: &'static str,
    /// The step that is read, as an index into [`Pipeline::steps`].
    pub step: usize,
    /// The output port of the step that is read.
    pub output: &'static str,
    /// The place where the connection is written.
    pub span: Span,
}

/// The section `report:`.
#[derive(Clone, Debug, Default)]
pub struct ReportSpec {
    /// The question of the study, in the author's words.
    pub question: Option<String>,
    /// The rows of the main table.
    pub table: Vec<RowSpec>,
    /// The columns of the table, `METRIC` or `STEP.METRIC`; if there are none, the columns that the
    /// scores name.
    pub columns: Vec<String>,
    /// True to compare rows by signed ranks, false by Student's t.
    pub wilcoxon: bool,
    /// True to show no intervals over seeds.
    pub only_recordings: bool,
    /// The figures.
    pub figures: Vec<FigureSpec>,
    /// True if the report plays no clips, although they are files.
    pub mute: bool,
}

/// A figure of the report.
#[derive(Clone, Debug, Default)]
pub struct FigureSpec {
    /// The kind of the figure.
    pub figure: &'static str,
    /// The title of the figure.
    pub title: Option<String>,
    /// The caption of the figure.
    pub caption: Option<String>,
    /// The inputs by role: steps, as indices into [`Pipeline::steps`], and their ports.
    pub inputs: BTreeMap<String, Vec<(usize, &'static str)>>,
    /// The other settings of the figure.
    pub options: BTreeMap<String, Value>,
}

impl FigureSpec {
    /// The figure in the form of the record.
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
    /// The title of the row.
    pub title: String,
    /// The step that gives the scores of the row.
    pub scores: usize,
    /// The output port of the scores.
    pub output: &'static str,
    /// The step with the scores of the Gaussian null reference.
    pub reference: Option<usize>,
    /// Published values to show beside the row's own, by metric.
    pub paper: BTreeMap<String, f64>,
    /// The publication of those values.
    pub published: Published,
    /// The steps of the columns `STEP.METRIC`, by column.
    pub others: BTreeMap<String, usize>,
    /// The step that compares the row's clusters with chance and with other choices.
    pub companion: Option<usize>,
    /// The point of the sweep: the parameters that the scores depend on, and their values.
    pub point: Vec<(String, Value)>,
    /// The seed of the variant.
    pub seed: u64,
    /// The place where the step is named.
    pub span: Span,
}
