//! The columns of the report's table: metrics of the rows' scores, and `STEP.METRIC` of other
//! steps.

use super::{
    context::Context,
    link::Names,
    node::{Key, Node, Value},
    report::scores_port,
    steps::Draft,
    vars::Variables,
};
use crate::{
    model::RowSpec,
    ui::{
        diagnostic::{Diagnostic, quote},
        suggest,
    },
};
use ops::{Entry, Measure};
use std::collections::BTreeSet;

/// Every metric that some op can have, each once.
pub fn metrics() -> Vec<&'static Measure> {
    let mut metrics: Vec<&Measure> = Vec::new();
    for measure in ops::OPS.iter().flat_map(|entry| entry.metrics) {
        if !metrics.iter().any(|other| other.name == measure.name) {
            metrics.push(measure);
        }
    }
    metrics
}

/// A diagnostic if the scores of an op cannot hold a metric. Those of a user's program can hold
/// any.
pub fn unknown_metric(metric: &str, entry: &Entry) -> Option<Diagnostic> {
    if entry.open || entry.metrics.iter().any(|measure| measure.name == metric) {
        return None;
    }
    let known: Vec<&str> = entry.metrics.iter().map(|measure| measure.name).collect();
    let message = format!("there is no metric {}", quote(metric));
    let help = suggest::help(metric, &known, "the metrics are");
    Some(Diagnostic::error("spec::unknown_metric", message).maybe_help(help))
}

/// Reads `columns:`, and finds the steps of the other columns for each row.
pub fn read(
    cx: &mut Context,
    vars: &mut Variables,
    (key, node): (&Key, &Node),
    drafts: &[Draft],
    table: &mut [RowSpec],
) -> Vec<String> {
    const EXAMPLE: &str = "write `columns: [silhouette, ari, STEP.METRIC]`";
    let node = vars.fill(cx, node, &[]);
    let Value::List(items) = &node.value else {
        if !node.is_faulty() {
            let message = format!("`columns` must be a list of metrics, not {}", node.describe());
            cx.push(Diagnostic::error("spec::report", message).at_key(key, "this").help(EXAMPLE));
        }
        return Vec::new();
    };
    let mut columns: Vec<String> = Vec::new();
    for item in items {
        let Some(name) = item.text().map(str::trim).filter(|name| !name.is_empty()) else {
            if !item.is_faulty() {
                let message = format!("a column is the name of a metric, not {}", item.describe());
                cx.push(
                    Diagnostic::error("spec::report", message).at(item, "no name").help(EXAMPLE),
                );
            }
            continue;
        };
        if columns.iter().any(|column| column == name) {
            let message = format!("the column {} is given twice", quote(name));
            cx.push(Diagnostic::error("spec::report", message).at(item, "again here"));
            continue;
        }
        columns.push(name.to_owned());
        match name.rsplit_once('.') {
            None => check_own_metric(cx, item, name, drafts, table),
            Some((step, metric)) => other(cx, item, (name, step, metric), drafts, table),
        }
    }
    columns
}

/// Checks a metric of the rows' own scores: some row must be able to have it.
fn check_own_metric(
    cx: &mut Context,
    node: &Node,
    metric: &str,
    drafts: &[Draft],
    table: &[RowSpec],
) {
    let errors = table.iter().filter_map(|row| drafts[row.scores].entry);
    let errors: Vec<_> = errors.map(|entry| unknown_metric(metric, entry)).collect();
    if let Some(Some(error)) =
        errors.iter().all(Option::is_some).then(|| errors.into_iter().next()).flatten()
    {
        cx.push(error.at(node, "no row has it"));
    }
}

/// Finds the steps of a column `STEP.METRIC`. The column belongs to the rows that depend on the
/// step, or on all that the step reads.
fn other(
    cx: &mut Context,
    node: &Node,
    (column, step, metric): (&str, &str, &str),
    drafts: &[Draft],
    table: &mut [RowSpec],
) {
    let names = Names::new(drafts);
    let instances = names.instance_names(step);
    let first = match instances.first() {
        Some(instance) => names.find(instance),
        None => names.find(step),
    };
    let at = match first {
        Ok((at, None)) => at,
        Ok((_, Some(_))) | Err(_) => {
            let (message, help) = names.find(step).err().unwrap_or_default();
            let message = match message.is_empty() {
                true => format!("{} is an output; a column is `STEP.METRIC`", quote(step)),
                false => message,
            };
            let error = Diagnostic::error("spec::unknown_step", message).at(node, "shown here");
            cx.push(error.maybe_help(help));
            return;
        }
    };
    if scores_port(cx, &names, at, None, node).is_none() {
        return;
    }
    if let Some(error) = drafts[at].entry.and_then(|entry| unknown_metric(metric, entry)) {
        cx.push(error.at(node, "not among its scores"));
        return;
    }
    let is_meant = |draft: &Draft| draft.key.name == step || draft.base == step;
    let producers: Vec<usize> = (0..drafts.len()).filter(|at| is_meant(&drafts[*at])).collect();
    let mut found = false;
    for row in table {
        let ancestors = ancestors(drafts, row.scores);
        let belongs = |at: &usize| {
            let reads: Vec<usize> = drafts[*at].sources.iter().map(|source| source.1).collect();
            ancestors.contains(at)
                || !reads.is_empty() && reads.iter().all(|at| ancestors.contains(at))
        };
        let mut fits: Vec<usize> = producers.iter().copied().filter(belongs).collect();
        // Of several steps that read the same, the one of the row's own instance and seed is meant.
        let label = |at: usize| drafts[at].base.split_once('@').map(|it| it.1);
        let keeps: [&dyn Fn(&usize) -> bool; 2] =
            [&|at| label(*at) == label(row.scores), &|at| drafts[*at].study_seed == row.seed];
        for keep in keeps {
            if fits.len() > 1 && fits.iter().any(keep) {
                fits.retain(keep);
            }
        }
        match fits[..] {
            [] => {}
            [at] => {
                found = true;
                row.others.insert(column.to_owned(), at);
            }
            _ => {
                let message = format!(
                    "the column {} means {} steps in the row {}",
                    quote(column),
                    fits.len(),
                    quote(&row.title)
                );
                let help = format!("name one of them, such as `{}.{metric}`", drafts[fits[0]].base);
                cx.push(
                    Diagnostic::error("spec::report", message).at(node, "which one?").help(help),
                );
                return;
            }
        }
    }
    if !found {
        let message = format!("no row of the table has the column {}", quote(column));
        let help = format!(
            "a column `STEP.METRIC` is shown in the rows that are made of what {} makes or of all that it reads",
            quote(step)
        );
        cx.push(Diagnostic::error("spec::report", message).at(node, "in no row").help(help));
    }
}

/// A step and all steps that it depends on.
fn ancestors(drafts: &[Draft], step: usize) -> BTreeSet<usize> {
    let (mut ancestors, mut next) = (BTreeSet::from([step]), vec![step]);
    while let Some(at) = next.pop() {
        next.extend(drafts[at].sources.iter().map(|it| it.1).filter(|it| ancestors.insert(*it)));
    }
    ancestors
}
