//! Reads the profile of a cluster (`--on`).

use super::{
    context::Context,
    node::Node,
    quantity::{self, SIZES, TIMES},
    yaml,
};
use crate::{
    model::{Profile, SourceText, WorkerKind},
    ui::{
        diagnostic::{Diagnostic, Diagnostics},
        suggest,
    },
};
use serde::{Deserialize, Deserializer, de::Error};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The only scheduler so far.
const SLURM: &str = "slurm";

/// A profile as it is written. An alias is the name of earlier versions.
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
    #[serde(default = "minute", alias = "short")]
    run_locally_below: Time,
    #[serde(default = "ten_seconds", alias = "beat")]
    heartbeat: Time,
    #[serde(alias = "notice")]
    grace_period: Option<Time>,
    #[serde(default = "minute", alias = "idle")]
    idle_timeout: Time,
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
    #[serde(alias = "most_memory")]
    max_memory: Option<Size>,
    #[serde(default)]
    gpus: usize,
    gpu_memory: Option<Size>,
    #[serde(default)]
    time: Lasting,
    #[serde(alias = "most_time")]
    max_time: Option<Time>,
    #[serde(default = "one", alias = "at_most")]
    max_workers: usize,
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
    let root = root.filter(|_| cx.diagnostics.is_empty());
    let read = root.and_then(|root| match parsed(&root) {
        Ok(profile) => Some(profile),
        Err(wrong) => {
            for Wrong { path, message, help } in wrong {
                let found = Diagnostic::error("profile::entry", message);
                cx.push(found.at(root.at_path(&path), "").maybe_help(help));
            }
            None
        }
    });
    read.ok_or_else(|| Diagnostics::new(source, cx.diagnostics))
}

/// What is wrong with the value at a path of keys.
struct Wrong {
    path: Vec<String>,
    message: String,
    help: Option<String>,
}

fn parsed(root: &Node) -> Result<Profile, Vec<Wrong>> {
    let written: Result<Written, _> = serde_path_to_error::deserialize(root.json());
    let written = written.map_err(|error| {
        let (path, message) = (error.path().to_string(), error.inner().to_string());
        // Of an unknown field, serde tells all that there are.
        let (message, help) = match message.split_once(", expected one of ") {
            Some((message, names)) => {
                let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
                let written = message.split('`').nth(1).unwrap_or_default();
                (message.to_owned(), suggest::help(written, &names, "the settings are"))
            }
            None => (message, None),
        };
        let message = if path == "." { message } else { format!("in `{path}`: {message}") };
        vec![Wrong { path: path.split('.').map(str::to_owned).collect(), message, help }]
    })?;
    let wrong = wrong(&written);
    if wrong.is_empty() { Ok(profile(written)) } else { Err(wrong) }
}

/// All that is wrong with a profile.
fn wrong(written: &Written) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut check = |is_right: bool, path: &[&str], message: String| {
        if !is_right {
            let path = path.iter().map(|part| (*part).to_owned()).collect();
            wrong.push(Wrong { path, message, help: None });
        }
    };
    let Written { executor, workers, .. } = written;
    let message = format!("`executor` must be `{SLURM}`, not `{executor}`");
    check(executor == SLURM, &["executor"], message);
    check(!workers.is_empty(), &["workers"], "`workers` names no kind of workers".to_owned());
    for (name, kind) in workers {
        let is_plain = |it: u8| it.is_ascii_alphanumeric() || it == b'-' || it == b'_';
        let message = format!("`{name}` is no name of workers: write letters, digits, `-` and `_`");
        check(!name.is_empty() && name.bytes().all(is_plain), &["workers", name], message);
        for (setting, count) in [("cpus", kind.cpus), ("max_workers", kind.max_workers)] {
            let message = format!("`{setting}` of `{name}` must be at least 1");
            check(count > 0, &["workers", name, setting], message);
        }
        let most = kind.max_time.as_ref().map(|time| time.0);
        for (setting, time) in [("time", kind.time.0), ("max_time", most)] {
            let message = format!("`{setting}` of `{name}` must be at least a minute");
            check(time.is_none_or(|time| time >= 60.0), &["workers", name, setting], message);
        }
        let mut options = kind.options.iter().chain(&kind.partition);
        let message = format!("an option of `{name}` has more than one line");
        check(!options.any(|option| option.contains('\n')), &["workers", name], message);
    }
    let message = "`heartbeat` must be at least 0.05 s".to_owned();
    check(written.heartbeat.0 >= 0.05, &["heartbeat"], message);
    let margins = [("memory_margin", written.memory_margin), ("time_margin", written.time_margin)];
    for (setting, margin) in margins {
        let message = format!("`{setting}` must be a number of at least 1");
        check(margin >= 1.0 && margin.is_finite(), &[setting], message);
    }
    wrong
}

fn profile(written: Written) -> Profile {
    let kind = |(name, kind): (String, WrittenKind)| WorkerKind {
        name,
        cpus: kind.cpus,
        memory: kind.memory.and_then(|size| size.0),
        max_memory: kind.max_memory.and_then(|size| size.0),
        gpus: kind.gpus,
        gpu_memory: kind.gpu_memory.and_then(|size| size.0),
        time: kind.time.0.map(|time| time as u64),
        max_time: kind.max_time.map(|time| time.0 as u64),
        max_workers: kind.max_workers,
        partition: kind.partition,
        options: kind.options,
    };
    let mut kinds: Vec<_> = written.workers.into_iter().map(kind).collect();
    // Without a time or a memory of its own, a kind grows with its steps.
    let most = |of: Option<u64>| of.unwrap_or(u64::MAX);
    kinds.sort_by_key(|kind| (kind.gpus, kind.gpu_memory, kind.memory, kind.cpus, most(kind.time)));
    Profile {
        store: written.store,
        kinds,
        setup: written.setup,
        program: written.program,
        paths: written.paths,
        run_locally_below: written.run_locally_below.0,
        heartbeat: written.heartbeat.0,
        grace_period: written.grace_period.map(|time| time.0 as u64),
        idle_timeout: written.idle_timeout.0,
        memory_margin: written.memory_margin,
        time_margin: written.time_margin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Profile, Diagnostics> {
        read_profile(Path::new("lab.yaml"), text.to_owned())
    }

    #[test]
    fn all_that_is_wrong_is_told_at_its_place() {
        let text =
            "executor: pbs\nheartbeat: 0s\nworkers:\n  cpu: { cpus: 0 }\n  a b: { cpus: 1 }\n";
        let found = read(text).expect_err("four diagnostics").diagnostics;
        let places = found.iter().map(|found| &text[found.labels[0].0.clone()]);
        let places: Vec<_> = places.map(str::trim_end).collect();
        assert_eq!(places, ["pbs", "0s", "0", "{ cpus: 1 }"]);
        let text = "executor: slurm\nworkers:\n  cpu: { cpus: 1, time: soon }\n";
        let found = read(text).expect_err("no time").diagnostics;
        assert_eq!(&text[found[0].labels[0].0.clone()], "soon");
        let text = "executor: slurm\nworkers:\n  cpu: { cpus: 1, partion: x }\n";
        let found = read(text).expect_err("no such setting").diagnostics;
        assert_eq!(found[0].message, "in `workers.cpu.partion`: unknown field `partion`");
        assert_eq!(found[0].help.as_deref(), Some("did you mean `partition`?"));
    }

    #[test]
    fn names_of_earlier_versions_are_read() {
        let kind = |names: [&str; 3]| {
            format!("cpus: 1, {}: 3, {}: 2GB, {}: 2h", names[0], names[1], names[2])
        };
        let profile = |names: [&str; 4], kind: String| {
            let times: String = names.map(|name| format!("{name}: 7s\n")).concat();
            read(&format!("executor: slurm\n{times}workers: {{ cpu: {{ {kind} }} }}\n"))
        };
        let now = profile(
            ["run_locally_below", "heartbeat", "grace_period", "idle_timeout"],
            kind(["max_workers", "max_memory", "max_time"]),
        );
        let before = profile(
            ["short", "beat", "notice", "idle"],
            kind(["at_most", "most_memory", "most_time"]),
        );
        let [now, before] = [now, before].map(|read| format!("{:?}", read.expect("a profile")));
        assert_eq!(now, before);
        assert!(now.contains("max_workers: 3") && now.contains("grace_period: Some(7)"), "{now}");
    }
}
