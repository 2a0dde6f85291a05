//! The reason why a step runs: the fields in which its key differs from the nearest earlier one,
//! and for an input that changed, the earlier step where the change began.

use crate::{
    model::{Input, Pipeline},
    plan::{
        history::LazyHistory,
        keys::{FILES, NEVER},
    },
    ui::diagnostic::quote,
};
use cache::{
    CacheKey, Digest, FileEntry, Store,
    store::{Finished, sources::NotedFile},
};
use ops::Entry;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

/// The reason of a step whose key is in the journal, but whose result has lost an object.
pub const LOST: &str = "its result is no longer whole";

/// The data from which reasons are derived.
pub struct Reasons<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// The source files of every step.
    pub files: &'a [Vec<FileEntry>],
    /// The finished steps of the store.
    pub history: &'a LazyHistory<'a>,
    /// The store, which has notes of the files of earlier sources.
    pub store: &'a Store,
}

/// The differences of a key from an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// The changes of the step itself, in words.
    pub own: Vec<String>,
    /// The ports whose content changed, with their former content.
    pub inputs: Vec<(String, Option<Digest>)>,
    /// The number of source files that changed; the maximum if it is not known.
    pub files: usize,
}

impl Differences {
    /// True if the keys are the same.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.inputs.is_empty()
    }
}

impl<'a> Reasons<'a> {
    /// The reason why the step with this key runs. `key_of` gives the keys of the steps before it.
    pub fn why<'k>(
        &self,
        step: usize,
        key: &CacheKey,
        key_of: &dyn Fn(usize) -> Option<&'k CacheKey>,
    ) -> String {
        let Some(nearest) = self.nearest(step, key) else { return NEVER.to_owned() };
        let differences = self.differences(step, nearest, key);
        if differences.is_empty() {
            return LOST.to_owned();
        }
        self.in_words(step, &differences, key_of)
    }

    /// The nearest earlier key of the same op.
    pub fn nearest(&self, step: usize, key: &CacheKey) -> Option<&'a CacheKey> {
        self.nearest_step(step, key).map(|finished| &finished.cache_key)
    }

    /// The step with the nearest earlier key; of several, the one whose files differ least.
    pub fn nearest_step(&self, step: usize, key: &CacheKey) -> Option<&'a Finished> {
        let order = |old: &CacheKey| {
            let Differences { own, files, .. } = self.differences(step, old, key);
            (files, own)
        };
        self.history.nearest(key, order)
    }

    /// Describes differences in words: those of the step itself, then its inputs, each with its
    /// cause.
    pub fn in_words<'k>(
        &self,
        step: usize,
        differences: &Differences,
        key_of: &dyn Fn(usize) -> Option<&'k CacheKey>,
    ) -> String {
        let mut words = differences.own.clone();
        for (port, old) in &differences.inputs {
            let Some(input) = self.input(step, port) else {
                words.push(format!("input `{port}` is no longer read"));
                continue;
            };
            let name = self.output_name(input);
            words.push(match old.map(|old| self.cause(input, &old, key_of)) {
                None => format!("input `{name}` is new"),
                Some(None) => format!("input `{name}` changed"),
                Some(Some(cause)) => format!("input `{name}` changed because {cause}"),
            });
        }
        words.join(", ")
    }

    /// The name of an input's output: `step.port`.
    pub fn output_name(&self, input: &Input) -> String {
        format!("{}.{}", self.pipeline.steps[input.step].name, input.output)
    }

    fn input(&self, step: usize, port: &str) -> Option<&Input> {
        self.pipeline.steps[step].inputs.iter().find(|input| input.port == port)
    }

    /// The origin of a change of content. Goes up from the step that made the content, to the first
    /// step that differs in more than its inputs from the step that made the earlier content.
    fn cause<'k>(
        &self,
        input: &Input,
        old: &Digest,
        key_of: &dyn Fn(usize) -> Option<&'k CacheKey>,
    ) -> Option<String> {
        let name = quote(&self.pipeline.steps[input.step].name);
        let new = key_of(input.step)?;
        let old = &self.history.producer(old, new)?.cache_key;
        if old.op != new.op {
            return Some(format!("{name} is `{}`, before `{}`", new.op, old.op));
        }
        let differences = self.differences(input.step, old, new);
        if !differences.own.is_empty() {
            return Some(format!("{name} has {}", differences.own.join(", ")));
        }
        differences.inputs.iter().find_map(|(port, old)| {
            self.cause(self.input(input.step, port)?, old.as_ref()?, key_of)
        })
    }

    /// The fields in which two keys of a step differ.
    pub fn differences(&self, step: usize, old: &CacheKey, new: &CacheKey) -> Differences {
        let (mut own, mut inputs, mut files) = (Vec::new(), Vec::new(), 0);
        for difference in differences(old, new) {
            match difference {
                Difference::Value(words) => own.push(words),
                Difference::Params => {
                    own.extend(params(self.pipeline.steps[step].entry, &old.params, &new.params));
                }
                Difference::Input(port, Some(before))
                    if port == FILES && new.inputs.contains_key(FILES) =>
                {
                    let (count, words) = self.files(step, &before);
                    files = count;
                    own.push(words);
                }
                Difference::Input(port, before) => inputs.push((port.clone(), before)),
            }
        }
        Differences { own, inputs, files }
    }

    fn files(&self, step: usize, before: &Digest) -> (usize, String) {
        match self.store.noted_files(before) {
            Some(before) => files(&before, &self.files[step]),
            None => (usize::MAX, "other files".to_owned()),
        }
    }
}

/// A field in which two keys differ.
pub(super) enum Difference<'k> {
    /// A single value, in words.
    Value(String),
    /// The parameters.
    Params,
    /// The content at a port, with its former content.
    Input(&'k String, Option<Digest>),
}

/// The fields in which two keys of one op differ.
pub(super) fn differences<'k>(old: &'k CacheKey, new: &'k CacheKey) -> Vec<Difference<'k>> {
    // All fields are listed by name, so that a new one is not forgotten.
    let CacheKey { format, op: _, version, params, inputs, seed, numerics } = old;
    let mut found = Vec::new();
    let mut value = |name: &str, old: &dyn Display, new: &dyn Display| {
        found.push(Difference::Value(format!("{name} {old} → {new}")));
    };
    if *format != new.format {
        value("key format", format, &new.format);
    }
    if *version != new.version {
        value("op version", version, &new.version);
    }
    if *params != new.params {
        found.push(Difference::Params);
    }
    let mut value = |name: &str, none: &str, old: Option<String>, new: Option<String>| {
        if old != new {
            let show = |value: Option<String>| value.unwrap_or_else(|| none.to_owned());
            found.push(Difference::Value(format!("{name} {} → {}", show(old), show(new))));
        }
    };
    let text = |seed: u64| seed.to_string();
    value("seed", "none", seed.map(text), new.seed.map(text));
    value("device", "any", numerics.clone(), new.numerics.clone());
    let ports: BTreeSet<&String> = inputs.keys().chain(new.inputs.keys()).collect();
    let differing = ports.into_iter().filter(|port| inputs.get(*port) != new.inputs.get(*port));
    found.extend(differing.map(|port| Difference::Input(port, inputs.get(port).copied())));
    found
}

/// The parameters that differ, each with both values; an absent one has its default.
fn params(
    entry: &Entry,
    old: &BTreeMap<String, Value>,
    new: &BTreeMap<String, Value>,
) -> Vec<String> {
    let schema = entry.schema();
    let show = |params: &BTreeMap<String, Value>, name: &str| match params.get(name) {
        Some(value) => shown(value),
        None => schema
            .pointer(&format!("/properties/{name}/default"))
            .map_or_else(|| "default".to_owned(), shown),
    };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    differing.map(|name| format!("`{name}` {} → {}", show(old, name), show(new, name))).collect()
}

/// Formats a value as YAML, shortened when it is long.
pub fn shown(value: &Value) -> String {
    const MAX_CHARACTERS: usize = 40;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Counts the changed files of a source and describes the changes: `3 new files, 1 changed file
/// (`bell/00.wav`)`.
fn files(before: &[NotedFile], now: &[FileEntry]) -> (usize, String) {
    let old: BTreeMap<&str, &Digest> =
        before.iter().map(|file| (file.name.as_str(), &file.digest)).collect();
    let new: BTreeMap<&str, &Digest> =
        now.iter().map(|file| (file.name.as_str(), &file.digest)).collect();
    let only = |a: &BTreeMap<&str, &Digest>, b: &BTreeMap<&str, &Digest>| {
        let names = a.keys().filter(|name| !b.contains_key(*name));
        names.map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    let (mut added, mut gone) = (only(&new, &old), only(&old, &new));
    // The same content under another name is a renamed file.
    let mut renamed = Vec::new();
    added.retain(|name| {
        let from = gone.iter().position(|old_name| old[old_name.as_str()] == new[name.as_str()]);
        renamed.extend(from.map(|at| gone.remove(at)));
        from.is_none()
    });
    let changed: Vec<String> = new
        .iter()
        .filter(|(name, digest)| old.get(*name).is_some_and(|before| before != *digest))
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let counted = |names: &[String], how: &str| match names {
        [] => None,
        [name] => Some(format!("1 {how} file ({})", quote(name))),
        _ => Some(format!("{} {how} files", names.len())),
    };
    let parts = [
        counted(&added, "new"),
        counted(&changed, "changed"),
        counted(&gone, "removed"),
        counted(&renamed, "renamed"),
    ];
    let words: Vec<String> = parts.into_iter().flatten().collect();
    let count = added.len() + changed.len() + gone.len() + renamed.len();
    match words[..] {
        [] => (0, "the files in another order".to_owned()),
        _ => (count, words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(files: &[(&str, &str)]) -> Vec<FileEntry> {
        let file = |(name, content): &(&str, &str)| FileEntry {
            name: (*name).to_owned(),
            path: name.into(),
            digest: Digest::of(content.as_bytes()),
            size: 1,
        };
        files.iter().map(file).collect()
    }

    fn noted(files: &[(&str, &str)]) -> Vec<NotedFile> {
        let note =
            |file: FileEntry| NotedFile { name: file.name, digest: file.digest, size: file.size };
        now(files).into_iter().map(note).collect()
    }

    #[test]
    fn changes_of_files_are_counted() {
        let before = noted(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
        let said = |files_now: &[(&str, &str)]| files(&before, &now(files_now)).1;
        let (a, b, c, d) = (("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"));
        assert_eq!(said(&[a, b, c, d, ("e", "5"), ("f", "6")]), "2 new files");
        assert_eq!(said(&[a, b, c, ("d", "5")]), "1 changed file (`d`)");
        assert_eq!(said(&[a, b]), "2 removed files");
        assert_eq!(said(&[a, b, c, ("z", "4")]), "1 renamed file (`d`)");
        assert_eq!(
            said(&[a, ("b", "0"), c, ("x", "4"), ("y", "9")]),
            "1 new file (`y`), 1 changed file (`b`), 1 renamed file (`d`)"
        );
    }
}
