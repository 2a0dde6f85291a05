//! The expected cost of a step: time, memory and disk, from earlier steps like it and from the
//! sizes of what it reads and makes.

use super::{
    Planned,
    history::{History, elements},
    keys::FILES,
    memory,
    reasons::Reasons,
    shapes::{in_memory, planned_inputs},
};
use cache::{CacheKey, Shape, store::Finished};

/// A prediction. Unknown values are none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// The duration in seconds.
    pub seconds: Option<f64>,
    /// Bytes in memory: the peak of a process that ran such a step before, or else the size of
    /// inputs and outputs; the work between them may take more.
    pub memory: Option<u64>,
    /// Bytes that the outputs take in the store.
    pub disk: Option<u64>,
}

/// The most steps of equal parameters that are compared to find the one nearest in size.
const MAX_SIMILAR: usize = 32;
/// The expected cost of a step that runs.
pub fn of(
    reasons: &Reasons<'_>,
    index: usize,
    key: &CacheKey,
    shapes: &[Shape],
    before: &[Planned],
) -> Cost {
    let (step, history) = (&reasons.pipeline.steps[index], reasons.history);
    let read: Vec<Option<&Shape>> = step
        .inputs
        .iter()
        .map(|input| {
            let outputs = reasons.pipeline.steps[input.step].outputs;
            let at = outputs.iter().position(|port| port.name == input.output)?;
            before[input.step].shapes.get(at)
        })
        .collect();
    let size: Option<u64> =
        read.iter().map(|shape| elements((*shape)?)).sum::<Option<u64>>().filter(|size| *size > 0);
    let like = closest(reasons, index, key, size);
    let held: Option<u64> = shapes.iter().chain(read.into_iter().flatten()).map(in_memory).sum();
    let estimated = memory::estimate(step, &planned_inputs(reasons.pipeline, index, before));
    Cost {
        seconds: like.map(|(like, grown)| {
            let share = fresh(step.entry, key, like, shapes);
            like.times.seconds * grown * share * work_ratio(step.entry, key, like)
        }),
        memory: like.and_then(|(like, _)| peak(history, like, held)).or(held).max(estimated),
        disk: disk(reasons, index, shapes, like),
    }
}

/// The earlier step that is most like this one, and the ratio of the sizes that the two read.
pub(super) fn closest<'h>(
    reasons: &Reasons<'h>,
    index: usize,
    key: &CacheKey,
    size: Option<u64>,
) -> Option<(&'h Finished, f64)> {
    let history: &'h History = reasons.history;
    let files = key.inputs.get(FILES).map(|_| &reasons.files[index]);
    let grown = |step: &Finished| -> f64 {
        let sizes = match files {
            Some(files) => {
                let noted = step.cache_key.inputs.get(FILES);
                let noted = noted.and_then(|digest| reasons.store.noted_files(digest));
                noted.map(|noted| (noted.len() as u64, files.len() as u64))
            }
            None => history.read_by(step).zip(size),
        };
        match sizes {
            Some((old, new)) if old > 0 && new > 0 => new as f64 / old as f64,
            _ => 1.0,
        }
    };
    let similar = history.similar(key);
    let similar = similar.iter().take(MAX_SIMILAR).map(|step| (*step, grown(step)));
    let apart = |grown: f64| grown.max(1.0 / grown);
    similar.min_by(|(_, a), (_, b)| apart(*a).total_cmp(&apart(*b)))
}

/// For a row-wise step, the part of the rows that it computes, divided by the part that the earlier
/// step computed: rows that the same op with the same parameters has made are reused.
fn fresh(entry: &ops::Entry, key: &CacheKey, like: &Finished, shapes: &[Shape]) -> f64 {
    let made = like.outputs.values().filter_map(|object| object.shape.rows).max();
    let (Some(before), Some(now), true) =
        (made, shapes.iter().filter_map(|shape| shape.rows).max(), entry.row_wise)
    else {
        return 1.0;
    };
    let same = CacheKey { inputs: key.inputs.clone(), ..like.cache_key.clone() } == *key;
    let left = if same && now > before { now - before } else { now };
    let computed = before.saturating_sub(like.times.rows_reused);
    if computed == 0 || now == 0 {
        return 1.0;
    }
    (left as f64 / now as f64) / (computed as f64 / before as f64)
}

/// The expected peak memory: the peak of an earlier step, plus the growth of inputs and outputs, as
/// far as their size is known.
fn peak(history: &History, like: &Finished, held: Option<u64>) -> Option<u64> {
    let peak = Some(like.times.peak_bytes).filter(|peak| *peak > 0)?;
    let Some(held) = held else { return Some(peak) };
    let read = like.cache_key.inputs.values().filter_map(|content| history.object(content));
    let before: u64 =
        read.chain(like.outputs.values()).filter_map(|object| in_memory(&object.shape)).sum();
    Some((peak + held).saturating_sub(before).max(held))
}

/// The ratio of the work of two steps by their progressive parameters, such as a number of epochs.
fn work_ratio(entry: &ops::Entry, new: &CacheKey, old: &Finished) -> f64 {
    let schema = (!entry.progressive.is_empty()).then(|| entry.schema());
    let value = |key: &CacheKey, name: &str| {
        let default = || schema.as_ref()?.pointer(&format!("/properties/{name}/default"));
        key.params.get(name).or_else(default)?.as_f64().filter(|value| *value > 0.0)
    };
    let ratio = |name: &&str| Some(value(new, name)? / value(&old.cache_key, name)?);
    entry.progressive.iter().filter_map(ratio).product()
}

/// The bytes of files: in proportion to an earlier step, or else four for each number.
fn disk(
    reasons: &Reasons<'_>,
    index: usize,
    shapes: &[Shape],
    like: Option<(&Finished, f64)>,
) -> Option<u64> {
    let ports = reasons.pipeline.steps[index].outputs;
    let (mut total, mut known) = (0, false);
    for (port, shape) in ports.iter().zip(shapes) {
        let before = like.and_then(|(like, _)| like.outputs.get(port.name));
        let bytes = match (before, elements(shape)) {
            (Some(object), Some(size)) => match elements(&object.shape) {
                Some(old) if old > 0 => object.bytes as f64 * size as f64 / old as f64,
                _ => object.bytes as f64,
            },
            (Some(object), None) => object.bytes as f64,
            (None, Some(_)) => in_memory(shape)? as f64,
            // Models and similar artifacts have no known size before they are made.
            (None, None) => continue,
        };
        known = true;
        total += bytes as u64;
    }
    known.then_some(total)
}

#[cfg(test)]
mod tests {
    use super::work_ratio;
    use cache::{CacheKey, key::KEY_FORMAT, store::Finished};
    use std::collections::BTreeMap;

    fn key(op: &str, params: &[(&str, i64)]) -> CacheKey {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
        CacheKey {
            format: KEY_FORMAT,
            op: op.to_owned(),
            version: 1,
            params: params.collect(),
            inputs: BTreeMap::new(),
            seed: None,
            numerics: None,
        }
    }

    #[test]
    fn what_goes_twice_as_far_takes_twice_as_long() {
        let mut ops = ops::OPS.iter().filter(|entry| !entry.progressive.is_empty());
        let entry = ops.next().expect("an op that goes on from where it stopped");
        let param = entry.progressive[0];
        let old = key(entry.name, &[(param, 10)]);
        let old = Finished {
            key: old.digest(),
            cache_key: old,
            outputs: BTreeMap::new(),
            times: Default::default(),
            warnings: Vec::new(),
        };
        assert_eq!(work_ratio(entry, &key(entry.name, &[(param, 20)]), &old), 2.0);
        let default = entry.schema();
        let default = default.pointer(&format!("/properties/{param}/default"));
        let default = default.and_then(serde_json::Value::as_f64).expect("a default");
        assert_eq!(work_ratio(entry, &key(entry.name, &[]), &old), default / 10.0);
    }
}
