//! BLAKE3 names for content.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};
use std::{fmt, str::FromStr};

/// A BLAKE3 hash of logical content, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes` as they stand.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The first twelve digits: enough to tell digests apart in messages.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }

    /// A digest from its 64 digits.
    pub(crate) fn from_hex(digits: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        const_hex::decode_to_slice(digits, &mut bytes).ok().map(|()| Self(bytes))
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(const_hex::Buffer::<32>::new().format(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::from_hex(text.as_bytes())
            .ok_or_else(|| format!("`{text}` is not a digest of 64 hexadecimal digits"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Digits)
    }
}

/// Deserializes a digest from its digits without a copy.
struct Digits;

impl Visitor<'_> for Digits {
    type Value = Digest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("64 hexadecimal digits")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digest, E> {
        text.parse().map_err(E::custom)
    }
}

/// Hashes a sequence of fields so that two different sequences never give the same input: the input
/// starts with a type tag, and every field of varying length carries its length.
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// Starts a hash of the type `tag`.
    pub fn new(tag: &str) -> Self {
        let mut hasher = Self(blake3::Hasher::new());
        hasher.text(tag);
        hasher
    }

    /// Adds a length or a count.
    pub fn number(&mut self, value: u64) -> &mut Self {
        self.0.update(&value.to_le_bytes());
        self
    }

    /// Adds a text with its length.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.number(value.len() as u64);
        self.0.update(value.as_bytes());
        self
    }

    /// Adds plain numbers in little-endian order, with their length in bytes. Large slices are
    /// hashed by all threads of the current pool; the result does not depend on their number.
    pub fn values<T: bytemuck::NoUninit>(&mut self, values: &[T]) -> &mut Self {
        const { assert!(cfg!(target_endian = "little"), "digests are defined on little-endian bytes") };
        const WORTH_THREADS: usize = 1 << 20;
        let bytes: &[u8] = bytemuck::cast_slice(values);
        self.number(bytes.len() as u64);
        if bytes.len() >= WORTH_THREADS {
            self.0.update_rayon(bytes);
        } else {
            self.0.update(bytes);
        }
        self
    }

    /// The digest of everything added.
    pub fn finish(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_its_text() {
        let digest = Digest::of(b"clip");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("xyz".parse::<Digest>().is_err());
    }

    #[test]
    fn neighbouring_fields_do_not_run_together() {
        let of = |a: &str, b: &str| Hasher::new("t").text(a).text(b).finish();
        assert_ne!(of("ab", "c"), of("a", "bc"));
    }
}
