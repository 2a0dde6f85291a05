//! The shapes of what steps read and make, as far as they are known before the steps run.

use super::{Planned, cost::closest, history::elements, reasons::Reasons};
use crate::model::{Input, Pipeline, Step};
use cache::{CacheKey, Kind, Shape, store::Finished};
use ops::Port;

/// The bytes that a number takes in memory.
const NUMBER: u64 = 4;
/// The bytes that a row without features takes, about: a name, a label, a few numbers.
const ROW: u64 = 64;

/// The shapes of a step's outputs: those of its result, or what the op derives from the shapes that
/// it reads. The number of rows of a source follows from the number of files now and before.
pub fn planned_outputs(
    reasons: &Reasons<'_>,
    index: usize,
    key: &CacheKey,
    finished: Option<&Finished>,
    before: &[Planned],
) -> Vec<Shape> {
    let step = &reasons.pipeline.steps[index];
    let port = |name: &str| step.outputs.iter().position(|port| port.name == name);
    if let Some(finished) = finished {
        let mut shapes: Vec<Shape> =
            step.outputs.iter().map(|port| Shape::of(port.kinds[0])).collect();
        for (name, object) in &finished.outputs {
            if let Some(at) = port(name) {
                shapes[at] = object.shape.clone();
            }
        }
        return shapes;
    }
    let inputs = planned_inputs(reasons.pipeline, index, before);
    let mut shapes = step.op.check(&inputs).unwrap_or_default();
    let further = step.outputs.get(shapes.len()..).filter(|_| !shapes.is_empty());
    shapes.extend(further.into_iter().flatten().map(|port| Shape::of(port.kinds[0])));
    let unknown = |shape: &Shape| shape.rows.is_none() && shape.kind != Kind::Model;
    if !shapes.iter().any(unknown) {
        return shapes;
    }
    let Some((model, grown)) = closest(reasons, index, key, None) else { return shapes };
    for (name, object) in &model.outputs {
        let Some(shape) = port(name).and_then(|at| shapes.get_mut(at)) else { continue };
        if let Some(rows) = object.shape.rows.filter(|_| unknown(shape)) {
            shape.rows = Some((rows as f64 * grown).round() as usize);
            shape.row = shape.row.take().or_else(|| object.shape.row.clone());
        }
    }
    shapes
}

/// The shapes of the inputs of a planned step, in the order of its ports, as far as they are known.
pub fn planned_inputs(pipeline: &Pipeline, index: usize, before: &[Planned]) -> Vec<Option<Shape>> {
    of_inputs(&pipeline.steps[index], |input| {
        let outputs = pipeline.steps[input.step].outputs;
        let at = outputs.iter().position(|port| port.name == input.output)?;
        before[input.step].shapes.get(at).cloned()
    })
}

/// The shapes of the inputs of a step, in the order of its ports. `shape` gives the shape of one
/// input, if it is known.
pub fn of_inputs(step: &Step, shape: impl Fn(&Input) -> Option<Shape>) -> Vec<Option<Shape>> {
    let of_port = |port: &Port| shape(step.inputs.iter().find(|input| port.takes(input.port))?);
    step.op.inputs().iter().map(of_port).collect()
}

/// Bytes that an artifact of this shape takes in memory.
pub fn in_memory(shape: &Shape) -> Option<u64> {
    match (shape.rows, elements(shape)) {
        (Some(_), Some(numbers)) if shape.row.is_some() => Some(numbers.saturating_mul(NUMBER)),
        (Some(rows), _) => Some((rows as u64).saturating_mul(ROW)),
        (None, _) if matches!(shape.kind, Kind::Clips | Kind::Spectrogram | Kind::Matrix) => None,
        // Models and similar artifacts have no known size before they are made, and are small.
        (None, _) => Some(0),
    }
}
