//! The plan of a run: for each step, whether its result is cached, why it would run, and what that
//! would cost.

pub mod cost;
pub mod history;
pub mod keys;
pub mod lookup;
pub mod memory;
pub mod picture;
pub mod reasons;
pub mod scan;
pub mod shapes;

use crate::{
    devices::limits,
    model::{Files, Input, Options, Pipeline, StepError, StepRequest},
};
use cache::{CacheKey, Digest, Shape, Store, store::Finished};
use cost::Cost;
use history::LazyHistory;
use keys::{FILES, NEVER, key_of};
use lookup::CacheLookup;
use reasons::{LOST, Reasons};
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};
use tracing::debug_span;

/// The forecast for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// The result is cached.
    Hit,
    /// The step runs.
    Run,
    /// The step runs unless its inputs are made again with the same bytes.
    Maybe,
    /// The step is not asked for.
    Skip,
}

impl Forecast {
    /// The word for the forecast in listings.
    pub fn name(self) -> &'static str {
        match self {
            Forecast::Hit => "hit",
            Forecast::Run => "run",
            Forecast::Maybe => "maybe",
            Forecast::Skip => "skip",
        }
    }
}

/// A planned step.
pub struct Planned {
    /// The forecast.
    pub verdict: Forecast,
    /// The reason to run; empty for a hit.
    pub reason: String,
    /// The key of a step without a result.
    key: Option<CacheKey>,
    /// True if the key is complete.
    pub whole: bool,
    /// The result, if it is cached.
    pub finished: Option<Arc<Finished>>,
    /// The shapes of the outputs as far as they are known, in the order of the ports.
    pub shapes: Vec<Shape>,
    /// The expected cost.
    pub cost: Cost,
    /// The cause that is given at steps that read this one: "`clips` has 3 new files".
    cause: String,
}

impl Planned {
    /// The key, without inputs that have no result yet; none for a step that is not asked for.
    pub fn key(&self) -> Option<&CacheKey> {
        self.finished.as_ref().map(|it| &it.cache_key).or(self.key.as_ref())
    }

    /// The key, if it is complete.
    pub fn complete_key(&self) -> Option<&CacheKey> {
        self.key().filter(|_| self.whole)
    }

    fn skipped() -> Self {
        Self {
            verdict: Forecast::Skip,
            reason: "not asked for".to_owned(),
            key: None,
            whole: false,
            finished: None,
            shapes: Vec::new(),
            cost: Cost::default(),
            cause: String::new(),
        }
    }
}

/// The plan of a run. `plan`, `explain` and `--dry-run` show it, and the run executes it.
pub struct Plan<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// The source files of every step.
    pub files: &'a Files,
    /// The store.
    pub store: &'a Store,
    /// The options of the run.
    pub options: &'a Options,
    /// Marks the steps that are asked for, and all that they need.
    pub wanted: Vec<bool>,
    /// The cache lookup of each step.
    pub lookups: Vec<CacheLookup>,
    /// The finished steps of the store, read when they are first needed.
    pub history: LazyHistory<'a>,
    /// Made when they are first needed: a run that finds everything needs no forecast.
    steps: OnceLock<Vec<Planned>>,
}

/// Plans a run: looks up every step that is asked for, and runs none.
pub fn build<'a>(
    pipeline: &'a Pipeline,
    files: &'a Files,
    store: &'a Store,
    options: &'a Options,
) -> Plan<'a> {
    let wanted = pipeline.graph.wanted(&options.only);
    let lookups =
        debug_span!("lookup").in_scope(|| lookup::lookup(pipeline, files, store, &wanted));
    let (history, steps) = (LazyHistory::of(store), OnceLock::new());
    Plan { pipeline, files, store, options, wanted, lookups, history, steps }
}

/// The placeholder for the digest of an input that has no result yet.
fn unknown() -> Digest {
    Digest::of(b"")
}

impl Plan<'_> {
    /// One entry for each step, in the order of the pipeline.
    pub fn steps(&self) -> &[Planned] {
        self.steps.get_or_init(|| {
            let _forecast = debug_span!("forecast").entered();
            let reasons = self.reasons();
            let mut steps = Vec::with_capacity(self.wanted.len());
            for (index, wanted) in self.wanted.iter().enumerate() {
                let planned = match wanted {
                    true => self.planned(&reasons, index, &steps),
                    false => Planned::skipped(),
                };
                steps.push(planned);
            }
            steps
        })
    }

    /// The data from which the reasons of steps are derived.
    pub fn reasons(&self) -> Reasons<'_> {
        let Self { pipeline, files, store, ref history, .. } = *self;
        Reasons { pipeline, files, history, store }
    }

    /// The reason why a step with this key runs. `key_of` gives the keys of the steps before it.
    pub fn reason<'k>(
        &self,
        step: usize,
        key: &CacheKey,
        key_of: &dyn Fn(usize) -> Option<&'k CacheKey>,
    ) -> String {
        let planned = &self.steps()[step];
        match planned.complete_key() {
            Some(known) if known == key => planned.reason.clone(),
            _ => self.reasons().why(step, key, key_of),
        }
    }

    /// The request to run a step, given its key and the content at each of its input ports.
    pub fn request(
        &self,
        step: usize,
        key: CacheKey,
        inputs: Vec<(String, Digest)>,
    ) -> StepRequest {
        let own = &self.pipeline.steps[step];
        StepRequest {
            number: step + 1,
            name: own.name.clone(),
            op: own.entry.name.to_owned(),
            params: own.op.params(),
            seed: own.seed,
            device: own.place.clone(),
            gpus: Vec::new(),
            inputs,
            files: self.files[step].clone(),
            paths: BTreeMap::new(),
            key,
            reason: String::new(),
            again: false,
            retries: own.retries,
            timeout: own.timeout,
        }
    }

    /// The errors of steps that would not be started.
    pub fn refused(&self) -> Vec<StepError> {
        let limits = self.options.limits.clone().unwrap_or_else(limits);
        let runs = self.steps().iter().enumerate();
        let runs = runs.filter(|(_, step)| step.key.is_some() && step.finished.is_none());
        let refusal = |(index, _): (usize, &Planned)| {
            let read = shapes::planned_inputs(self.pipeline, index, self.steps());
            memory::refusal(index, &self.pipeline.steps[index], &read, &limits)
        };
        runs.filter_map(refusal).collect()
    }

    /// The steps that would take long with what they read, each with the reason.
    pub fn slow(&self) -> Vec<(&str, String)> {
        let runs = self.steps().iter().enumerate();
        let runs = runs.filter(|(_, step)| step.key.is_some() && step.finished.is_none());
        let slow = |(index, _): (usize, &Planned)| {
            let (step, read) = (
                &self.pipeline.steps[index],
                shapes::planned_inputs(self.pipeline, index, self.steps()),
            );
            Some((step.name.as_str(), step.op.slow(&read)?))
        };
        runs.filter_map(slow).collect()
    }

    fn planned(&self, reasons: &Reasons<'_>, index: usize, before: &[Planned]) -> Planned {
        let step = &self.pipeline.steps[index];
        let there = |from: usize, port: &str| {
            let from: &Planned = &before[from];
            from.finished.as_ref()?.outputs.get(port).map(|object| object.digest)
        };
        let is_there = |input: &Input| there(input.step, input.output).is_some();
        let whole = step.inputs.iter().all(is_there);
        let forced = self.options.force.contains(&index);
        let finished = self.lookups[index].finished().filter(|_| whole && !forced).cloned();
        let own = match &self.lookups[index] {
            _ if finished.is_some() => None,
            CacheLookup::Miss(key, _) if whole => Some((**key).clone()),
            _ => {
                let known = |from, port: &str| there(from, port).or_else(|| Some(unknown()));
                let mut key =
                    key_of(step, &self.files[index], known).expect("every input has a digest");
                for input in step.inputs.iter().filter(|input| !is_there(input)) {
                    key.inputs.remove(input.port);
                }
                Some(key)
            }
        };
        let key = finished.as_deref().map(|it| &it.cache_key).or(own.as_ref());
        let key = key.expect("a step has a result or a key of its own");
        let (verdict, reason, cause) = match &finished {
            Some(_) => (Forecast::Hit, String::new(), String::new()),
            None => forecast(reasons, index, key, forced, before),
        };
        let shapes = shapes::planned_outputs(reasons, index, key, finished.as_deref(), before);
        let cost = match &finished {
            Some(_) => Cost::default(),
            None => cost::of(reasons, index, key, &shapes, before),
        };
        Planned { verdict, reason, key: own, whole, finished, shapes, cost, cause }
    }
}

/// The forecast for a step without a cached result, its reason, and the cause that is given at
/// later steps.
fn forecast(
    reasons: &Reasons<'_>,
    index: usize,
    key: &CacheKey,
    forced: bool,
    before: &[Planned],
) -> (Forecast, String, String) {
    let step = &reasons.pipeline.steps[index];
    let name = crate::ui::diagnostic::quote(&step.name);
    if forced {
        return (Forecast::Run, "forced".to_owned(), format!("{name} is forced"));
    }
    let Some(nearest) = reasons.nearest(index, key) else {
        return (Forecast::Run, NEVER.to_owned(), format!("{name} was never run before"));
    };
    let mut differences = reasons.differences(index, nearest, key);
    let missing: Vec<&Input> =
        step.inputs.iter().filter(|input| !key.inputs.contains_key(input.port)).collect();
    differences.inputs.retain(|(port, _)| missing.iter().all(|input| input.port != port));
    let key_of = |step: usize| before[step].finished.as_ref().map(|step| &step.cache_key);
    let mut words = reasons.in_words(index, &differences, &key_of);
    let verdict = match (missing.first(), differences.is_empty()) {
        (None, true) => {
            let cause = format!("the result of {name} is no longer whole");
            return (Forecast::Run, LOST.to_owned(), cause);
        }
        (Some(input), true) => {
            let (port, cause) = (reasons.output_name(input), &before[input.step].cause);
            words = format!("input `{port}` may change: {cause}");
            Forecast::Maybe
        }
        (_, false) => Forecast::Run,
    };
    let cause = match (differences.own.is_empty(), missing.first()) {
        (false, _) => format!("{name} has {}", differences.own.join(", ")),
        (true, Some(input)) => before[input.step].cause.clone(),
        (true, None) => format!("{name} runs: {words}"),
    };
    (verdict, words, cause)
}

/// The inputs of a key by port, without the entry for the files of a source.
pub fn ports(key: &CacheKey) -> impl Iterator<Item = (&String, &Digest)> {
    key.inputs.iter().filter(|(port, _)| *port != FILES)
}
