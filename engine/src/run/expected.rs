//! The expected time and memory of a step, from the costs of earlier steps like it.

use crate::{pipeline::Step, plan::history::History};
use cache::store::Finished;

/// The expected cost of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Expected {
    /// The duration in seconds; none if no step of the op has run.
    pub seconds: Option<f64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
}

/// The largest number of earlier steps of an op that are compared.
const MOST: usize = 64;

/// The most that earlier steps of the same op took, among those that share most parameters with
/// this step.
pub fn expected(step: &Step, history: &History) -> Expected {
    let params = step.op.params();
    let differing = |finished: &Finished| {
        let given = &finished.cache_key.params;
        given.iter().filter(|(name, value)| params.get(name) != Some(value)).count()
    };
    let alike: Vec<_> = history.of_op(step.entry.name).take(MOST).collect();
    let nearest = alike.iter().map(|finished| differing(finished)).min();
    let alike = alike.iter().filter(|finished| Some(differing(finished)) == nearest);
    let times = alike.map(|finished| &finished.times);
    Expected {
        seconds: times.clone().map(|times| times.seconds).max_by(f64::total_cmp),
        memory: times.map(|times| times.peak_bytes).max().filter(|bytes| *bytes > 0),
    }
}
