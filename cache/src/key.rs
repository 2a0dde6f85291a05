//! The key of a step: everything that decides its bytes, and nothing else.

use crate::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Version of the rules by which keys are made.
pub const KEY_FORMAT: u32 = 1;

/// Everything that decides the bytes of a step. Step names, threads, times, paths and hosts are
/// deliberately absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheKey {
    /// [`KEY_FORMAT`].
    pub format: u32,
    /// The op.
    pub op: String,
    /// The version of its bytes.
    pub version: u32,
    /// Parameters that differ from their defaults, by name.
    pub params: BTreeMap<String, Value>,
    /// The content at each input port; files of a source stand under `files`.
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
        let json = serde_json::to_value(self).expect("a key always serialises");
        Digest::of(format!("key-v{KEY_FORMAT}\0{}", canonical(&json)).as_bytes())
    }
}

/// JSON without spaces, names sorted at every depth.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let fields = sorted.iter().map(|(name, value)| {
                format!("{}:{}", Value::from(name.as_str()), canonical(value))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}
