//! `engine explain`: everything that decides the result of one step, and its differences from the
//! nearest earlier step.

use super::{
    plan::predicted,
    prepare::{MissingStore, one_step, prepare},
};
use crate::{
    cli::{CommandError, PlanArgs, print},
    model::Step,
    plan::{Forecast, Plan, Planned, keys::FILES, ports, reasons::shown},
    ui::{
        fold::{self, paragraph},
        size,
    },
};
use cache::{CacheKey, store::Finished};
use clap::Args;
use serde_json::{Value, json};

/// The arguments of `explain`.
#[derive(Args)]
pub struct ExplainArgs {
    /// The pipeline.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// The step.
    pub step: String,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// Explains a step.
///
/// # Errors
/// Returns the exit code if the pipeline or its data is faulty, or if there is no such step.
pub fn explain(args: &ExplainArgs) -> Result<(), CommandError> {
    let mut study = prepare(&args.plan, None, MissingStore::Empty)?;
    let index = one_step(&study.pipeline, &args.step)?;
    // Steps beyond this one have no effect on it.
    study.options.only = [index].into();
    let plan = study.plan();
    let explained = Explained::of(&plan, index);
    print(&if args.json { explained.json() } else { explained.text(fold::width()) });
    Ok(())
}

/// A step and all that is printed about it.
struct Explained<'a> {
    plan: &'a Plan<'a>,
    step: &'a Step,
    planned: &'a Planned,
    key: &'a CacheKey,
    files: usize,
    bytes: u64,
    /// The key of the nearest earlier step, and the differences in words.
    nearest: Option<(&'a CacheKey, String)>,
    took: Option<&'a Finished>,
}

impl<'a> Explained<'a> {
    fn of(plan: &'a Plan<'a>, index: usize) -> Self {
        let Plan { pipeline, files, .. } = plan;
        let (reasons, steps) = (plan.reasons(), plan.steps());
        let planned = &steps[index];
        let key = planned.key().expect("what is asked for has a key");
        let key_of = |step: usize| steps[step].finished.as_ref().map(|it| &it.cache_key);
        let hit = planned.verdict == Forecast::Hit;
        let nearest = if hit { None } else { reasons.nearest_step(index, key) };
        let words = |old: &CacheKey| {
            let mut differences = reasons.differences(index, old, key);
            let known = |port: &String| planned.whole || key.inputs.contains_key(port);
            differences.inputs.retain(|(port, _)| known(port));
            reasons.in_words(index, &differences, &key_of)
        };
        Self {
            plan,
            step: &pipeline.steps[index],
            planned,
            key,
            files: files[index].len(),
            bytes: files[index].iter().map(|file| file.size).sum(),
            nearest: nearest.map(|old| (&old.cache_key, words(&old.cache_key))),
            took: planned.finished.as_deref().or(nearest),
        }
    }

    fn text(&self, width: usize) -> String {
        let Self { step, planned, key, .. } = self;
        let mut out = format!("{}: {}\n\n", step.name, step.entry.name);
        let mut add =
            |head: &str, text: &str| out.push_str(&paragraph(&format!("{head:<10}"), text, width));
        let status = planned.verdict.name();
        add(
            "status",
            &match planned.reason.as_str() {
                "" => status.to_owned(),
                reason => format!("{status}: {reason}"),
            },
        );
        match planned.whole {
            // The whole key is printed if there is room for it.
            true if width > 10 + 64 => add("key", &key.digest().to_string()),
            true => add("key", &key.digest().short()),
            false => add("key", "known when all that it reads is there"),
        }
        add("version", &step.entry.version.to_string());
        let (given, defaults) = self.params();
        add("params", if given.is_empty() { "all at their defaults" } else { &given });
        if !defaults.is_empty() {
            add("defaults", &defaults);
        }
        for source in step.op.sources() {
            let (files, bytes) = (self.files, size::bytes(self.bytes));
            let path = source.path.display();
            add("files", &format!("{files}, {bytes}, {} {path}", source.param));
        }
        if let Some(digest) = key.inputs.get(FILES) {
            add("", &format!("{} of their names and contents", digest.short()));
        }
        for (port, from, digest) in self.inputs() {
            let digest = digest.unwrap_or_else(|| "not there yet".to_owned());
            add("input", &format!("{port} from {from}: {digest}"));
        }
        add("seed", &self.seed());
        add(
            "device",
            match &key.numerics {
                Some(device) => device,
                None => "any: its bytes are the same on all",
            },
        );
        if let Some((old, words)) = &self.nearest {
            let words = if words.is_empty() { "the same as far as is known" } else { words };
            add("nearest", &format!("key {}: {words}", old.digest().short()));
        }
        for (port, object) in planned.finished.iter().flat_map(|step| &step.outputs) {
            let (digest, bytes) = (object.digest.short(), size::bytes(object.bytes));
            add("output", &format!("{port}: {}, {digest}, {bytes}", object.shape));
            if let Some(path) = self.plan.store.object_path(&object.digest) {
                add("", &path.display().to_string());
            }
        }
        if let Some(times) = self.took.map(|step| &step.times) {
            let (all, op) = (reports::duration(times.seconds), reports::duration(times.op_seconds));
            let whose = if planned.finished.is_some() { "" } else { "the nearest: " };
            add("took", &format!("{whose}{all}, the op alone {op}"));
        }
        if planned.finished.is_none() {
            add("predicted", &predicted(&planned.cost));
        }
        out
    }

    /// The parameters that differ from their defaults, and the parameters that do not.
    fn params(&self) -> (String, String) {
        let params = self.step.op.params();
        let schema = self.step.entry.schema();
        let default = |name: &str| schema.pointer(&format!("/properties/{name}/default"));
        let params = params.as_object().cloned().unwrap_or_default();
        let (given, defaults): (Vec<_>, Vec<_>) =
            params.iter().partition(|(name, value)| default(name) != Some(value));
        let list = |params: Vec<(&String, &Value)>| {
            let words = params.into_iter().map(|(name, value)| format!("{name} {}", shown(value)));
            words.collect::<Vec<_>>().join(", ")
        };
        (list(given), list(defaults))
    }

    fn inputs(&self) -> Vec<(&'static str, String, Option<String>)> {
        let steps = &self.plan.pipeline.steps;
        let digest =
            |port: &str| ports(self.key).find(|(name, _)| *name == port).map(|(_, it)| it.short());
        let inputs = self.step.inputs.iter().map(|input| {
            let from = format!("{}.{}", steps[input.step].name, input.output);
            (input.port, from, digest(input.port))
        });
        inputs.collect()
    }

    fn seed(&self) -> String {
        match self.key.seed {
            Some(seed) if self.step.own_seed => format!("{seed}, its own"),
            Some(seed) => format!("{seed}, the study's"),
            None => "none: nothing in it is random".to_owned(),
        }
    }

    fn json(&self) -> String {
        let Self { step, planned, key, .. } = self;
        let inputs = self.inputs().into_iter().map(
            |(port, from, _)| json!({ "port": port, "from": from, "digest": key.inputs.get(port) }),
        );
        let json = json!({
            "step": step.name, "op": step.entry.name, "status": planned.verdict.name(),
            "reason": planned.reason,
            "key": planned.complete_key().map(CacheKey::digest), "fields": key,
            "params": step.op.params(), "inputs": inputs.collect::<Vec<_>>(),
            "files": self.files,
            "nearest": self.nearest.as_ref().map(|(old, words)| {
                json!({ "key": old.digest(), "differences": words })
            }),
            "outputs": planned.finished.as_ref().map(|step| &step.outputs),
            "times": planned.finished.as_ref().map(|step| &step.times),
            "predicted": planned.finished.is_none().then(|| super::plan::cost_in_json(&planned.cost)),
        });
        format!("{json:#}\n")
    }
}
