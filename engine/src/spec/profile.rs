//! Reads the profile of a cluster (`--on`).

use super::{
    context::Context,
    quantity::{self, SIZES, TIMES},
    yaml,
};
use crate::{
    model::{Kind, Profile, SourceText},
    ui::diagnostic::{Diagnostic, Diagnostics},
};
use serde::{Deserialize, Deserializer, de::Error};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The only scheduler so far.
const SLURM: &str = "slurm";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    executor: String,
    store: Option<PathBuf>,
    workers: BTreeMap<String, WrittenKind>,
    #[serde(default)]
    setup: String,
    program: Option<PathBuf>,
    #[serde(default)]
    paths: BTreeMap<String, String>,
    #[serde(default = "minute")]
    short: Time,
    #[serde(default = "ten_seconds")]
    beat: Time,
    notice: Option<Time>,
    #[serde(default = "minute")]
    idle: Time,
    #[serde(default = "one_and_a_half")]
    memory_margin: f64,
    #[serde(default = "two")]
    time_margin: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKind {
    cpus: usize,
    memory: Option<Size>,
    most_memory: Option<Size>,
    #[serde(default)]
    gpus: usize,
    gpu_memory: Option<Size>,
    #[serde(default)]
    time: Lasting,
    most_time: Option<Time>,
    #[serde(default = "one")]
    at_most: usize,
    partition: Option<String>,
    #[serde(default)]
    options: Vec<String>,
}

/// Seconds.
struct Time(f64);

/// Seconds; none for `auto`.
#[derive(Default)]
struct Lasting(Option<f64>);

/// Bytes; none for `auto`.
struct Size(Option<u64>);

fn minute() -> Time {
    Time(60.0)
}

fn ten_seconds() -> Time {
    Time(10.0)
}

fn one_and_a_half() -> f64 {
    1.5
}

fn two() -> f64 {
    2.0
}

fn one() -> usize {
    1
}

/// The text of a scalar.
fn plain<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(from)? {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        other => Err(D::Error::custom(format!("expected a number or a text, not {other}"))),
    }
}

fn seconds<E: Error>(text: &str) -> Result<f64, E> {
    let time = quantity::time(text).filter(|time| time.as_secs() < 1 << 30);
    let time = time.ok_or_else(|| E::custom(format!("`{text}` is no time; write {TIMES}")));
    Ok(time?.as_secs_f64())
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        seconds(&plain(from)?).map(Self)
    }
}

impl<'de> Deserialize<'de> for Lasting {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match &*plain(from)? {
            "auto" => Ok(Self(None)),
            text => seconds(text).map(|seconds| Self(Some(seconds))),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = plain(from)?;
        if text == "auto" {
            return Ok(Self(None));
        }
        let bytes = quantity::bytes(&text).filter(|bytes| *bytes >= 1 << 20);
        let error = || {
            D::Error::custom(format!(
                "`{text}` is no memory of at least 1MB; write {SIZES}, or `auto`"
            ))
        };
        Ok(Self(Some(bytes.ok_or_else(error)?)))
    }
}

/// Reads the profile of a cluster.
///
/// # Errors
/// The faults of its text.
pub fn read_profile(path: &Path, text: String) -> Result<Profile, Diagnostics> {
    let source = Arc::new(SourceText::new(path.to_owned(), text));
    let mut cx = Context::new(source.clone());
    let root = yaml::parse(&mut cx);
    let json =
        root.filter(|_| cx.diagnostics.is_empty()).map(|root| (root.span.clone(), root.json()));
    let read = json.and_then(|(span, json)| {
        let refuse =
            |message: String| Diagnostic::error("profile::entry", message).label(span.clone(), "");
        let written: Result<Written, _> = serde_path_to_error::deserialize(json);
        let read =
            written.map_err(|error| refuse(format!("in `{}`: {}", error.path(), error.inner())));
        read.and_then(|written| checked(written).map_err(refuse))
            .map_err(|error| cx.push(error))
            .ok()
    });
    read.ok_or_else(|| Diagnostics::new(source, cx.diagnostics))
}

fn checked(written: Written) -> Result<Profile, String> {
    if written.executor != SLURM {
        return Err(format!("`executor` must be `{SLURM}`, not `{}`", written.executor));
    }
    if written.workers.is_empty() {
        return Err("`workers` names no kind of workers".to_owned());
    }
    let mut kinds = Vec::new();
    for (name, kind) in written.workers {
        let is_plain = |it: u8| it.is_ascii_alphanumeric() || it == b'-' || it == b'_';
        if name.is_empty() || !name.bytes().all(is_plain) {
            return Err(format!(
                "`{name}` is no name of workers: write letters, digits, `-` and `_`"
            ));
        }
        let is_short = |time: f64| time < 60.0;
        let times = [kind.time.0, kind.most_time.as_ref().map(|time| time.0)];
        if kind.cpus == 0 || kind.at_most == 0 || times.into_iter().flatten().any(is_short) {
            return Err(format!(
                "`{name}` needs `cpus` and `at_most` of at least 1, and a `time` of at least a minute"
            ));
        }
        if kind.options.iter().chain(&kind.partition).any(|option| option.contains('\n')) {
            return Err(format!("an option of `{name}` has more than one line"));
        }
        kinds.push(Kind {
            name,
            cpus: kind.cpus,
            memory: kind.memory.and_then(|size| size.0),
            most_memory: kind.most_memory.and_then(|size| size.0),
            gpus: kind.gpus,
            gpu_memory: kind.gpu_memory.and_then(|size| size.0),
            time: kind.time.0.map(|time| time as u64),
            most_time: kind.most_time.map(|time| time.0 as u64),
            at_most: kind.at_most,
            partition: kind.partition,
            options: kind.options,
        });
    }
    // Without a time or a memory of its own, a kind grows with its steps.
    let most = |of: Option<u64>| of.unwrap_or(u64::MAX);
    kinds.sort_by_key(|kind| (kind.gpus, kind.gpu_memory, kind.memory, kind.cpus, most(kind.time)));
    let is_margin = |margin: f64| margin >= 1.0 && margin.is_finite();
    if !(written.beat.0 >= 0.05
        && is_margin(written.memory_margin)
        && is_margin(written.time_margin))
    {
        return Err("`beat` must be at least 0.05 s, `memory_margin` and `time_margin` at least 1"
            .to_owned());
    }
    Ok(Profile {
        store: written.store,
        kinds,
        setup: written.setup,
        program: written.program,
        paths: written.paths,
        short: written.short.0,
        beat: written.beat.0,
        notice: written.notice.map(|time| time.0 as u64),
        idle: written.idle.0,
        memory_margin: written.memory_margin,
        time_margin: written.time_margin,
    })
}
