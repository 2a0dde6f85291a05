//! What a run would do: of each step, whether its result is there, why it would run, and what that
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

/// What would become of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// Its result is there.
    Hit,
    /// It runs.
    Run,
    /// It runs unless what it reads is made again with the same bytes.
    Maybe,
    /// It is not asked for.
    Skip,
}

impl Forecast {
    /// The word in listings.
    pub fn name(self) -> &'static str {
        match self {
            Forecast::Hit => "hit",
            Forecast::Run => "run",
            Forecast::Maybe => "maybe",
            Forecast::Skip => "skip",
        }
    }
}

/// What is known of a step before a run.
pub struct Planned {
    /// What would become of it.
    pub verdict: Forecast,
    /// Why; nothing for a hit.
    pub reason: String,
    /// Its key, without inputs that are not there yet; none of a step that is not asked for.
    pub key: Option<CacheKey>,
    /// Whether that is all of the key.
    pub whole: bool,
    /// Its result, if that is there.
    pub finished: Option<Finished>,
    /// The shapes of its outputs as far as they can be told, in the order of its ports.
    pub shapes: Vec<Shape>,
    /// What it would cost.
    pub cost: Cost,
    /// What is said of it below it: "`clips` has 3 new files".
    cause: String,
}

impl Planned {
    /// Its key, if all of it is known.
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

/// What a run would do.
pub struct Plan<'s> {
    /// One a step, in the order of the pipeline.
    pub steps: Vec<Planned>,
    /// What finished before.
    pub history: LazyHistory<'s>,
    /// Why steps would not be started.
    pub refused: Vec<StepError>,
}

/// Stands for the content of an input that is not there yet.
fn unknown() -> Digest {
    Digest::of(b"")
}

/// Looks at every step that is asked for, and runs none.
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

/// Whether a step whose result is not there runs, why, and what is said of it further down.
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

/// The name under which the files of a source stand is not a port of the step.
pub fn ports(key: &CacheKey) -> impl Iterator<Item = (&String, &Digest)> {
    key.inputs.iter().filter(|(port, _)| *port != FILES)
}
