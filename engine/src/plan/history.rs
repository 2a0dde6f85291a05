//! The finished steps of the store, indexed for two lookups: the earlier key nearest to a key, and
//! the step that made a content.

use crate::plan::keys::FILES;
use cache::{
    CacheKey, Digest, Shape, Store,
    store::{Finished, Object},
};
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    ops::Deref,
    sync::OnceLock,
};

/// A history that is read from the store when it is first used; cache hits do not use it.
pub struct LazyHistory<'s> {
    store: &'s Store,
    read: OnceLock<History>,
}

impl<'s> LazyHistory<'s> {
    /// A history that is not read yet.
    pub fn of(store: &'s Store) -> Self {
        Self { store, read: OnceLock::new() }
    }
}

impl Deref for LazyHistory<'_> {
    type Target = History;

    fn deref(&self) -> &History {
        self.read.get_or_init(|| History::new(self.store.history()))
    }
}

/// The finished steps of a store.
#[derive(Default)]
pub struct History {
    finished: Vec<Finished>,
    producers: HashMap<Digest, Vec<usize>>,
    ops: HashMap<String, OpIndex>,
}

/// The finished steps of one op.
#[derive(Default)]
struct OpIndex {
    steps: Vec<usize>,
    /// The number of fields of each key.
    lengths: Vec<i32>,
    /// The keys that hold each field, as indices into `steps`.
    holders: HashMap<u64, Vec<u32>>,
}

impl History {
    /// Indexes these steps. Their order has no effect.
    pub fn new(mut finished: Vec<Finished>) -> Self {
        finished.sort_by_key(|step| step.key);
        let mut history = Self { finished, ..Self::default() };
        for (at, step) in history.finished.iter().enumerate() {
            for object in step.outputs.values() {
                history.producers.entry(object.digest).or_default().push(at);
            }
            let index = history.ops.entry(step.cache_key.op.clone()).or_default();
            let place = index.steps.len() as u32;
            let fields = fields(&step.cache_key);
            index.steps.push(at);
            index.lengths.push(fields.len() as i32);
            for field in fields {
                index.holders.entry(field).or_default().push(place);
            }
        }
        history
    }

    /// The finished steps of one op, ordered by key.
    pub fn of_op(&self, op: &str) -> impl Iterator<Item = &Finished> {
        let index = self.ops.get(op).into_iter().flat_map(|index| &index.steps);
        index.map(|at| &self.finished[*at])
    }

    /// The step of the same op whose key differs least. Of several, the one that comes first by
    /// `order`.
    pub fn nearest<O: Ord>(
        &self,
        key: &CacheKey,
        order: impl Fn(&CacheKey) -> O,
    ) -> Option<&Finished> {
        // Many steps of one score differ in as many fields and are equally good. There are few
        // sources, and the number of files that differ is worth a comparison.
        let compared = if key.inputs.contains_key(FILES) { 16 } else { 4 };
        let nearest = self.nearest_all(&key.op, &fields(key));
        nearest.into_iter().take(compared).min_by_key(|step| order(&step.cache_key))
    }

    /// The steps of an op that share most parameters with this key; they best predict its cost.
    pub fn similar(&self, key: &CacheKey) -> Vec<&Finished> {
        let mut params = key.clone();
        params.inputs.clear();
        params.seed = None;
        self.nearest_all(&key.op, &fields(&params))
    }

    fn nearest_all(&self, op: &str, fields: &[u64]) -> Vec<&Finished> {
        let Some(index) = self.ops.get(op) else { return Vec::new() };
        let mut shared = vec![0_i32; index.steps.len()];
        for field in fields {
            for &place in index.holders.get(field).into_iter().flatten() {
                shared[place as usize] += 1;
            }
        }
        // Twice the shared fields minus the other key's fields: the fewer fields differ, the higher
        // the score.
        let score = |place: usize| 2 * shared[place] - index.lengths[place];
        let Some(best) = (0..shared.len()).map(score).max() else { return Vec::new() };
        let nearest = (0..shared.len()).filter(|place| score(*place) == best);
        nearest.map(|place| &self.finished[index.steps[place]]).collect()
    }

    /// The step that made this content; of several, the one whose key is nearest to `like`.
    pub fn producer(&self, content: &Digest, like: &CacheKey) -> Option<&Finished> {
        let wanted = fields(like);
        let shared = |step: &&Finished| {
            let same_op = step.cache_key.op == like.op;
            let fields = fields(&step.cache_key);
            (same_op, fields.iter().filter(|field| wanted.contains(field)).count())
        };
        let producers = self.producers.get(content)?.iter().map(|at| &self.finished[*at]);
        producers.max_by_key(shared)
    }

    /// The object with this content, if a finished step made it.
    pub fn object(&self, content: &Digest) -> Option<&Object> {
        let at = *self.producers.get(content)?.first()?;
        self.finished[at].outputs.values().find(|object| object.digest == *content)
    }

    /// The number of numbers or rows that a finished step read; none if a size is not known.
    pub fn read_by(&self, step: &Finished) -> Option<u64> {
        let inputs = step.cache_key.inputs.iter().filter(|(port, _)| *port != FILES);
        let sizes: Option<Vec<u64>> =
            inputs.map(|(_, content)| elements(&self.object(content)?.shape)).collect();
        sizes.filter(|sizes| !sizes.is_empty()).map(|sizes| sizes.iter().sum())
    }
}

/// The number of numbers in the features of a shape, or its rows if it has no features.
pub fn elements(shape: &Shape) -> Option<u64> {
    let row = shape.row.iter().flatten().map(|n| *n as u64);
    Some(row.fold(shape.rows? as u64, u64::saturating_mul))
}

/// All fields of a key except its op, each as one number.
fn fields(key: &CacheKey) -> Vec<u64> {
    // All fields are listed by name, so that a new one is not forgotten.
    let CacheKey { format, op: _, version, params, inputs, seed, numerics } = key;
    let hash = |field: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        field(&mut hasher);
        hasher.finish()
    };
    let mut fields = vec![hash(&|to| (0, format, version).hash(to))];
    fields.extend(
        params.iter().map(|(name, value)| hash(&|to| (1, name, value.to_string()).hash(to))),
    );
    fields.extend(inputs.iter().map(|(port, digest)| hash(&|to| (2, port, digest).hash(to))));
    fields.extend(seed.map(|seed| hash(&|to| (3, seed).hash(to))));
    fields.extend(numerics.as_ref().map(|numerics| hash(&|to| (4, numerics).hash(to))));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache::{Kind, key::KEY_FORMAT, store::Times};
    use std::collections::BTreeMap;

    fn step(op: &str, params: &[(&str, i64)], input: &str, made: &str) -> Finished {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
        let cache_key = CacheKey {
            format: KEY_FORMAT,
            op: op.to_owned(),
            version: 1,
            params: params.collect(),
            inputs: BTreeMap::from([("features".to_owned(), Digest::of(input.as_bytes()))]),
            seed: None,
            numerics: None,
        };
        let shape = Shape::of(Kind::Matrix).with_rows(Some(10)).with_row(Some(vec![4]));
        let object = Object::new(Digest::of(made.as_bytes()), shape, 160);
        let outputs = BTreeMap::from([("latent".to_owned(), object)]);
        Finished {
            key: cache_key.digest(),
            cache_key,
            outputs,
            times: Times::default(),
            warnings: Vec::new(),
        }
    }

    fn nearest(history: &History, key: &CacheKey) -> Option<Digest> {
        let order = |key: &CacheKey| format!("{:?}", key.params);
        history.nearest(key, order).map(|step| step.key)
    }

    #[test]
    fn the_nearest_key_shares_most_fields() {
        let old = [
            step("a", &[("k", 1), ("n", 1)], "x", "1"),
            step("a", &[("k", 2)], "x", "2"),
            step("a", &[("k", 2)], "y", "3"),
            step("b", &[("k", 3)], "x", "4"),
        ];
        let history = History::new(old.to_vec());
        let near = |params: &[(&str, i64)], input| {
            nearest(&history, &step("a", params, input, "").cache_key)
        };
        assert_eq!(near(&[("k", 3), ("n", 1)], "x"), Some(old[0].key));
        assert_eq!(near(&[("k", 3)], "y"), Some(old[2].key));
        assert_eq!(near(&[("k", 2)], "z"), near(&[("k", 2)], "w"), "ties are settled by order");
        assert_eq!(nearest(&history, &step("c", &[], "x", "").cache_key), None);
    }

    #[test]
    fn content_knows_its_producer() {
        let (first, second) = (step("a", &[("k", 1)], "x", "1"), step("b", &[], "1", "2"));
        let same = step("b", &[("k", 1)], "x", "1");
        let history = History::new(vec![first.clone(), second.clone(), same.clone()]);
        let made = Digest::of(b"1");
        let producer =
            |like: &Finished| history.producer(&made, &like.cache_key).map(|step| step.key);
        assert_eq!(producer(&first), Some(first.key));
        assert_eq!(producer(&same), Some(same.key));
        assert_eq!(history.producer(&Digest::of(b"9"), &first.cache_key), None);
        assert_eq!(history.read_by(&second), Some(40));
        assert_eq!(history.read_by(&first), None, "nobody knows what it read");
    }

    /// A key with a value in every field, and keys that differ from it in one field each.
    fn keys_that_differ() -> (CacheKey, Vec<(String, CacheKey)>) {
        let Finished { mut cache_key, .. } = step("a", &[("k", 1)], "x", "1");
        (cache_key.seed, cache_key.numerics) = (Some(1), Some("cpu".to_owned()));
        let written = serde_json::to_value(&cache_key).expect("JSON");
        let names: Vec<String> = written.as_object().expect("a map").keys().cloned().collect();
        let other = |name: &String| {
            let mut written = written.clone();
            let field = &mut written[name.as_str()];
            *field = match field {
                serde_json::Value::Object(_) => serde_json::json!({}),
                serde_json::Value::String(_) => "other".into(),
                _ => 7.into(),
            };
            (name.clone(), serde_json::from_value(written).expect("a key"))
        };
        let others = names.iter().filter(|name| *name != "op").map(other).collect();
        (cache_key, others)
    }

    #[test]
    fn every_field_of_a_key_counts_in_its_digest_its_distance_and_its_explanation() {
        let (key, others) = keys_that_differ();
        assert_eq!(others.len(), 6, "as many fields as a key has beside its op");
        for (name, other) in others {
            assert_ne!(key.digest(), other.digest(), "{name}");
            assert_ne!(fields(&key), fields(&other), "{name}");
            assert!(!crate::plan::reasons::differences(&key, &other).is_empty(), "{name}");
        }
    }
}
