//! The whole way from text to a checked pipeline.

use super::{
    Override, check,
    context::Context,
    expand, link,
    node::{Node, Value},
    outline::{self, Outline},
    overrides, report, steps, unused,
    vars::Variables,
    yaml,
};
use crate::{
    fault::{Fault, Faults, Severity, quote},
    pipeline::{Input, Pipeline, SourceText, Step},
};
use ops::Entry;
use std::{path::Path, sync::Arc};

/// Reads a pipeline of the ops there are; also gives what is odd about it.
///
/// # Errors
/// All faults of the file, if one of them must be put right.
pub fn load(
    path: &Path,
    text: String,
    overrides: &[Override],
) -> Result<(Pipeline, Vec<Fault>), Faults> {
    load_with(path, text, overrides, ops::OPS, |name| std::env::var(name).ok())
}

/// The same with a table of ops and an environment of one's own.
///
/// # Errors
/// All faults of the file, if one of them must be put right.
pub fn load_with(
    path: &Path,
    text: String,
    overrides: &[Override],
    table: &'static [Entry],
    env: fn(&str) -> Option<String>,
) -> Result<(Pipeline, Vec<Fault>), Faults> {
    let source = Arc::new(SourceText { path: path.to_owned(), text });
    let mut cx = Context::new(source.clone());
    let pipeline = read(&mut cx, overrides, table, env);
    let faults = Faults::new(source, cx.faults);
    let bad = faults.faults.iter().any(|fault| fault.severity == Severity::Error);
    match pipeline {
        Some(pipeline) if !bad => Ok((pipeline, faults.faults)),
        _ => Err(faults),
    }
}

fn read(
    cx: &mut Context,
    overrides: &[Override],
    table: &'static [Entry],
    env: fn(&str) -> Option<String>,
) -> Option<Pipeline> {
    let mut root = yaml::parse(cx)?;
    overrides::apply(cx, &mut root, overrides);
    let Outline { name, description, vars, seeds, steps, report } = outline::outline(cx, root);
    let mut vars = Variables::new(cx, vars, env);
    let name = study_name(cx, &mut vars, name);
    let description = description.and_then(|node| vars.fill(cx, &node, &[]).plain());
    let seeds = read_seeds(cx, &mut vars, seeds);

    let mut drafts = Vec::new();
    for (key, fields) in &steps {
        for instance in expand::expand(cx, &mut vars, key, fields) {
            drafts.push(steps::read(cx, table, instance));
        }
    }
    let links = link::link(cx, &drafts);
    let order = link::order(cx, &drafts, &links);
    check::check(cx, &drafts, &links, &order);
    let mut report = report::read(cx, &mut vars, report, &drafts);
    // `--set step.parameter` may put a value where a variable was read.
    if overrides.is_empty() {
        vars.warn_unused(cx);
    }
    let bad = cx.faults.iter().any(|fault| fault.severity == Severity::Error);
    if bad {
        return None;
    }
    unused::warn(cx, &drafts, &links, &report.table);

    // From the order of the file to the order of work.
    let mut place = vec![0; drafts.len()];
    order.iter().enumerate().for_each(|(at, &draft)| place[draft] = at);
    for row in &mut report.table {
        row.scores = place[row.scores];
        row.reference = row.reference.map(|step| place[step]);
    }
    let mut drafts: Vec<Option<_>> = drafts.into_iter().zip(links).map(Some).collect();
    let mut steps = Vec::new();
    for at in order {
        let (draft, links) = drafts[at].take()?;
        let entry = draft.entry?;
        let mut inputs = Vec::new();
        for port in entry.inputs {
            let link = links.iter().find(|link| link.input.is_some_and(|it| it.name == port.name));
            let Some(link) = link else { continue };
            inputs.push(Input {
                port: port.name,
                step: place[link.step],
                output: link.output?.name,
                span: link.node.span.clone(),
            });
        }
        steps.push(Step {
            name: draft.name,
            entry,
            op: draft.op?,
            inputs,
            seed: draft.seed.unwrap_or(seeds[0]),
            own_seed: draft.seed.is_some(),
            device: draft.device,
            place: ops::Device::Cpu,
            retries: draft.retries,
            timeout: draft.timeout,
            span: draft.key.span,
            param_spans: draft.param_spans,
        });
    }
    Some(Pipeline {
        name,
        description,
        seeds,
        steps,
        report,
        source: cx.source.clone(),
        note: crate::devices::Note::default(),
    })
}

fn study_name(cx: &mut Context, vars: &mut Variables, node: Option<Node>) -> String {
    let stem = cx.source.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let fallback = stem.unwrap_or_else(|| "pipeline".to_owned());
    let Some(node) = node else { return fallback };
    let node = vars.fill(cx, &node, &[]);
    if node.is_faulty() {
        return fallback;
    }
    let name = node.plain().unwrap_or_default();
    let fits = |letter: char| letter.is_alphanumeric() || "_-.".contains(letter);
    if !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(fits) {
        return name;
    }
    let shown = if name.is_empty() { node.describe() } else { quote(&name) };
    cx.push(
        Fault::error("spec::name", format!("{shown} cannot be the name of a study"))
            .at(&node, "a folder will have this name")
            .help("use letters, digits, `_`, `-` and `.`"),
    );
    fallback
}

/// The most seeds of one study.
const MOST_SEEDS: i128 = 1000;

fn read_seeds(cx: &mut Context, vars: &mut Variables, node: Option<Node>) -> Vec<u64> {
    let Some(node) = node else { return vec![0] };
    let node = vars.fill(cx, &node, &[]);
    let seeds: Vec<u64> = match &node.value {
        Value::Faulty => return vec![0],
        Value::Int(count @ 1..=MOST_SEEDS) => {
            (0..u64::try_from(*count).expect("small and above 0")).collect()
        }
        Value::List(items) if !items.is_empty() => {
            let mut seeds = Vec::new();
            for item in items {
                let Some(seed) = steps::seed(cx, item) else { continue };
                if seeds.contains(&seed) {
                    cx.push(
                        Fault::error("spec::seed", format!("seed `{seed}` is given twice"))
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
                "`seeds` must be a list of whole numbers or how many (1 to {MOST_SEEDS}), not {}",
                node.describe()
            );
            cx.push(
                Fault::error("spec::seed", message)
                    .at(&node, "not seeds")
                    .help("write `seeds: [0, 1, 2]` or `seeds: 3`"),
            );
            Vec::new()
        }
    };
    match seeds[..] {
        [] => vec![0],
        [_] => seeds,
        [first, ..] => {
            cx.push(
                Fault::warning(
                    "spec::one_seed",
                    format!("several seeds are not run yet: only seed `{first}` is"),
                )
                .at(&node, "the others are left out")
                .help("run it once for each seed with `--set`, or give one seed"),
            );
            seeds
        }
    }
}
