//! The plan of a run: for each step, whether its result is cached, why it would run, and what that
//! would cost.

pub mod cost;
pub mod graph;
pub mod history;
pub mod keys;
pub mod lookup;
pub mod reasons;

use crate::{
    pipeline::{Input, Pipeline},
    plan::{
        cost::Cost,
        history::LazyHistory,
        keys::{FILES, NEVER},
        lookup::{CacheLookup, lookup},
        reasons::{LOST, Reasons},
    },
    run::{Files, Options, StepError, key_of, memory, resources::Limits, wanted},
};
use cache::{CacheKey, Digest, Shape, Store, store::Finished};

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
    /// The key, without inputs that have no result yet; none for a step that is not asked for.
    pub key: Option<CacheKey>,
    /// True if the key is complete.
    pub whole: bool,
    /// The result, if it is cached.
    pub finished: Option<Finished>,
    /// The shapes of the outputs as far as they are known, in the order of the ports.
    pub shapes: Vec<Shape>,
    /// The expected cost.
    pub cost: Cost,
    /// The cause that is given at steps that read this one: "`clips` has 3 new files".
    cause: String,
}

impl Planned {
    /// The key, if it is complete.
    pub fn whole_key(&self) -> Option<&CacheKey> {
        self.key.as_ref().filter(|_| self.whole)
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

/// The plan of a run.
pub struct Plan<'s> {
    /// One entry for each step, in the order of the pipeline.
    pub steps: Vec<Planned>,
    /// The finished steps of the store.
    pub history: LazyHistory<'s>,
    /// The errors of steps that would not be started.
    pub refused: Vec<StepError>,
}

/// The placeholder for the digest of an input that has no result yet.
fn unknown() -> Digest {
    Digest::of(b"")
}

/// Plans every step that is asked for, and runs none.
pub fn plan<'s>(
    pipeline: &Pipeline,
    files: &Files,
    store: &'s Store,
    options: &Options,
) -> Plan<'s> {
    let history = LazyHistory::of(store);
    let wanted = wanted(pipeline, &options.only);
    let mut lookups = lookup(pipeline, files, store, &wanted);
    let reasons = Reasons { pipeline, files, history: &history, store };
    let limits = options.limits.clone().unwrap_or_else(Limits::of_machine);
    let (mut steps, mut refused) = (Vec::with_capacity(pipeline.steps.len()), Vec::new());
    for (index, step) in pipeline.steps.iter().enumerate() {
        if !wanted[index] {
            steps.push(Planned::skipped());
            continue;
        }
        let there = |from: usize, port: &str| {
            let from: &Planned = &steps[from];
            from.finished.as_ref()?.outputs.get(port).map(|object| object.digest)
        };
        let is_there = |input: &Input| there(input.step, input.output).is_some();
        let whole = step.inputs.iter().all(is_there);
        let forced = options.force.contains(&index);
        let finished = match std::mem::take(&mut lookups[index]) {
            CacheLookup::Hit(finished) if whole && !forced => Some(*finished),
            _ => None,
        };
        let key = match &finished {
            Some(finished) => finished.cache_key.clone(),
            None => {
                let known = |from, port: &str| there(from, port).or_else(|| Some(unknown()));
                let mut key = key_of(step, &files[index], known).expect("every input has a digest");
                for input in step.inputs.iter().filter(|input| !is_there(input)) {
                    key.inputs.remove(input.port);
                }
                key
            }
        };
        let (verdict, reason, cause) = match &finished {
            Some(_) => (Forecast::Hit, String::new(), String::new()),
            None => judge(&reasons, index, &key, forced, &steps),
        };
        let shapes = cost::shapes(&reasons, index, &key, finished.as_ref(), &steps);
        let cost = match &finished {
            Some(_) => Cost::default(),
            None => cost::of(&reasons, index, &key, &shapes, &steps),
        };
        if finished.is_none() {
            let read = cost::shapes_read(&reasons, index, &steps);
            refused.extend(memory::refusal(index, step, &read, &limits));
        }
        let key = Some(key);
        steps.push(Planned { verdict, reason, key, whole, finished, shapes, cost, cause });
    }
    Plan { steps, history, refused }
}

/// The forecast for a step without a cached result, its reason, and the cause that is given at
/// later steps.
fn judge(
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
