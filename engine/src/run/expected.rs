//! How long a step is likely to take and what memory it is likely to need: what it took before.

use crate::pipeline::Step;
use cache::store::Finished;
use serde_json::Value;

/// What a step is expected to cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Expected {
    /// Seconds; none if no step of its op has run.
    pub seconds: Option<f64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
}

/// The most that steps of the same op took, of those with most parameters in common.
pub fn expected(step: &Step, history: &[Finished]) -> Expected {
    let params = step.op.params();
    let in_common = |finished: &Finished| {
        let same = |(name, value): (&String, &Value)| params.get(name) == Some(value);
        finished.cache_key.params.iter().filter(|(name, value)| same((name, value))).count()
            as isize
            - finished.cache_key.params.iter().filter(|(name, value)| !same((name, value))).count()
                as isize
    };
    let same_op = history.iter().filter(|finished| finished.cache_key.op == step.entry.name);
    let mut best = (isize::MIN, Expected::default());
    for finished in same_op {
        let common = in_common(finished);
        if common > best.0 {
            best = (common, Expected::default());
        }
        if common == best.0 {
            let Expected { seconds, memory } = &mut best.1;
            *seconds = Some(seconds.unwrap_or(0.0).max(finished.times.seconds));
            let peak = Some(finished.times.peak_bytes).filter(|bytes| *bytes > 0);
            *memory = (*memory).max(peak);
        }
    }
    best.1
}
