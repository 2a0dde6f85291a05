//! Which step is next. Steps whose results are there are settled at once, in the order of the
//! pipeline; the others run at the same time as far as resources reach, those with the longest
//! way still behind them first.

use super::{
    Options, StepError,
    expected::expected,
    key_of,
    resources::{Lease, Ledger, Limits, Needs},
    state::State,
    wanted,
    work::{self, Job, Made, Shared, Trouble},
};
use crate::{
    pipeline::Input,
    plan::{
        look::{Look, look},
        reasons::Reasons,
    },
    run::rows,
    say::progress::{Settled, shapes},
};
use cache::{Digest, record::StepStatus, store::Object};
use ops::Fault;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::mpsc,
    thread::{self, Scope},
    time::{Duration, Instant},
};

mod on_gpus;

/// Stack of a step's thread. Only what is used of it takes memory.
const STACK_BYTES: usize = 16 << 20;

/// A run on its way.
pub struct Schedule<'a> {
    pub(super) shared: &'a Shared<'a>,
    pub(super) options: &'a Options,
    wanted: Vec<bool>,
    /// What was known of each step before the run.
    looks: Vec<Look>,
    pub(super) states: Vec<State>,
    /// Of each step, the steps it reads that are not settled.
    pub(super) pending: Vec<BTreeSet<usize>>,
    /// Of each step, the wanted steps that read it.
    pub(super) readers: Vec<Vec<usize>>,
    /// Steps with nothing pending that nobody has looked at, in the order of the pipeline.
    pub(super) fresh: BTreeSet<usize>,
    /// Steps that must run, the most urgent first.
    pub(super) queue: BTreeSet<(Reverse<u64>, usize)>,
    pub(super) jobs: BTreeMap<usize, Job>,
    pub(super) running: BTreeMap<usize, Running>,
    /// Milliseconds from the start of a step to the end of all that depends on it; made when first
    /// something must run.
    urgency: Option<Vec<u64>>,
    needs: Vec<Needs>,
    /// Steps whose results were lost: they run although the journal knows them.
    pub(super) rebuilt: BTreeSet<usize>,
    /// What steps had made that went back to waiting.
    pub(super) before: BTreeMap<usize, BTreeMap<String, Object>>,
    /// Running steps whose inputs have changed since they started.
    pub(super) outdated: BTreeSet<usize>,
    ledger: Ledger,
    pub(super) errors: Vec<StepError>,
    pub(super) stopped: bool,
}

pub(super) struct Running {
    key: Digest,
    lease: Lease,
    since: Instant,
}

/// The end of a step's thread.
struct Done {
    step: usize,
    made: Result<Made, Trouble>,
}

impl<'a> Schedule<'a> {
    /// Nothing is settled.
    pub fn new(shared: &'a Shared<'a>, options: &'a Options) -> Self {
        let steps = &shared.pipeline.steps;
        let wanted = wanted(shared.pipeline, &options.only);
        let mut readers = vec![Vec::new(); steps.len()];
        let mut pending = vec![BTreeSet::new(); steps.len()];
        for (index, step) in steps.iter().enumerate().filter(|(index, _)| wanted[*index]) {
            pending[index] = step.inputs.iter().map(|input| input.step).collect();
            pending[index].iter().for_each(|source| readers[*source].push(index));
        }
        let fresh = (0..steps.len()).filter(|step| wanted[*step] && pending[*step].is_empty());
        Self {
            shared,
            options,
            looks: look(shared.pipeline, shared.files, shared.store, &wanted),
            fresh: fresh.collect(),
            wanted,
            states: steps.iter().map(|_| State::Waiting).collect(),
            pending,
            readers,
            queue: BTreeSet::new(),
            jobs: BTreeMap::new(),
            running: BTreeMap::new(),
            urgency: None,
            needs: Vec::new(),
            rebuilt: BTreeSet::new(),
            before: BTreeMap::new(),
            outdated: BTreeSet::new(),
            ledger: Ledger::new(options.limits.clone().unwrap_or_else(Limits::of_machine)),
            errors: Vec::new(),
            stopped: false,
        }
    }

    /// Runs to the end.
    pub fn run(mut self) -> super::Outcome {
        let (done, results) = mpsc::channel();
        thread::scope(|scope| {
            loop {
                self.look_at_fresh();
                self.start_what_fits(scope, &done);
                if !self.running.is_empty() {
                    let Done { step, made } = results.recv().expect("a sender is kept here");
                    self.end(step, made);
                } else {
                    break;
                }
            }
        });
        self.outcome()
    }

    /// Settles what needs no work and queues what does.
    fn look_at_fresh(&mut self) {
        while let Some(step) = self.fresh.pop_first() {
            if self.stopped || self.shared.cancel.is_cancelled() {
                continue;
            }
            match self.look_at(step) {
                Ok(Some(there)) => self.settle(step, there),
                Ok(None) => {}
                Err(error) => self.fail(step, None, error, 0.0),
            }
        }
    }

    /// The state of a step whose inputs are settled, or none if it must run.
    fn look_at(&mut self, step: usize) -> Result<Option<State>, StepError> {
        let plan = &self.shared.pipeline.steps[step];
        let without = plan.inputs.iter().find(|input| !self.states[input.step].is_there());
        if let Some(input) = without {
            let name = &self.shared.pipeline.steps[input.step].name;
            return Ok(Some(State::skipped(format!("`{name}` has no result"))));
        }
        if let Some(there) = self.as_looked_at(step) {
            return Ok(Some(there));
        }
        let key = key_of(plan, &self.shared.files[step], |from, port| {
            self.output(from, port).map(|object| object.digest)
        })
        .ok_or_else(|| self.absent(step))?;
        let again = match () {
            () if self.rebuilt.contains(&step) => Some("its result was lost or damaged"),
            () if self.options.force.contains(&step) => Some("forced"),
            () => None,
        };
        let digest = key.digest();
        if again.is_none()
            && let Some(finished) = self.shared.store.finished(&digest)
        {
            return Ok(Some(State::hit(finished, "its result is there")));
        }
        let inputs = plan
            .inputs
            .iter()
            .map(|input| self.output(input.step, input.output).expect("its key is known").digest);
        let (inputs, reason) = (inputs.collect(), again.unwrap_or_default().to_owned());
        let (again, gpus) = (again.is_some(), Vec::new());
        let job = Job { step, key, digest, inputs, again, reason, gpus };
        self.enqueue(job)?;
        Ok(None)
    }

    /// The result that was there before the run, if the step reads what it was made of and need not
    /// run again.
    fn as_looked_at(&mut self, step: usize) -> Option<State> {
        let Look::There(finished) = std::mem::take(&mut self.looks[step]) else { return None };
        let reads = |input: &Input| {
            let now = self.output(input.step, input.output).map(|object| &object.digest);
            now.is_some() && now == finished.cache_key.inputs.get(input.port)
        };
        let same = self.shared.pipeline.steps[step].inputs.iter().all(reads);
        let again = self.rebuilt.contains(&step) || self.options.force.contains(&step);
        (same && !again).then(|| State::hit(*finished, "its result is there"))
    }

    fn enqueue(&mut self, job: Job) -> Result<(), StepError> {
        let step = job.step;
        if self.urgency.is_none() {
            self.expect_costs();
        }
        self.needs[step].gpu_memory = self.gpu_memory(step);
        if !self.ledger.gpus.can_ever(&self.needs[step]) {
            return Err(self.too_few_gpus(step));
        }
        let urgency = self.urgency.as_ref().map_or(0, |urgency| urgency[step]);
        self.queue.insert((Reverse(urgency), step));
        self.jobs.insert(step, job);
        Ok(())
    }

    /// Learns from earlier runs what steps are likely to take.
    fn expect_costs(&mut self) {
        /// What is not known is taken for short: it holds nothing up that is known to be long.
        const UNKNOWN_SECONDS: f64 = 1.0;
        self.learn_gpus();
        let steps = &self.shared.pipeline.steps;
        let mut urgency = vec![0_u64; steps.len()];
        self.needs = vec![Needs::default(); steps.len()];
        for index in (0..steps.len()).rev().filter(|index| self.wanted[*index]) {
            let expected = expected(&steps[index], self.shared.history());
            self.needs[index] = Needs {
                memory: steps[index].needs.memory.or(expected.memory),
                ..steps[index].needs
            };
            let own = (expected.seconds.unwrap_or(UNKNOWN_SECONDS) * 1e3) as u64;
            let after = self.readers[index].iter().map(|reader| urgency[*reader]).max();
            urgency[index] = own + after.unwrap_or(0);
        }
        self.urgency = Some(urgency);
    }

    /// Starts queued steps, the most urgent first, as long as one fits.
    fn start_what_fits<'s>(&mut self, scope: &'s Scope<'s, '_>, done: &mpsc::Sender<Done>)
    where
        'a: 's,
    {
        while !self.stopped
            && let Some((place, lease)) = self.first_that_fits()
        {
            self.queue.remove(&place);
            let mut job = self.jobs.remove(&place.1).expect("what is queued has a job");
            job.gpus.clone_from(&lease.gpus.numbers);
            if !job.again {
                job.reason = self.reason(&job);
            }
            let running = Running { key: job.digest, lease, since: Instant::now() };
            self.running.insert(job.step, running);
            let (shared, done) = (self.shared, done.clone());
            let work = move || {
                let made = work::run(&job, shared);
                // The schedule outlives every step.
                let _ = done.send(Done { step: job.step, made });
            };
            let name = shared.pipeline.steps[place.1].name.clone();
            thread::Builder::new()
                .name(name)
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, work)
                .expect("the system has a thread for a step");
        }
    }

    /// Why a step runs whose result is not there.
    fn reason(&self, job: &Job) -> String {
        let Shared { pipeline, files, store, .. } = *self.shared;
        let key_of = |step: usize| match &self.states[step] {
            State::There { finished, .. } => Some(&finished.cache_key),
            _ => None,
        };
        let history = self.shared.history();
        Reasons { pipeline, files, history, store }.why(job.step, &job.key, &key_of)
    }

    fn first_that_fits(&mut self) -> Option<((Reverse<u64>, usize), Lease)> {
        if self.ledger.is_full() {
            return None;
        }
        for place in &self.queue {
            // Two steps of one key do the same work: the second finds what the first has made.
            let key = self.jobs[&place.1].digest;
            if self.running.values().any(|running| running.key == key) {
                continue;
            }
            if let Some(lease) = self.ledger.take(&self.needs[place.1]) {
                return Some((*place, lease));
            }
        }
        None
    }

    /// A step's thread has ended.
    fn end(&mut self, step: usize, made: Result<Made, Trouble>) {
        let Running { key, lease, since } = self.running.remove(&step).expect("it was running");
        self.ledger.give_back(&lease);
        self.stopped |= self.shared.cancel.is_cancelled();
        if self.outdated.remove(&step) {
            self.fresh.insert(step);
            return;
        }
        match made {
            Ok(Made { finished, reason: Some(reason) }) => {
                self.settle(step, State::ran(finished, reason));
            }
            Ok(Made { finished, reason: None }) => {
                self.settle(step, State::hit(finished, "another run made it meanwhile"));
            }
            Err(Trouble::Lost(input, damage)) => {
                let input = &self.shared.pipeline.steps[step].inputs[input];
                self.rebuild(input.step, input.output, &damage.to_string(), step);
            }
            Err(Trouble::Failed(error)) => {
                self.fail(step, Some(key), error, since.elapsed().as_secs_f64());
            }
        }
    }

    fn output(&self, step: usize, port: &str) -> Option<&Object> {
        self.states[step].output(port)
    }

    /// An optional output that is read, but was not given.
    fn absent(&self, step: usize) -> StepError {
        let steps = &self.shared.pipeline.steps;
        let absent =
            |input: &&crate::pipeline::Input| self.output(input.step, input.output).is_none();
        let input =
            steps[step].inputs.iter().find(absent).expect("a key lacks nothing but an input");
        let (from, output) = (&steps[input.step], input.output);
        let port = from.op.outputs().iter().find(|port| port.name == output);
        let message =
            format!("it reads `{}.{output}`, which `{}` did not make", from.name, from.name);
        StepError {
            help: port.map(|port| format!("`{output}` of `{}`: {}", from.entry.name, port.doc)),
            ..StepError::new(step, Fault::Input, message)
        }
    }

    pub(super) fn tell(&self, step: usize, state: &State) {
        let plan = &self.shared.pipeline.steps[step];
        let (status, elapsed, note) = match state {
            State::There { finished, status: StepStatus::Ran, .. } => {
                let first = plan.op.outputs().first();
                let object = first.and_then(|port| finished.outputs.get(port.name));
                let shape = shapes(object.map(|object| &object.shape));
                let rows = object.and_then(|object| object.shape.rows).unwrap_or(0);
                let spared = rows::told(finished.times.rows_reused, rows);
                let note = spared.map_or(shape.clone(), |spared| format!("{shape}; {spared}"));
                ("ran", Some(finished.times.seconds), note)
            }
            State::There { .. } => ("hit", None, String::new()),
            State::Without { status: StepStatus::Failed, seconds, .. } => {
                ("failed", Some(*seconds), String::new())
            }
            State::Without { reason, .. } => ("skipped", None, reason.clone()),
            State::Waiting => return,
        };
        self.shared.progress.settle(&Settled {
            number: step + 1,
            name: &plan.name,
            status,
            elapsed: elapsed.map(Duration::from_secs_f64),
            note,
        });
    }

    fn outcome(mut self) -> super::Outcome {
        self.errors.sort_by_key(|error| error.step);
        for step in 0..self.states.len() {
            if matches!(self.states[step], State::Waiting) {
                let reason =
                    if self.wanted[step] { "the run stopped before" } else { "not asked for" };
                let state = State::skipped(reason.to_owned());
                if self.wanted[step] {
                    self.tell(step, &state);
                }
                self.states[step] = state;
            }
        }
        let steps = self.shared.pipeline.steps.iter().zip(self.states);
        super::Outcome {
            steps: steps.map(|(step, state)| state.record(self.shared.pipeline, step)).collect(),
            errors: self.errors,
            interrupted: self.shared.cancel.is_cancelled(),
        }
    }
}
