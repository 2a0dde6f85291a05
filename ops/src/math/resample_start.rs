//! The start of a resampled signal, at which a chain of filters differs from a single filter.

use super::{mel::dot, resample_chain::Filter};

/// Computes the first outputs of a chain of filters, filter by filter. The ringing of a filter
/// before the start of the signal is not passed to the next one. A recording that starts in the
/// middle of a sound therefore differs from the output of a single filter with the combined
/// response, until the filters after the first are past the start.
pub(super) struct Start {
    stages: Vec<Stage>,
}

/// A filter with the weights of its inputs for each output that is needed.
struct Stage {
    up: usize,
    down: usize,
    /// The number of inputs before an output's position that it uses; the first outputs use zeros
    /// there.
    lead: usize,
    inputs: usize,
    outputs: usize,
    /// The weights for each phase in turn.
    weights: Vec<Vec<f32>>,
}

/// The buffers of one thread.
#[derive(Default)]
pub(super) struct Scratch {
    inputs: Vec<f32>,
    outputs: Vec<f32>,
}

impl Start {
    /// Plans the first `outputs` of a chain.
    pub fn new(filters: &[Filter], outputs: usize) -> Self {
        let mut stages = Vec::new();
        let mut wanted = outputs;
        for filter in filters.iter().rev() {
            let stage = Stage::new(filter, wanted);
            wanted = stage.inputs;
            stages.push(stage);
        }
        stages.reverse();
        Self { stages }
    }

    /// The number of input samples that are used.
    pub fn reach(&self) -> usize {
        self.stages.first().map_or(0, |first| first.inputs)
    }

    /// Overwrites the start of `out`, as far as it reaches.
    pub fn process(&self, signal: &[f32], scratch: &mut Scratch, out: &mut [f32]) {
        let Some(first) = self.stages.first() else { return };
        let Scratch { inputs, outputs } = scratch;
        inputs.clear();
        inputs.resize(first.lead, 0.0);
        inputs.extend_from_slice(&signal[..signal.len().min(first.inputs)]);
        inputs.resize(first.lead + first.inputs, 0.0);
        for (at, stage) in self.stages.iter().enumerate() {
            outputs.clear();
            outputs.resize(self.stages.get(at + 1).map_or(0, |next| next.lead), 0.0);
            outputs.extend((0..stage.outputs).map(|n| {
                let weights = &stage.weights[n % stage.weights.len()];
                dot(weights, &inputs[n * stage.down / stage.up..][..weights.len()])
            }));
            std::mem::swap(inputs, outputs);
        }
        let count = inputs.len().min(out.len());
        out[..count].copy_from_slice(&inputs[..count]);
    }
}

impl Stage {
    fn new(filter: &Filter, outputs: usize) -> Self {
        let Filter { up, down, reach, .. } = *filter;
        let lead = reach.ceil() as usize;
        let weights = |n: usize| {
            let ahead = lead as f64 + (n * down % up) as f64 / up as f64;
            (0..2 * lead + 2).map(|k| filter.tap(ahead - k as f64) as f32).collect()
        };
        Self {
            up,
            down,
            lead,
            inputs: (outputs.max(1) - 1) * down / up + lead + 2,
            outputs,
            weights: (0..up.min(outputs)).map(weights).collect(),
        }
    }
}
