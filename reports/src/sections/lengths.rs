//! Remarks on clips that were padded or cut to one length although classes differ in length: the
//! original length alone then tells something about the class.

use crate::scores::output;
use cache::{Kind, Record, Shape, Store, StoreError, Table, record::StepRecord};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The remarks on each step that brings clips to one length (`duration`).
///
/// # Errors
/// When its clips are missing from the store or damaged.
pub fn remarks(record: &Record, store: &Store) -> Result<Vec<String>, StoreError> {
    let mut remarks = Vec::new();
    let mut known = BTreeSet::new();
    for step in &record.steps {
        let duration = step.params.get("duration").and_then(Value::as_f64);
        let is_of_frames = output(step, Kind::Spectrogram).is_some();
        let Some(duration) = duration.filter(|seconds| is_of_frames && *seconds > 0.0) else {
            continue;
        };
        for source in step.inputs.values().filter_map(|source| source.rsplit_once('.')) {
            let Some(maker) = record.step(source.0) else { continue };
            let (Some(clips), Some(labels)) = (of_kind(maker, source.1), classes(maker)) else {
                continue;
            };
            if !known.insert((clips, *labels, duration.to_bits())) {
                continue;
            }
            let (clips, labels) = (store.get(clips)?, store.get(labels)?);
            let tables = clips.as_table().zip(labels.as_table());
            if let Some(classes) =
                tables.and_then(|(clips, labels)| by_class(clips, labels, duration))
            {
                remarks.extend(describe(&classes, duration));
            }
        }
    }
    remarks.dedup();
    Ok(remarks)
}

/// The digest of the classes of a source.
fn classes(step: &StepRecord) -> Option<&cache::Digest> {
    step.outputs.get(port_of_classes(&step.shapes)?)
}

/// The port of the classes among those of a source, which may have its further columns as labels too.
fn port_of_classes(shapes: &BTreeMap<String, Shape>) -> Option<&str> {
    let mut ports = shapes.iter().filter(|(_, shape)| shape.kind == Kind::Labels);
    let first = ports.clone().next();
    Some(ports.find(|(port, _)| *port == "labels").or(first)?.0)
}

/// The digest of the clips at a port, if it holds clips.
fn of_kind<'r>(step: &'r StepRecord, port: &str) -> Option<&'r cache::Digest> {
    step.shapes.get(port).filter(|shape| shape.kind == Kind::Clips)?;
    step.outputs.get(port)
}

/// The padding and cutting of the clips of a class.
#[derive(Clone, Copy, Debug, Default)]
struct Class {
    clips: usize,
    /// The padding of all clips in seconds.
    padding: f64,
    /// The number of clips that were cut.
    cut: usize,
}

fn by_class(clips: &Table, labels: &Table, duration: f64) -> Option<BTreeMap<String, Class>> {
    let ids = clips.text("clip_id")?;
    let frames = clips.ints("frames")?.iter().zip(clips.ints("sample_rate")?);
    let class: HashMap<&String, &String> =
        labels.text("clip_id")?.iter().zip(labels.text("label")?).collect();
    let mut classes: BTreeMap<String, Class> = BTreeMap::new();
    for (id, (frames, rate)) in ids.iter().zip(frames).filter(|(_, (_, rate))| **rate > 0) {
        let Some(class) = class.get(id) else { continue };
        let class = classes.entry((*class).clone()).or_default();
        let wanted = duration * *rate as f64;
        class.clips += 1;
        class.padding += (wanted - *frames as f64).max(0.0) / *rate as f64;
        // A difference of one sample is rounding.
        class.cut += usize::from(*frames as f64 > wanted + 1.0);
    }
    Some(classes)
}

fn describe(classes: &BTreeMap<String, Class>, duration: f64) -> Vec<String> {
    let padded = |class: &Class| 100.0 * class.padding / (duration * class.clips as f64);
    let cut = |class: &Class| 100.0 * class.cut as f64 / class.clips as f64;
    let mut sentences = Vec::new();
    if let Some(range) = range(classes, padded) {
        sentences.push(format!(
            "Clips shorter than {duration} s are padded with silence, which is {range} of the time, by class: the \
             length of a clip alone tells something of its class."
        ));
    }
    if let Some(range) = range(classes, cut) {
        let all: usize = classes.values().map(|class| class.cut).sum();
        sentences.push(format!(
            "Clips longer than {duration} s are cut, {all} in all: {range} of the clips, by class. What comes later in them is \
             not in these numbers."
        ));
    }
    sentences
}

/// `28 % (flute) to 49 % (drum)`, where classes differ by whole percents.
fn range(classes: &BTreeMap<String, Class>, share: impl Fn(&Class) -> f64) -> Option<String> {
    let shares = classes.iter().map(|(name, class)| (name, share(class).round()));
    let shares: Vec<(&String, f64)> = shares.collect();
    // The first of equal ones.
    let least = shares.iter().rev().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let most = shares.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1))?;
    (least.1 < most.1)
        .then(|| format!("{} % (`{}`) to {} % (`{}`)", least.1, least.0, most.1, most.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(frames: [i64; 4]) -> Vec<String> {
        let ids = ["a", "b", "c", "d"];
        let clips = Table::new()
            .with_text("clip_id", ids)
            .with_ints("frames", frames.to_vec())
            .with_ints("sample_rate", vec![100; 4]);
        let labels =
            Table::new().with_text("clip_id", ids).with_text("label", ["x", "x", "y", "y"]);
        describe(&by_class(&clips, &labels, 2.0).expect("classes"), 2.0)
    }

    #[test]
    fn classes_are_not_another_column_of_their_source() {
        let kinds = [("clips", Kind::Clips), ("group", Kind::Labels), ("labels", Kind::Labels)];
        let mut shapes: BTreeMap<String, Shape> =
            kinds.iter().map(|(port, kind)| ((*port).to_owned(), Shape::of(*kind))).collect();
        assert_eq!(port_of_classes(&shapes), Some("labels"));
        shapes.remove("labels");
        assert_eq!(port_of_classes(&shapes), Some("group"));
    }

    #[test]
    fn lengths_are_told_where_classes_differ() {
        let padded = sentences([100, 200, 100, 50]);
        assert_eq!(padded.len(), 1, "{padded:?}");
        assert!(padded[0].contains("25 % (`x`) to 63 % (`y`) of the time, by class"), "{padded:?}");
        let cut = sentences([201, 200, 300, 200]);
        assert_eq!(cut.len(), 1, "{cut:?}");
        assert!(cut[0].contains("1 in all: 0 % (`x`) to 50 % (`y`)"), "{cut:?}");
        assert!(sentences([100, 200, 200, 100]).is_empty());
    }
}
