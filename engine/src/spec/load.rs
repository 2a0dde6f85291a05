//! Loads a pipeline: the whole way from text to a checked pipeline.

use super::{
    Override,
    cells::Varied,
    check, companions,
    context::Context,
    expand_variants::{self, Variant},
    include::{self, PipelineTree},
    leaks,
    link::{self, Link},
    multiverse,
    node::{Node, Value},
    outline::{self, Outline},
    overrides, report,
    search::Results,
    settings, steps, sweep, unused,
    vars::Variables,
};
use crate::{
    model::{FigureSpec, Input, Pipeline, SourceText, Step, StepGraph, Variants},
    ui::{
        diagnostic::{Diagnostic, Diagnostics, Severity, quote},
        visible::visible,
    },
};
use cache::regular;
use ops::{Entry, ports::labelled};
use std::{borrow::Cow, collections::BTreeSet, io, path::Path, sync::Arc};

/// Loads a pipeline with the ops of the engine; also returns its warnings.
///
/// # Errors
/// Returns all diagnostics of the file if one of them is an error.
pub fn load(
    path: &Path,
    text: String,
    overrides: &[Override],
) -> Result<(Pipeline, Vec<Diagnostic>), Diagnostics> {
    load_searched(path, text, overrides, &Results::default())
}

/// Loads a pipeline with the known results that choose further points of a sweep.
///
/// # Errors
/// Returns all diagnostics of the file if one of them is an error.
pub fn load_searched(
    path: &Path,
    text: String,
    overrides: &[Override],
    results: &Results,
) -> Result<(Pipeline, Vec<Diagnostic>), Diagnostics> {
    read_all(
        (path, text),
        &regular::read,
        overrides,
        ops::OPS,
        |name| std::env::var(name).ok(),
        results,
    )
}

/// Loads a pipeline from the texts of an earlier [`SourceText`], whatever the files hold now.
///
/// # Errors
/// Returns all diagnostics of the file if one of them is an error.
pub fn load_kept(
    source: &SourceText,
    overrides: &[Override],
    results: &Results,
) -> Result<(Pipeline, Vec<Diagnostic>), Diagnostics> {
    let kept = |path: &Path, _: u64| {
        let mut files = source.files();
        let found = files.find(|(own, _)| *own == path).ok_or(io::ErrorKind::NotFound)?;
        Ok(found.1.as_bytes().to_vec())
    };
    let text = source.files().next().map_or_else(String::new, |(_, text)| text.to_owned());
    let env = |name: &str| std::env::var(name).ok();
    read_all((&source.path, text), &kept, overrides, ops::OPS, env, results)
}

/// Loads a pipeline with another table of ops and another environment.
///
/// # Errors
/// Returns all diagnostics of the file if one of them is an error.
pub fn load_with(
    path: &Path,
    text: String,
    overrides: &[Override],
    table: &'static [Entry],
    env: fn(&str) -> Option<String>,
) -> Result<(Pipeline, Vec<Diagnostic>), Diagnostics> {
    read_all((path, text), &regular::read, overrides, table, env, &Results::default())
}

fn read_all(
    (path, text): (&Path, String),
    files: include::Reader<'_>,
    overrides: &[Override],
    table: &'static [Entry],
    env: fn(&str) -> Option<String>,
    results: &Results,
) -> Result<(Pipeline, Vec<Diagnostic>), Diagnostics> {
    let PipelineTree { source, root, diagnostics } = include::read_tree(path, text, files);
    let source = Arc::new(source);
    let mut cx = Context::new(source.clone());
    cx.diagnostics = diagnostics;
    let pipeline = root.and_then(|root| read(&mut cx, root, overrides, table, env, results));
    let diagnostics = Diagnostics::new(source, cx.diagnostics);
    let bad = diagnostics.diagnostics.iter().any(|error| error.severity == Severity::Error);
    match pipeline {
        Some(pipeline) if !bad => Ok((pipeline, diagnostics.diagnostics)),
        _ => Err(diagnostics),
    }
}

fn read(
    cx: &mut Context,
    mut root: Node,
    overrides: &[Override],
    table: &'static [Entry],
    env: fn(&str) -> Option<String>,
    results: &Results,
) -> Option<Pipeline> {
    overrides::apply(cx, &mut root, overrides);
    let mut outline = outline::outline(cx, root);
    companions::add(&mut outline, table);
    let Outline { name, description, vars, seeds, steps, sweep, multiverse, report } = outline;
    let mut vars = Variables::new(cx, vars, env);
    let name = study_name(cx, &mut vars, name);
    let description = description.and_then(|node| vars.fill(cx, &node, &[]).plain());
    let seeds_node = seeds;
    let seeds = read_seeds(cx, &mut vars, seeds_node.as_ref());
    let first = sweep.as_ref().map(|(key, _)| key);
    let grid = multiverse::grid(cx, &mut vars, table, multiverse, first, &steps);
    let is_multiverse = grid.is_some();
    let sweep = sweep::read(cx, &mut vars, grid.or(sweep), &steps, seeds.len(), results);

    let (instances, variants) =
        expand_variants::expand_variants(cx, &mut vars, table, &sweep, &seeds, &steps);
    unused::warn_of_axes(cx, &sweep, &instances, (&seeds, seeds_node.as_ref()));
    let drafts: Vec<_> =
        instances.into_iter().map(|instance| steps::read(cx, table, instance)).collect();
    let links = link::link(cx, &drafts);
    let order = link::order(cx, &drafts, &links);
    check::check(cx, &drafts, &links, &order);
    let varied = Varied { sweep: &sweep, variants: &variants };
    let mut report = report::read(cx, &mut vars, report, &drafts, &varied);
    const CURVE: &str = "specification_curve";
    if is_multiverse
        && sweep.points.len() >= reports::figures::MIN_SPECIFICATIONS
        && !report.table.is_empty()
        && report.figures.iter().all(|it| it.figure != CURVE)
    {
        report.figures.push(FigureSpec { figure: CURVE, ..FigureSpec::default() });
    }
    let mut search = report::objective(cx, &drafts, &varied);
    // `--set step.parameter` may have replaced the place where a variable was read.
    if overrides.is_empty() {
        vars.warn_unused(cx);
    }
    let bad = cx.diagnostics.iter().any(|error| error.severity == Severity::Error);
    if bad {
        return None;
    }
    leaks::warn(cx, &drafts, &links, &order);
    unused::warn(cx, &drafts, &links, &report);

    // Changes indices from the order of the file to the order of the plan.
    let mut place = vec![0; drafts.len()];
    order.iter().enumerate().for_each(|(at, &draft)| place[draft] = at);
    for row in &mut report.table {
        row.scores = place[row.scores];
        row.reference = row.reference.map(|step| place[step]);
        row.companion = row.companion.map(|step| place[step]);
        row.others.values_mut().for_each(|step| *step = place[*step]);
    }
    for step in
        search.iter_mut().flat_map(|search| search.points.iter_mut().flat_map(|it| &mut it.1))
    {
        *step = place[*step];
    }
    let shown = report.figures.iter_mut().flat_map(|figure| figure.inputs.values_mut().flatten());
    shown.for_each(|(step, _)| *step = place[*step]);
    let mut drafts: Vec<Option<_>> = drafts.into_iter().zip(links).map(Some).collect();
    let mut steps = Vec::new();
    for at in order {
        let (draft, links) = drafts[at].take()?;
        let entry = draft.entry?;
        let mut inputs = Vec::new();
        for port in draft.inputs() {
            let own = |link: &&Link| link.input.is_some_and(|it| it.name == port.name);
            for link in links.iter().filter(own) {
                inputs.push(Input {
                    port: link.label.as_ref().map_or(port.name, |it| labelled(port.name, it)),
                    step: place[link.step],
                    output: link.output?.name,
                    span: link.node.span.clone(),
                });
            }
        }
        steps.push(Step {
            name: draft.name,
            entry,
            op: draft.op?,
            outputs: draft.outputs,
            inputs,
            seed: draft.seed.unwrap_or(draft.study_seed),
            own_seed: draft.seed.is_some(),
            device: draft.device,
            place: ops::Device::Cpu,
            retries: draft.retries,
            timeout: draft.timeout,
            needs: draft.needs,
            span: draft.key.span,
            param_places: draft.param_places,
        });
    }
    let variants = Variants {
        axes: sweep.axes.iter().map(|axis| axis.key.name.clone()).collect(),
        count: variants.len(),
        steps: variants.iter().map(Variant::steps).sum(),
        shown: match is_multiverse {
            true => {
                sweep.axes.iter().map(|it| (it.key.name.clone(), it.values[0].json())).collect()
            }
            false => Vec::new(),
        },
        shown_steps: match is_multiverse {
            true => variants
                .iter()
                .filter(|it| it.point == 0)
                .flat_map(Variant::all)
                .map(|step| place[step])
                .collect(),
            false => BTreeSet::new(),
        },
        search,
    };
    let (source, graph) = (cx.source.clone(), StepGraph::of(&steps));
    Some(Pipeline { name, description, seeds, variants, steps, graph, report, source, note: None })
}

fn study_name(cx: &mut Context, vars: &mut Variables, node: Option<Node>) -> String {
    let stem = cx.source.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let fallback = stem.filter(|it| it != LATEST).unwrap_or_else(|| "pipeline".to_owned());
    let Some(node) = node else { return fallback };
    let node = vars.fill(cx, &node, &[]);
    if node.is_faulty() {
        return fallback;
    }
    let name = node.plain().unwrap_or_default();
    // Words of many scripts contain marks that are not letters.
    let is_written = |letter: char| !letter.is_ascii() && !letter.is_whitespace();
    let fits =
        |letter: char| letter.is_alphanumeric() || "_-.".contains(letter) || is_written(letter);
    let is_short = name.chars().count() <= 100 && name.len() <= MAX_NAME_BYTES;
    let is_harmless = matches!(visible(&name), Cow::Borrowed(_));
    if name == LATEST {
        cx.push(
            Diagnostic::error("spec::name", "`latest` cannot be the name of a study")
                .at(&node, "a command takes it for the newest run of any study")
                .help("take another name"),
        );
        return fallback;
    }
    if !name.is_empty()
        && is_short
        && is_harmless
        && !name.starts_with('.')
        && name.chars().all(fits)
    {
        return name;
    }
    let shown = if name.is_empty() { node.describe() } else { quote(&name) };
    cx.push(
        Diagnostic::error("spec::name", format!("{shown} cannot be the name of a study"))
            .at(&node, "a folder will have this name")
            .help("use letters of any script, digits, `_`, `-` and `.`"),
    );
    fallback
}

/// The word of commands for the newest run.
const LATEST: &str = "latest";

/// The most bytes of a study's name: file systems allow 255, and names of runs are appended.
const MAX_NAME_BYTES: usize = 200;

/// The most seeds of one study.
const MAX_SEEDS: i128 = 1000;

fn read_seeds(cx: &mut Context, vars: &mut Variables, node: Option<&Node>) -> Vec<u64> {
    let Some(node) = node else { return vec![0] };
    let node = vars.fill(cx, node, &[]);
    let seeds: Vec<u64> = match &node.value {
        Value::Faulty => return vec![0],
        Value::Int(count @ 1..=MAX_SEEDS) => {
            (0..u64::try_from(*count).expect("small and above 0")).collect()
        }
        Value::List(items) if !items.is_empty() => {
            let mut seeds = Vec::new();
            for item in items {
                let Some(seed) = settings::seed(cx, item) else { continue };
                if seeds.contains(&seed) {
                    cx.push(
                        Diagnostic::error("spec::seed", format!("seed `{seed}` is given twice"))
                            .at(item, "the same seed gives the same numbers"),
                    );
                } else {
                    seeds.push(seed);
                }
            }
            seeds
        }
        _ => {
            let message = format!(
                "`seeds` must be a list of whole numbers or how many (1 to {MAX_SEEDS}), not {}",
                node.describe_or_empty()
            );
            cx.push(
                Diagnostic::error("spec::seed", message)
                    .at(&node, "not seeds")
                    .help("write `seeds: [0, 1, 2]` or `seeds: 3`"),
            );
            Vec::new()
        }
    };
    if seeds.is_empty() { vec![0] } else { seeds }
}
