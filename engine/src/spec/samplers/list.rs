//! The sampler `list`: points that are listed in the file.

use super::{Keys, Proposal, Sampler};
use crate::spec::{
    node::{Key, Node, Value},
    points::{Point, Reader},
    search::History,
    sweep::{MAX_VARIANTS, error},
};
use std::collections::HashMap;

/// Points that are listed in the file.
pub struct List {
    points: Vec<Point>,
}

impl Sampler for List {
    const NAME: &'static str = "list";
    const DOC: &'static str = "The points themselves: `[{ vae.beta: 1, vae.latent: 8 }, …]`.";
    const KEYS: Keys = Keys::Points;

    fn read(reader: &mut Reader<'_>, key: &Key, node: Node) -> Option<Self> {
        let node = reader.fill(&node);
        let items = match &node.value {
            Value::List(items) if !items.is_empty() => items,
            Value::Faulty => return None,
            _ => {
                reader.cx.push(
                    error("`list` must be a list of points")
                        .at_key(key, format!("this is {}", node.describe_or_empty()))
                        .help("write `list: [{ STEP.PARAMETER: 1 }, { STEP.PARAMETER: 4 }]`"),
                );
                return None;
            }
        };
        if items.len() > MAX_VARIANTS {
            reader.too_many(key);
            return None;
        }
        let mut fine = true;
        for (name, _) in &reader.entries(&items[0])? {
            fine &= reader.add_axis(name).is_some();
        }
        let (mut points, mut given) = (Vec::new(), HashMap::new());
        for item in items.iter().filter(|_| fine) {
            let Some(point) = reader.whole_point(item) else { continue };
            if let Some(first) = given.insert(point.clone(), item.span.clone()) {
                reader.cx.push(
                    error("this point is given twice")
                        .label(item.span.clone(), "again here")
                        .label(first, "first given here"),
                );
            } else {
                points.push(point);
            }
        }
        fine.then_some(Self { points })
    }

    fn propose(&self, _reader: &mut Reader<'_>, _history: &History<'_>) -> Option<Proposal> {
        Some(Proposal::all(self.points.clone()))
    }
}
