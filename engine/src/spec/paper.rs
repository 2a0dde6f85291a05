//! Published values: `paper:` of a row and of the whole table.

use super::{
    columns::unknown_metric,
    context::Context,
    node::{Key, Node, Value},
};
use crate::ui::diagnostic::{Diagnostic, quote};
use cache::record::Published;
use ops::Entry;
use std::collections::BTreeMap;

/// The keys of `paper:` besides the published values, and their documentation.
pub const PAPER_KEYS: &[(&str, &str)] = &[
    ("source", "The publication that the values are from."),
    ("clips", "The number of clips that they are of."),
];

/// The owner of published values.
#[derive(Clone, Copy)]
pub enum ValuesOf {
    /// A row that shows scores of this op.
    Row(&'static Entry),
    /// The whole table: only the source of the values.
    Table,
}

/// Reads published values by metric, and their source.
pub fn read(
    cx: &mut Context,
    key: &Key,
    node: &Node,
    of: ValuesOf,
) -> (BTreeMap<String, f64>, Published) {
    let (mut values, mut published) = (BTreeMap::new(), Published::default());
    let Value::Map(entries) = &node.value else {
        if !node.is_faulty() {
            cx.push(
                Diagnostic::error("spec::paper", "`paper` must be a map of metrics to values")
                    .at_key(key, format!("this holds {}", node.describe()))
                    .help("write `paper: { silhouette: 0.129, ari: 0.056 }`"),
            );
        }
        return (values, published);
    };
    for (key, node) in entries.iter().filter(|(_, node)| !node.is_faulty()) {
        match (key.name.as_str(), &node.value, of) {
            ("source", ..) => match node.plain().filter(|text| !text.trim().is_empty()) {
                Some(text) => published.source = Some(text.trim().to_owned()),
                None => cx.push(type_error(key, "a text", node)),
            },
            ("clips", Value::Int(clips @ 1..=0xffff_ffff), _) => {
                published.clips = u64::try_from(*clips).ok();
            }
            ("clips", ..) => cx.push(type_error(key, "a number of clips", node)),
            (name, _, ValuesOf::Table) => cx.push(
                Diagnostic::error(
                    "spec::paper",
                    format!("`paper` of the table has no {}", quote(name)),
                )
                .at_key(key, "belongs to a row")
                .help("write `source` and `clips` here, and values at the rows"),
            ),
            (name, _, ValuesOf::Row(entry)) => value(cx, (key, name), node, entry, &mut values),
        }
    }
    (values, published)
}

fn type_error(key: &Key, expected: &str, node: &Node) -> Diagnostic {
    let message = format!("{} must be {expected}, not {}", quote(&key.name), node.describe());
    Diagnostic::error("spec::paper", message).at_key(key, "this")
}

fn value(
    cx: &mut Context,
    (key, name): (&Key, &str),
    node: &Node,
    entry: &Entry,
    values: &mut BTreeMap<String, f64>,
) {
    let short = entry.metrics.iter().find(|measure| measure.short.contains(&name));
    let metric = short.map_or(name, |measure| measure.name);
    if let Some(error) = unknown_metric(metric, entry) {
        cx.push(error.at_key(key, "unknown"));
        return;
    }
    let value = match node.value {
        Value::Int(value) => Some(value as f64),
        Value::Real(value) if value.is_finite() => Some(value),
        _ => None,
    };
    match value {
        Some(value) if values.insert(metric.to_owned(), value).is_some() => cx.push(
            Diagnostic::error("spec::paper", format!("`{metric}` is given twice"))
                .at_key(key, "again here, by another name"),
        ),
        Some(_) => {}
        None => {
            let message = format!("{} must be a number, not {}", quote(&key.name), node.describe());
            cx.push(Diagnostic::error("spec::paper", message).at_key(key, "a published value"));
        }
    }
}
