//! The order of the steps. Steps that are cache hits are done at once, in the order of the
//! pipeline; the others run at the same time as far as resources reach, those with the longest
//! chain of work behind them first.

use super::{
    gpus,
    peers::PollTimes,
    resources::{ResourceGrant, ResourcePool},
    state::{Running, States, StepState},
    work::RunContext,
};
use crate::{
    devices::limits,
    model::{Input, Needs, Step, StepError, StepRequest, StepResult},
    plan::{keys::key_of, lookup::CacheLookup, memory, shapes::of_inputs},
};
use cache::{CacheKey, Digest, store::Object};
use ops::{Device, ErrorKind, gpu};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Instant,
};

/// The reason of a step whose result is cached.
const HIT: &str = "its result is there";

/// A step that must run.
pub struct Job {
    /// The step, as an index into the pipeline.
    pub step: usize,
    /// The digest of the step's key.
    pub digest: Digest,
    /// The work.
    pub request: StepRequest,
}

/// The schedule of a run in progress.
pub struct Schedule<'a> {
    pub(super) context: &'a RunContext<'a>,
    pub(super) states: States,
    /// Running steps that no worker has taken yet.
    pub(super) started: VecDeque<Job>,
    /// Milliseconds from the start of a step to the end of all that depends on it; computed when
    /// the first step must run.
    priorities: Option<Vec<u64>>,
    needs: Vec<Needs>,
    /// Steps whose results were lost: they run although the journal lists them.
    pub(super) rebuilt: BTreeSet<usize>,
    /// The former outputs of steps that went back to waiting.
    pub(super) before: BTreeMap<usize, BTreeMap<String, Object>>,
    pool: ResourcePool,
    pub(super) errors: Vec<StepError>,
    pub(super) stopped: bool,
    pub(super) polling: PollTimes,
}

impl<'a> Schedule<'a> {
    /// A schedule in which no step is settled.
    pub fn new(context: &'a RunContext<'a>) -> Self {
        let plan = context.plan;
        let states = plan.wanted.iter().enumerate().map(|(index, wanted)| {
            if !wanted {
                return StepState::skipped("not asked for".to_owned());
            }
            let sources: BTreeSet<usize> = plan.pipeline.graph.sources(index).collect();
            if sources.is_empty() { StepState::Ready } else { StepState::Waiting(sources) }
        });
        Self {
            context,
            states: States::new(states),
            started: VecDeque::new(),
            priorities: None,
            needs: Vec::new(),
            rebuilt: BTreeSet::new(),
            before: BTreeMap::new(),
            pool: ResourcePool::new(plan.options.limits.clone().unwrap_or_else(limits)),
            errors: Vec::new(),
            stopped: false,
            polling: PollTimes::default(),
        }
    }

    /// The wanted steps that read a step.
    pub(super) fn readers(&self, step: usize) -> impl Iterator<Item = usize> + use<'a> {
        let plan = self.context.plan;
        plan.pipeline.graph.readers(step).filter(|reader| plan.wanted[*reader])
    }

    /// Settles the ready steps that need no work, and queues the others.
    fn settle_ready(&mut self) {
        while !self.stopped
            && !self.context.host.cancel.is_cancelled()
            && let Some(step) = self.states.first_ready()
        {
            match self.evaluate(step) {
                Ok(Some(done)) => self.transition(step, done),
                Ok(None) => {}
                Err(error) => self.fail(step, None, error, 0.0),
            }
        }
    }

    /// The new state of a step whose inputs are settled; none if it must run.
    fn evaluate(&mut self, step: usize) -> Result<Option<StepState>, StepError> {
        let plan = self.context.plan;
        let own = &plan.pipeline.steps[step];
        let without = own.inputs.iter().find(|input| !self.states[input.step].is_done());
        if let Some(input) = without {
            let name = &plan.pipeline.steps[input.step].name;
            return Ok(Some(StepState::skipped(format!("`{name}` has no result"))));
        }
        let again = match () {
            () if self.rebuilt.contains(&step) => Some("its result was lost or damaged"),
            () if plan.options.force.contains(&step) => Some("forced"),
            () => None,
        };
        let (key, digest) = match &plan.lookups[step] {
            CacheLookup::Hit(finished) if self.reads(own, &finished.cache_key) => match again {
                None => return Ok(Some(StepState::hit(Arc::clone(finished), HIT))),
                Some(_) => (finished.cache_key.clone(), finished.key),
            },
            CacheLookup::Miss(key, digest) if self.reads(own, key) => ((**key).clone(), *digest),
            // Only now the contents of all inputs are known.
            _ => {
                let key = key_of(own, &plan.files[step], |from, port| {
                    self.output(from, port).map(|object| object.digest)
                });
                let key = key.ok_or_else(|| self.missing_input(step))?;
                let digest = key.digest();
                if again.is_none()
                    && let Some(finished) = plan.store.finished(&digest)
                {
                    // For a driver this is no cache hit: a worker of this run has made it.
                    return Ok(Some(match self.was_followed(step) {
                        true => StepState::ran(finished, self.reason(step, &key)),
                        false => StepState::hit(Arc::new(finished), HIT),
                    }));
                }
                (key, digest)
            }
        };
        let content = |input: &Input| {
            let object = self.output(input.step, input.output).expect("its key is known");
            (input.port.to_owned(), object.digest)
        };
        let request = StepRequest {
            again: again.is_some(),
            reason: again.unwrap_or_default().to_owned(),
            ..plan.request(step, key, own.inputs.iter().map(content).collect())
        };
        self.enqueue(Job { step, digest, request })?;
        Ok(None)
    }

    /// True if the inputs of a step have the contents that a key names.
    fn reads(&self, step: &Step, key: &CacheKey) -> bool {
        step.inputs.iter().all(|input| {
            let now = self.output(input.step, input.output).map(|object| &object.digest);
            now.is_some() && now == key.inputs.get(input.port)
        })
    }

    fn enqueue(&mut self, job: Job) -> Result<(), StepError> {
        let step = job.step;
        if self.priorities.is_none() {
            self.predict_costs();
        }
        let plan = &self.context.plan.pipeline.steps[step];
        let shape = |input: &Input| Some(self.output(input.step, input.output)?.shape.clone());
        let read = of_inputs(plan, shape);
        // A driver runs no step itself, so its own limits do not count.
        let alone = self.context.peers.is_none();
        if let Some(refusal) =
            memory::refusal(step, plan, &read, self.pool.limits()).filter(|_| alone)
        {
            return Err(refusal);
        }
        let digest = |port: &str| {
            let input = plan.inputs.iter().find(|input| input.port == port)?;
            self.output(input.step, input.output).map(|object| object.digest)
        };
        let shares_memory = self.context.executor.shares_memory();
        let on_gpu = gpus::needs(plan, &read, digest, shares_memory);
        let needs = &mut self.needs[step];
        if plan.needs.memory.is_none() {
            needs.memory = needs.memory.max(memory::estimate(plan, &read));
        }
        (needs.gpu_memory, needs.gpu_content) = on_gpu;
        let can_run = self.pool.gpus.can_ever_run(&self.needs[step]);
        if !can_run && alone {
            return Err(self.too_few_gpus(step));
        }
        let job = Box::new(job);
        let state = match can_run && self.may_run(step) {
            true => StepState::Queued { job, priority: self.priority_of(step) },
            false => StepState::Elsewhere(job),
        };
        self.states.set(step, state);
        Ok(())
    }

    /// The priority of a step. Of steps of one priority, processes at one plan begin with different ones.
    pub(super) fn priority_of(&self, step: usize) -> u64 {
        let priority = self.priorities.as_ref().map_or(0, |priorities| priorities[step]);
        self.context.peers.map_or(priority, |peers| {
            const ORDER_BITS: u32 = 16;
            let order = (step as u64 + 1).wrapping_mul(peers.order_offset() | 1)
                >> (u64::BITS - ORDER_BITS);
            (priority << ORDER_BITS) | order
        })
    }

    fn too_few_gpus(&self, step: usize) -> StepError {
        let (needs, has) = (self.needs[step], self.pool.gpus.numbers());
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
        StepError::new(step, ErrorKind::Input, message).help(help)
    }

    /// Asks the driver for the memory of the GPUs, if a step runs on one. A failure is ignored
    /// here: the step itself reports it better.
    fn read_gpu_memory(&mut self) {
        let steps = self.context.plan.pipeline.steps.iter().zip(&self.context.plan.wanted);
        let placed = steps.filter(|(_, wanted)| **wanted).find_map(|(step, _)| match &step.place {
            Device::Cuda(place) => Some(&place.driver),
            Device::Cpu => None,
        });
        if let Some(gpus) = placed.and_then(|driver| gpu::gpus(driver).ok()) {
            // A tenth is left for CUDA itself and for other users of the GPU.
            let memories: Vec<u64> = gpus.iter().map(|gpu| gpu.memory / 10 * 9).collect();
            self.pool.gpus.set_memory(&memories);
        }
    }

    /// Takes from the plan the time and the resources that steps are likely to take.
    fn predict_costs(&mut self) {
        /// The assumed time of unknown steps, which is short: they hold up no step that is known to
        /// be long.
        const UNKNOWN_SECONDS: f64 = 1.0;
        self.read_gpu_memory();
        let plan = self.context.plan;
        let planned = plan.steps();
        let needs = plan.pipeline.steps.iter().zip(planned);
        let needs = needs.map(|(step, planned)| Needs {
            memory: step.needs.memory.or(planned.cost.memory),
            ..step.needs
        });
        self.needs = needs.collect();
        let time = |step: usize| match planned[step].finished {
            Some(_) => 0,
            None => (planned[step].cost.seconds.unwrap_or(UNKNOWN_SECONDS) * 1e3) as u64,
        };
        let priorities = plan.pipeline.graph.critical_paths(&plan.wanted, time);
        self.priorities = Some(priorities);
    }

    /// Settles all steps that can be settled now, and starts queued steps, the highest priority first,
    /// as long as one fits.
    pub(super) fn start_fitting(&mut self) {
        self.settle_ready();
        while !self.stopped
            && let Some((step, key, lease)) = self.first_fitting()
        {
            if !self.may_still_run(step) {
                self.pool.release(&lease);
                continue;
            }
            let gpus = lease.gpus.numbers.clone();
            let running = Running { key, lease, since: Instant::now(), outdated: false };
            let queued = self.states.set(step, StepState::Running(running));
            let StepState::Queued { mut job, .. } = queued else {
                panic!("BUG: a step that nobody queued is started");
            };
            job.request.gpus = gpus;
            if !job.request.again {
                job.request.reason = self.reason(job.step, &job.request.key);
            }
            self.started.push_back(*job);
        }
    }

    /// The reason why a step without a cached result runs.
    pub(super) fn reason(&self, step: usize, key: &CacheKey) -> String {
        let key_of = |step: usize| match &self.states[step] {
            StepState::Done { finished, .. } => Some(&finished.cache_key),
            _ => None,
        };
        self.context.plan.reason(step, key, &key_of)
    }

    fn first_fitting(&mut self) -> Option<(usize, Digest, ResourceGrant)> {
        if self.pool.is_full() {
            return None;
        }
        for (step, job) in self.states.queued() {
            // Two steps of one key do the same work: the second finds what the first has made.
            if self.states.running().any(|running| running.key == job.digest) {
                continue;
            }
            if let Some(lease) = self.pool.take(&self.needs[step]) {
                return Some((step, job.digest, lease));
            }
        }
        None
    }

    /// Handles the end of a step.
    pub(super) fn end(&mut self, job: Job, made: StepResult) {
        let step = job.step;
        let StepState::Running(Running { key, lease, since, outdated }) =
            self.states.set(step, StepState::Ready)
        else {
            panic!("BUG: a step ended that did not run");
        };
        self.pool.release(&lease);
        self.stopped |= self.context.host.cancel.is_cancelled();
        // An input of the step has changed meanwhile: the step is looked up once more.
        if outdated {
            return;
        }
        match made {
            StepResult::Done { finished, reason: Some(reason) } => {
                self.transition(step, StepState::ran(finished, reason));
            }
            StepResult::Done { finished, reason: None } => {
                let reason = "another run made it meanwhile";
                self.transition(step, StepState::hit(Arc::new(finished), reason));
            }
            StepResult::Lost { input, damage } => {
                let input = &self.context.plan.pipeline.steps[step].inputs[input];
                self.rebuild(input.step, input.output, &damage, step);
            }
            StepResult::Elsewhere => _ = self.states.set(step, StepState::Elsewhere(Box::new(job))),
            StepResult::Failed(failure)
                if failure.kind != ErrorKind::Cancelled
                    && self.context.peers.is_some_and(|it| it.report_failure(step, &failure)) =>
            {
                self.states.set(step, StepState::Elsewhere(Box::new(job)));
            }
            StepResult::Failed(failure) => {
                let error = StepError { step, failure };
                self.fail(step, Some(key), error, since.elapsed().as_secs_f64());
            }
        }
    }

    fn output(&self, step: usize, port: &str) -> Option<&Object> {
        self.states[step].output(port)
    }

    /// The error of a step that reads an optional output which was not made.
    fn missing_input(&self, step: usize) -> StepError {
        let steps = &self.context.plan.pipeline.steps;
        let absent = |input: &&Input| self.output(input.step, input.output).is_none();
        let input =
            steps[step].inputs.iter().find(absent).expect("a key lacks nothing but an input");
        let (from, output) = (&steps[input.step], input.output);
        let port = from.outputs.iter().find(|port| port.name == output);
        let message =
            format!("it reads `{}.{output}`, which `{}` did not make", from.name, from.name);
        let error = StepError::new(step, ErrorKind::Input, message);
        match port {
            Some(port) => error.help(format!("`{output}` of `{}`: {}", from.entry.name, port.doc)),
            None => error,
        }
    }
}
