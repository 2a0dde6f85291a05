//! The section `resources:` of a step: the resources that it takes while it runs.

use super::{
    context::Context,
    node::{Key, Node, Value},
    quantity::{SIZES, TIMES, bytes, time},
};
use crate::{
    model::Needs,
    ui::{
        diagnostic::{Diagnostic, quote},
        suggest,
    },
};

/// The keys of `resources:` and their documentation.
pub const RESOURCE_KEYS: &[(&str, &str)] = &[
    ("threads", "The number of threads that it takes from steps at the same time; 1 if not given."),
    (
        "memory",
        "The memory it takes: bytes, or a text such as `500MB` or `2GiB`; what it took before if \
         not said.",
    ),
    ("gpu", "The number of whole GPUs that it takes."),
    (
        "gpu_memory",
        "The memory of one GPU that it takes, beside other steps on it; what its network needs if \
         not said and it is a model on a GPU.",
    ),
    (
        "time",
        "The longest time it takes, such as `2h`, for the scheduler of a cluster; the time that it took before if not given.",
    ),
];

/// Reads the section `resources:`.
pub fn read(cx: &mut Context, node: &Node) -> Needs {
    let mut needs = Needs::default();
    let Value::Map(entries) = &node.value else {
        if !node.is_faulty() {
            let message = format!("`resources` must be a map, not {}", node.describe());
            cx.push(
                Diagnostic::error("spec::resources", message)
                    .at(node, "this")
                    .help("write `resources: { threads: 2, memory: 4GB }`"),
            );
        }
        return needs;
    };
    for (key, value) in entries {
        match key.name.as_str() {
            _ if value.is_faulty() => {}
            "threads" => needs.threads = count(cx, key, value, 1),
            "gpu" => needs.gpus = count(cx, key, value, 0).unwrap_or(0),
            "gpu_memory" => needs.gpu_memory = memory(cx, key, value),
            "memory" => needs.memory = memory(cx, key, value),
            "time" => needs.time = seconds(cx, value),
            _ => {
                let known: Vec<&str> = RESOURCE_KEYS.iter().map(|(name, _)| *name).collect();
                let message = format!("`resources` has no entry {}", quote(&key.name));
                cx.push(
                    Diagnostic::error("spec::unknown_entry", message)
                        .at_key(key, "unknown")
                        .maybe_help(suggest::help(&key.name, &known, "the entries are")),
                );
            }
        }
    }
    needs
}

fn count(cx: &mut Context, key: &Key, node: &Node, least: usize) -> Option<usize> {
    let number = match &node.value {
        Value::Int(value) => usize::try_from(*value).ok().filter(|value| *value >= least),
        _ => None,
    };
    if number.is_none() {
        let (name, got) = (quote(&key.name), node.describe());
        let message = format!("{name} must be a whole number of at least {least}, not {got}");
        cx.push(Diagnostic::error("spec::resources", message).at(node, "how many"));
    }
    number
}

fn seconds(cx: &mut Context, node: &Node) -> Option<u64> {
    let time = match &node.value {
        Value::Int(value) => time(&value.to_string()),
        Value::Real(value) => time(&value.to_string()),
        Value::Text(text) => time(text),
        _ => None,
    };
    let seconds = time.map(|time| time.as_secs_f64().ceil() as u64);
    let seconds = seconds.filter(|seconds| (1..1 << 30).contains(seconds));
    if seconds.is_none() {
        let message = format!("`time` must be a time above 0, not {}", node.describe());
        cx.push(
            Diagnostic::error("spec::resources", message)
                .at(node, "how long")
                .help(format!("write {TIMES}")),
        );
    }
    seconds
}

fn memory(cx: &mut Context, key: &Key, node: &Node) -> Option<u64> {
    let bytes = match &node.value {
        Value::Int(value) => u64::try_from(*value).ok(),
        Value::Text(text) => bytes(text),
        _ => None,
    };
    if bytes.is_none() {
        let (name, got) = (quote(&key.name), node.describe());
        let message = format!("{name} must be a number of bytes, not {got}");
        cx.push(
            Diagnostic::error("spec::resources", message)
                .at(node, "how much")
                .help(format!("write {SIZES}")),
        );
    }
    bytes
}
