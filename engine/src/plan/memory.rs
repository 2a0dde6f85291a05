//! The memory of a step, estimated from the shapes that it reads. A step that does not fit is
//! refused before it starts.

use super::shapes::in_memory;
use crate::{
    model::{Limits, Step, StepError},
    ui::{diagnostic::quote, size},
};
use cache::Shape;
use ops::{Device, ErrorKind};

/// The bytes of memory that a step takes at its peak: as its op says, or else the size of what it
/// reads and makes. `read` is in the order of the op's ports.
pub fn estimate(step: &Step, read: &[Option<Shape>]) -> Option<u64> {
    // On a GPU the work itself is done elsewhere, and the engine holds only inputs and outputs.
    let own = if step.place == Device::Cpu { step.op.memory(read) } else { None };
    let held = || {
        let made = step.op.check(read).ok()?;
        made.iter()
            .chain(read.iter().flatten())
            .map(in_memory)
            .try_fold(0, |all: u64, bytes| Some(all.saturating_add(bytes?)))
    };
    own.or_else(held)
}

/// The error of a step that needs more memory than there is; none if it fits. A memory limit that
/// is written in the pipeline is trusted.
pub fn refusal(
    index: usize,
    step: &Step,
    read: &[Option<Shape>],
    limits: &Limits,
) -> Option<StepError> {
    if step.needs.memory.is_some() {
        return None;
    }
    let bytes = estimate(step, read).filter(|bytes| *bytes > limits.max_memory)?;
    let message = format!(
        "it would take about {} of memory, and there are {}",
        size::bytes(bytes),
        size::bytes(limits.max_memory)
    );
    let less = match most_rows(step, read, limits) {
        Some(rows) => format!("about {rows} rows would fit: give it fewer"),
        None => format!("give {} less to do", quote(&step.name)),
    };
    let help = format!("{less}, or state what it takes: `resources: {{ memory: 8GB }}`");
    Some(StepError::new(index, ErrorKind::Input, message).help(help))
}

/// The number of rows with which the step would fit, in two digits, if all inputs with as many rows as the first
/// had so many.
fn most_rows(step: &Step, read: &[Option<Shape>], limits: &Limits) -> Option<usize> {
    let rows = read.first()?.as_ref()?.rows?;
    let fits = |count: usize| {
        let fewer = |shape: &Shape| match shape.rows == Some(rows) {
            true => shape.clone().with_rows(Some(count)),
            false => shape.clone(),
        };
        let read: Vec<_> = read.iter().map(|shape| shape.as_ref().map(fewer)).collect();
        estimate(step, &read).is_some_and(|bytes| bytes <= limits.max_memory)
    };
    let (mut least, mut most) = (0, rows);
    while most - least > 1 {
        let middle = least + (most - least) / 2;
        if fits(middle) { least = middle } else { most = middle }
    }
    let scale = 10_usize.pow(least.checked_ilog10()?.saturating_sub(1));
    Some(least / scale * scale)
}
