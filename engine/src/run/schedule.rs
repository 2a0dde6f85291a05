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
    work::{Job, Made, Shared, Trouble},
};
use crate::{
    pipeline::Input,
    plan::{
        look::{Look, look},
        reasons::Reasons,
    },
};
use cache::{Digest, store::Object};
use ops::{Device, Fault, Port, device};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};
use tracing::debug_span;

/// A run on its way.
pub struct Schedule<'a> {
    pub(super) shared: &'a Shared<'a>,
    pub(super) options: &'a Options,
    pub(super) wanted: Vec<bool>,
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
    /// Running steps that no thread has taken yet.
    pub(super) started: VecDeque<Job>,
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
            looks: debug_span!("lookup")
                .in_scope(|| look(shared.pipeline, shared.files, shared.store, &wanted)),
            fresh: fresh.collect(),
            wanted,
            states: steps.iter().map(|_| State::Waiting).collect(),
            pending,
            readers,
            queue: BTreeSet::new(),
            jobs: BTreeMap::new(),
            running: BTreeMap::new(),
            started: VecDeque::new(),
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

    /// The bytes of a GPU that a step takes beside others, if it runs on one that it shares.
    fn gpu_memory(&self, step: usize) -> Option<u64> {
        let plan = &self.shared.pipeline.steps[step];
        let said = plan.needs.gpu_memory;
        if said.is_some() || plan.needs.gpus > 0 || plan.place == Device::Cpu {
            return said;
        }
        let shape = |port: &Port| {
            let input = plan.inputs.iter().find(|input| input.port == port.name)?;
            self.output(input.step, input.output).map(|object| object.shape.clone())
        };
        let shapes: Vec<_> = plan.op.inputs().iter().map(shape).collect();
        plan.op.gpu_memory(&shapes)
    }

    fn too_few_gpus(&self, step: usize) -> StepError {
        let (needs, has) = (self.needs[step], self.ledger.gpus.numbers());
        let message = match needs.gpu {
            Some(number) if !has.contains(&number) => {
                let has: Vec<String> = has.iter().map(usize::to_string).collect();
                let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
                format!("it asks for GPU {number}, and the run has {has}")
            }
            _ => {
                let (wants, has) = (needs.gpus.max(1), has.len());
                let (plural, are) =
                    (if wants == 1 { "" } else { "s" }, if has == 1 { "is" } else { "are" });
                format!("it needs {wants} GPU{plural}, and there {are} {has}")
            }
        };
        let help = "`engine devices` shows which GPUs there are; see its `device` and `resources`";
        StepError { help: Some(help.to_owned()), ..StepError::new(step, Fault::Input, message) }
    }

    /// Asks the driver for the memory of GPUs, once something runs on one. What it cannot say, the
    /// step itself says better.
    fn learn_gpus(&mut self) {
        let steps = self.shared.pipeline.steps.iter().zip(&self.wanted);
        let placed = steps.filter(|(_, wanted)| **wanted).find_map(|(step, _)| match &step.place {
            Device::Cuda(place) => Some(&place.driver),
            Device::Cpu => None,
        });
        if let Some(gpus) = placed.and_then(|driver| device::gpus(driver).ok()) {
            // A tenth is for CUDA itself and for whoever else is on the GPU.
            let memories: Vec<u64> = gpus.iter().map(|gpu| gpu.memory / 10 * 9).collect();
            self.ledger.gpus.learn(&memories);
        }
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
            let expected = expected(&steps[index], &self.shared.history);
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

    /// Settles all that can be settled now, and starts queued steps, the most urgent first, as long as
    /// one fits.
    pub(super) fn start_what_fits(&mut self) {
        self.look_at_fresh();
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
            self.started.push_back(job);
        }
    }

    /// Why a step runs whose result is not there.
    fn reason(&self, job: &Job) -> String {
        let Shared { pipeline, files, store, ref history, .. } = *self.shared;
        let key_of = |step: usize| match &self.states[step] {
            State::There { finished, .. } => Some(&finished.cache_key),
            _ => None,
        };
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

    /// A step has ended.
    pub(super) fn end(&mut self, step: usize, made: Result<Made, Trouble>) {
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
}
