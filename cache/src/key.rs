//! The cache key of a step: everything that decides the bytes of its outputs, and nothing else.

use crate::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The version of the format of keys.
pub const KEY_FORMAT: u32 = 1;

/// Everything that decides the bytes of a step's outputs. Step names, threads, times, paths and
/// hosts are left out on purpose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheKey {
    /// The format, [`KEY_FORMAT`].
    pub format: u32,
    /// The name of the op.
    pub op: String,
    /// The version of the op, which changes with the bytes it makes.
    pub version: u32,
    /// Parameters that differ from their defaults, by name.
    pub params: BTreeMap<String, Value>,
    /// The digest of the content at each input port; the files of a source are under `files`.
    pub inputs: BTreeMap<String, Digest>,
    /// The seed, if the op draws random numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The device and precision, if the bytes depend on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numerics: Option<String>,
}

impl CacheKey {
    /// BLAKE3 of the canonical JSON: no spaces, names sorted at every depth.
    pub fn digest(&self) -> Digest {
        let mut out = format!("key-v{KEY_FORMAT}\0").into_bytes();
        self.write_canonical(&mut out);
        Digest::of(&out)
    }

    /// Writes the fields in the order of their names. Each new field must be added here.
    fn write_canonical(&self, out: &mut Vec<u8>) {
        let Self { format, op, version, params, inputs, seed, numerics } = self;
        out.extend_from_slice(b"{\"format\":");
        json(out, format);
        out.extend_from_slice(b",\"inputs\":");
        map(out, inputs, json);
        if let Some(numerics) = numerics {
            out.extend_from_slice(b",\"numerics\":");
            json(out, numerics);
        }
        out.extend_from_slice(b",\"op\":");
        json(out, op);
        out.extend_from_slice(b",\"params\":");
        map(out, params, canonical);
        if let Some(seed) = seed {
            out.extend_from_slice(b",\"seed\":");
            json(out, seed);
        }
        out.extend_from_slice(b",\"version\":");
        json(out, version);
        out.push(b'}');
    }
}

/// Writes JSON without spaces, with names sorted at every depth.
fn canonical(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Object(fields) => map(out, fields.iter().collect::<BTreeMap<_, _>>(), canonical),
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                canonical(out, item);
            }
            out.push(b']');
        }
        scalar => json(out, scalar),
    }
}

/// Writes a map whose entries come sorted by name.
fn map<N: AsRef<str>, V>(
    out: &mut Vec<u8>,
    fields: impl IntoIterator<Item = (N, V)>,
    write: impl Fn(&mut Vec<u8>, V),
) {
    out.push(b'{');
    for (at, (name, value)) in fields.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json(out, name.as_ref());
        out.push(b':');
        write(out, value);
    }
    out.push(b'}');
}

fn json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("scalars always serialise");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same through serde, which knows every field of the struct.
    fn slow(value: &Value) -> String {
        match value {
            Value::Object(fields) => {
                let sorted: BTreeMap<_, _> = fields.iter().collect();
                let fields = sorted
                    .iter()
                    .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), slow(value)));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }
            Value::Array(items) => {
                format!("[{}]", items.iter().map(slow).collect::<Vec<_>>().join(","))
            }
            scalar => scalar.to_string(),
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((".*", inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_key_is_hashed_with_all_its_fields_in_order(
            op in ".*",
            params in prop::collection::btree_map(".*", value(), 0..4),
            port in ".*",
            seed in any::<Option<u64>>(),
            numerics in prop::option::of(".*"),
        ) {
            let inputs = BTreeMap::from([(port, Digest::of(b"x"))]);
            let key = CacheKey { format: 1, op, version: 2, params, inputs, seed, numerics };
            let mut out = Vec::new();
            key.write_canonical(&mut out);
            let slow = slow(&serde_json::to_value(&key).expect("JSON"));
            prop_assert_eq!(String::from_utf8(out).expect("UTF-8"), slow);
        }
    }
}
