//! The settings that every step may have besides its op's parameters: seed, device, retries,
//! timeout. Its resources are read in `resources`.

use super::{
    context::Context,
    node::{Node, Value},
    quantity::{TIMES, time},
};
use crate::{
    devices,
    ui::{
        diagnostic::{Diagnostic, quote},
        suggest,
    },
};

/// Reads a seed: a whole number of at least 0.
pub fn seed(cx: &mut Context, node: &Node) -> Option<u64> {
    match &node.value {
        Value::Int(value) if u64::try_from(*value).is_ok() => u64::try_from(*value).ok(),
        Value::Faulty => None,
        _ => {
            let message =
                format!("a seed must be a whole number of at least 0, not {}", node.describe());
            cx.push(Diagnostic::error("spec::seed", message).at(node, "not a seed"));
            None
        }
    }
}

/// Reads the device of a step, and returns it as it is written.
pub fn device(cx: &mut Context, node: &Node) -> Option<String> {
    if let Value::Faulty = &node.value {
        return None;
    }
    let known = node.text().filter(|text| devices::parse(text).is_ok());
    if known.is_none() {
        let near = node.text().and_then(|text| match text {
            "gpu" | "GPU" => Some("cuda"),
            _ => suggest::closest(text, ["auto", "cpu", "cuda"]),
        });
        let message = format!(
            "`device` must be `auto`, `cpu`, `cuda`, or `cuda:1` for the second GPU, not {}",
            node.describe()
        );
        cx.push(
            Diagnostic::error("spec::device", message)
                .at(node, "unknown device")
                .maybe_help(near.map(|near| format!("did you mean {}?", quote(near)))),
        );
    }
    known.map(str::to_owned)
}

/// Reads the number of further tries after a failure.
pub fn retries(cx: &mut Context, node: &Node) -> Option<u32> {
    match &node.value {
        Value::Int(value @ 0..=100) => u32::try_from(*value).ok(),
        Value::Faulty => None,
        _ => {
            let message =
                format!("`retries` must be a whole number from 0 to 100, not {}", node.describe());
            cx.push(Diagnostic::error("spec::retries", message).at(node, "how often to try again"));
            None
        }
    }
}

/// Reads the seconds after which a step is stopped.
pub fn timeout(cx: &mut Context, node: &Node) -> Option<f64> {
    let seconds = match &node.value {
        Value::Faulty => return None,
        Value::Int(value) => Some(*value as f64),
        Value::Real(value) => Some(*value),
        Value::Text(text) => time(text).map(|time| time.as_secs_f64()),
        _ => None,
    };
    let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    if seconds.is_none() {
        let message = format!("`timeout` must be a time above 0, not {}", node.describe());
        cx.push(
            Diagnostic::error("spec::timeout", message)
                .at(node, "not a time")
                .help(format!("write {TIMES}")),
        );
    }
    seconds
}
