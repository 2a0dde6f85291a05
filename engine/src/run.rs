//! Executes a pipeline: every step is a hit, runs, fails, or is skipped.

use crate::{
    keys::{self, FILES},
    outside::{Deadline, Outside, Told},
    pipeline::{Pipeline, Step},
    progress::{Progress, Settled, shapes},
    scan::{self, ScanError},
    state::State,
};
use cache::{
    Artifact, CacheKey, Digest, FileEntry, Store, StoreError,
    record::{StepRecord, StepStatus},
    store::{Finished, Object, Times},
};
use ops::{Cancel, Ctx, Fault, Inputs, OpError};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// What to do besides the plain run.
#[derive(Default)]
pub struct Options {
    /// Steps to run although their results are there.
    pub force: BTreeSet<usize>,
    /// Only these steps and what they need; all if empty.
    pub only: BTreeSet<usize>,
    /// Whether what does not depend on a failed step goes on.
    pub keep_going: bool,
}

/// Why a step has no result.
#[derive(Debug)]
pub struct StepError {
    /// The step, as an index into the pipeline.
    pub step: usize,
    /// The parameter it is about, if it is about one.
    pub param: Option<&'static str>,
    /// Whose fault it was.
    pub fault: Fault,
    /// A lower-case sentence without a full stop.
    pub message: String,
    /// What the user can do.
    pub help: Option<String>,
}

/// What became of all steps.
pub struct Outcome {
    /// One a step, in the order of the pipeline.
    pub steps: Vec<StepRecord>,
    /// Why steps failed.
    pub errors: Vec<StepError>,
    /// Whether the run was stopped.
    pub interrupted: bool,
}

/// The files of every step's sources; scanned before anything runs.
pub type Files = Vec<Vec<FileEntry>>;

/// Finds and hashes the files of all sources.
///
/// # Errors
/// Everything that cannot be read, of all steps at once.
pub fn scan_sources(
    pipeline: &Pipeline,
    only: &[bool],
    store: &Store,
) -> Result<Files, Vec<StepError>> {
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for (index, step) in pipeline.steps.iter().enumerate() {
        let mut found = Vec::new();
        let sources = if only[index] { step.op.sources() } else { Vec::new() };
        for source in sources {
            match scan::scan(&source, store.files()) {
                Ok(entries) => found.extend(entries),
                Err(faults) => {
                    errors.extend(faults.into_iter().map(|ScanError { message, help }| StepError {
                        step: index,
                        param: Some(source.param),
                        fault: Fault::Input,
                        message,
                        help,
                    }))
                }
            }
        }
        files.push(found);
    }
    if errors.is_empty() { Ok(files) } else { Err(errors) }
}

/// Which steps are wanted: those named and all that they need; every step if none is named.
pub fn wanted(pipeline: &Pipeline, only: &BTreeSet<usize>) -> Vec<bool> {
    let mut wanted: Vec<bool> =
        (0..pipeline.steps.len()).map(|index| only.is_empty() || only.contains(&index)).collect();
    for index in (0..pipeline.steps.len()).rev() {
        if wanted[index] {
            pipeline.steps[index].inputs.iter().for_each(|input| wanted[input.step] = true);
        }
    }
    wanted
}

/// The key of a step once the content of its inputs is known.
pub fn key_of(
    step: &Step,
    files: &[FileEntry],
    output: impl Fn(usize, &str) -> Option<Digest>,
) -> Option<CacheKey> {
    let mut inputs = BTreeMap::new();
    for input in &step.inputs {
        inputs.insert(input.port.to_owned(), output(input.step, input.output)?);
    }
    if !step.op.sources().is_empty() {
        inputs.insert(FILES.to_owned(), scan::digest(files));
    }
    Some(keys::key_of(step, inputs, step.place.name()))
}

/// Runs a pipeline to its end. Fails of steps are part of the outcome.
pub fn execute(
    pipeline: &Pipeline,
    files: &Files,
    store: &Store,
    options: &Options,
    progress: &dyn Progress,
    cancel: &dyn Cancel,
) -> Outcome {
    let history = store.history();
    let wanted = wanted(pipeline, &options.only);
    let run = Run {
        pipeline,
        files,
        store,
        progress,
        cancel,
        paths: files.iter().flatten().map(|file| (file.digest, file.path.clone())).collect(),
        states: pipeline.steps.iter().map(|_| State::Waiting).collect(),
        memory: HashMap::new(),
        readers: readers(pipeline, &wanted),
        errors: Vec::new(),
        history,
    };
    run.execute_all(&wanted, options)
}

/// How many wanted steps still read each step.
fn readers(pipeline: &Pipeline, wanted: &[bool]) -> Vec<usize> {
    let mut readers = vec![0; pipeline.steps.len()];
    for (index, step) in pipeline.steps.iter().enumerate().filter(|(index, _)| wanted[*index]) {
        let sources: BTreeSet<_> = step.inputs.iter().map(|input| input.step).collect();
        debug_assert!(
            sources.iter().all(|source| *source < index),
            "steps come after what they read"
        );
        sources.into_iter().for_each(|source| readers[source] += 1);
    }
    readers
}

struct Run<'a> {
    pipeline: &'a Pipeline,
    files: &'a Files,
    store: &'a Store,
    progress: &'a dyn Progress,
    cancel: &'a dyn Cancel,
    paths: HashMap<Digest, PathBuf>,
    states: Vec<State>,
    /// Artifacts that a later step will read.
    memory: HashMap<Digest, Arc<Artifact>>,
    readers: Vec<usize>,
    errors: Vec<StepError>,
    history: Vec<Finished>,
}

impl Run<'_> {
    fn execute_all(mut self, wanted: &[bool], options: &Options) -> Outcome {
        let mut stopped = false;
        for index in 0..self.pipeline.steps.len() {
            let before = self.states_before(index);
            let reason = if !wanted[index] {
                Some("not asked for".to_owned())
            } else if stopped {
                Some("the run stopped before".to_owned())
            } else {
                before
            };
            let state = match reason {
                Some(reason) => {
                    State::Without { status: StepStatus::Skipped, key: None, reason, seconds: 0.0 }
                }
                None => self.settle(index, options.force.contains(&index)),
            };
            let failed = matches!(&state, State::Without { status: StepStatus::Failed, .. });
            stopped |= (failed && !options.keep_going) || self.cancel.is_cancelled();
            if wanted[index] {
                self.tell(index, &state);
            }
            self.states[index] = state;
            self.forget_what_is_read(index, wanted);
        }
        if !self.cancel.is_cancelled() {
            self.check_final_outputs(wanted);
        }
        self.outcome()
    }

    /// The reason to skip a step, if something it reads has no result.
    fn states_before(&self, index: usize) -> Option<String> {
        let without = self.pipeline.steps[index]
            .inputs
            .iter()
            .find(|input| !matches!(self.states[input.step], State::There { .. }))?;
        Some(format!("`{}` has no result", self.pipeline.steps[without.step].name))
    }

    fn settle(&mut self, index: usize, force: bool) -> State {
        let started = Instant::now();
        match self.obtain(index, force.then_some("forced")) {
            Ok(there) => there,
            Err((key, error)) => {
                let cancelled = error.fault == Fault::Cancelled;
                let reason = error.message.clone();
                self.errors.push(error);
                State::Without {
                    status: if cancelled { StepStatus::Skipped } else { StepStatus::Failed },
                    key,
                    reason,
                    seconds: started.elapsed().as_secs_f64(),
                }
            }
        }
    }

    /// The result of a step: from the store, or by running it.
    /// With a reason to run it again, what is in the store does not count.
    fn obtain(
        &mut self,
        index: usize,
        again: Option<&str>,
    ) -> Result<State, (Option<Digest>, StepError)> {
        let step = &self.pipeline.steps[index];
        let key = key_of(step, &self.files[index], |from, port| {
            self.output(from, port).map(|object| object.digest)
        })
        .ok_or_else(|| (None, self.absent(index)))?;
        let digest = key.digest();
        let fail = |error| (Some(digest), error);
        if again.is_none()
            && let Some(finished) = self.store.finished(&digest)
        {
            return Ok(State::hit(finished, "its result is there"));
        }
        let waiting = || {
            self.progress
                .say(&format!("{}: another run is at this step; waiting for it", step.name))
        };
        let _claim = self
            .store
            .claim(&digest, waiting)
            .map_err(|error| fail(self.outside(index, &error)))?;
        self.store.refresh().map_err(|error| fail(self.outside(index, &error)))?;
        if again.is_none()
            && let Some(finished) = self.store.finished(&digest)
        {
            return Ok(State::hit(finished, "another run made it meanwhile"));
        }
        let reason = again.map_or_else(|| keys::reason(&key, &self.history), str::to_owned);
        let name = &step.name;
        for (port, digest) in self.store.lost(&digest).into_iter().filter(|_| again.is_none()) {
            let digest = digest.short();
            self.progress.say(&format!(
                "{name}.{port}: object `{digest}` is no longer whole; running `{name}` again"
            ));
        }
        self.progress.start(index + 1, &step.name, &reason);
        let started = Instant::now();
        let (outputs, mut times) = self.run_step(index, &key).map_err(fail)?;
        times.seconds = started.elapsed().as_secs_f64();
        let finished = Finished { key: digest, cache_key: key, outputs, times };
        self.store.commit(finished.clone()).map_err(|error| fail(self.outside(index, &error)))?;
        Ok(State::There { finished: Box::new(finished), status: StepStatus::Ran, reason })
    }

    /// An optional output that is read, but was not given.
    fn absent(&self, index: usize) -> StepError {
        let steps = &self.pipeline.steps;
        let absent =
            |input: &&crate::pipeline::Input| self.output(input.step, input.output).is_none();
        let input =
            steps[index].inputs.iter().find(absent).expect("a step settles after what it reads");
        let (from, output) = (&steps[input.step], input.output);
        let port = from.entry.outputs.iter().find(|port| port.name == output);
        StepError {
            step: index,
            param: None,
            fault: Fault::Input,
            message: format!(
                "it reads `{}.{output}`, which `{}` did not make",
                from.name, from.name
            ),
            help: port.map(|port| format!("`{output}` of `{}`: {}", from.entry.name, port.doc)),
        }
    }

    fn run_step(
        &mut self,
        index: usize,
        key: &CacheKey,
    ) -> Result<(BTreeMap<String, Object>, Times), StepError> {
        let mut artifacts = Vec::new();
        for input in &self.pipeline.steps[index].inputs {
            artifacts.push((input.port, self.artifact(input.step, input.output)?));
        }
        let step = &self.pipeline.steps[index];
        let inputs = artifacts
            .iter()
            .fold(Inputs::new().with_files(&self.files[index]), |inputs, (port, artifact)| {
                inputs.with(port, artifact)
            });
        let checkpoints =
            self.store.checkpoints(&keys::without(key, step.entry.progressive).digest());
        let outside = Outside::new(&self.paths, checkpoints);
        let told = Told(self.progress);
        self.pipeline.note.say(step.entry.determinism, self.progress);
        let mut tries_left = step.retries;
        let made = loop {
            let deadline = Deadline::new(self.cancel, step.timeout);
            let cx = Ctx {
                seed: step.seed,
                progress: &told,
                cancel: &deadline,
                files: &outside,
                checkpoints: &outside,
                device: &step.place,
            };
            // A panic is a bug of the op: it fails the step, and the rest of the run is kept.
            let made = catch_unwind(AssertUnwindSafe(|| step.op.run(&inputs, &cx)))
                .unwrap_or_else(|_| {
                    Err(OpError::failure("the op panicked: this is a bug in the engine"))
                })
                .map_err(|error| deadline.explain(error));
            match made {
                Ok(made) => break made,
                Err(error) if error.fault == Fault::Failure && tries_left > 0 => {
                    tries_left -= 1;
                    self.progress.say(&format!("{}: {error}; trying again", step.name));
                }
                Err(error) => return Err(of_op(index, error)),
            }
        };
        let times = outside.times();
        let mut outputs = BTreeMap::new();
        for (port, artifact) in made.into_vec() {
            let object = self.store.put(&artifact).map_err(|error| self.outside(index, &error))?;
            self.memory.insert(object.digest, Arc::new(artifact));
            outputs.insert(port.to_owned(), object);
        }
        outside.checkpoints.finish().map_err(|error| self.outside(index, &error))?;
        Ok((outputs, times))
    }

    /// An output of a settled step, from memory or the store. If the store has lost or damaged it,
    /// its step runs again.
    fn artifact(&mut self, index: usize, port: &str) -> Result<Arc<Artifact>, StepError> {
        let digest = self.output(index, port).expect("a step reads what is there").digest;
        if let Some(artifact) = self.memory.get(&digest) {
            return Ok(Arc::clone(artifact));
        }
        let artifact = match self.store.get(&digest) {
            Ok(artifact) => Arc::new(artifact),
            Err(damage @ (StoreError::Missing(_) | StoreError::Damaged { .. })) => {
                let name = &self.pipeline.steps[index].name;
                self.progress.say(&format!("{name}.{port}: {damage}; running `{name}` again"));
                let again = self
                    .obtain(index, Some("its result was lost or damaged"))
                    .map_err(|(_, error)| error)?;
                self.states[index] = again;
                let rebuilt = self.output(index, port).map(|object| object.digest);
                self.memory.get(&digest).filter(|_| rebuilt == Some(digest)).cloned().ok_or_else(|| {
                    let message = format!("`{name}` gave other bytes than before, so what was made from them is in doubt");
                    StepError { step: index, param: None, fault: Fault::Failure, message, help: Some("start again: results that depend on it will be made anew".to_owned()) }
                })?
            }
            Err(error) => return Err(self.outside(index, &error)),
        };
        self.memory.insert(digest, Arc::clone(&artifact));
        Ok(artifact)
    }

    /// Reads what nothing else reads: a final output that was damaged by hand is noticed too.
    fn check_final_outputs(&mut self, wanted: &[bool]) {
        for index in (0..self.pipeline.steps.len()).filter(|index| wanted[*index]) {
            let State::There { finished, status: StepStatus::Hit, .. } = &self.states[index] else {
                continue;
            };
            let read: BTreeSet<&str> = self
                .pipeline
                .steps
                .iter()
                .flat_map(|step| &step.inputs)
                .filter(|input| input.step == index)
                .map(|input| input.output)
                .collect();
            let small = |object: &Object| object.bytes < FINAL_OUTPUT_BYTES;
            let ports: Vec<String> = finished
                .outputs
                .iter()
                .filter(|(port, object)| !read.contains(port.as_str()) && small(object))
                .map(|(port, _)| port.clone())
                .collect();
            for port in ports {
                if let Err(error) = self.artifact(index, &port) {
                    self.errors.push(error);
                }
            }
        }
    }

    fn output(&self, index: usize, port: &str) -> Option<&Object> {
        self.states[index].output(port)
    }

    /// Drops artifacts that no step will read any more.
    fn forget_what_is_read(&mut self, index: usize, wanted: &[bool]) {
        let mut unread = Vec::new();
        if wanted[index] {
            let sources: BTreeSet<_> =
                self.pipeline.steps[index].inputs.iter().map(|input| input.step).collect();
            for source in sources {
                self.readers[source] -= 1;
                unread.push(source);
            }
        }
        unread.push(index);
        for step in unread.into_iter().filter(|step| self.readers[*step] == 0) {
            if let State::There { finished, .. } = &self.states[step] {
                finished
                    .outputs
                    .values()
                    .for_each(|object| drop(self.memory.remove(&object.digest)));
            }
        }
    }

    fn tell(&self, index: usize, state: &State) {
        let (status, elapsed, note) = match state {
            State::There { finished, status: StepStatus::Ran, .. } => {
                let first = self.pipeline.steps[index].entry.outputs.first();
                let object = first.and_then(|port| finished.outputs.get(port.name));
                ("ran", Some(finished.times.seconds), shapes(object.map(|object| &object.shape)))
            }
            State::There { .. } => ("hit", None, String::new()),
            State::Without { status: StepStatus::Failed, seconds, .. } => {
                ("failed", Some(*seconds), String::new())
            }
            State::Without { reason, .. } => ("skipped", None, reason.clone()),
            State::Waiting => return,
        };
        self.progress.settle(&Settled {
            number: index + 1,
            name: &self.pipeline.steps[index].name,
            status,
            elapsed: elapsed.map(Duration::from_secs_f64),
            note,
        });
    }

    fn outside(&self, index: usize, error: &StoreError) -> StepError {
        let help = matches!(error, StoreError::Io { .. })
            .then(|| "check free space and permissions of the store (`--store`); what was finished is kept".to_owned());
        StepError {
            step: index,
            param: None,
            fault: Fault::Failure,
            message: error.to_string(),
            help,
        }
    }

    fn outcome(self) -> Outcome {
        let steps = self
            .pipeline
            .steps
            .iter()
            .zip(self.states)
            .map(|(step, state)| state.record(self.pipeline, step));
        Outcome {
            steps: steps.collect(),
            errors: self.errors,
            interrupted: self.cancel.is_cancelled(),
        }
    }
}

/// Final outputs up to this size are read in every run; larger ones are checked when they are read.
const FINAL_OUTPUT_BYTES: u64 = 1 << 20;

fn of_op(step: usize, error: OpError) -> StepError {
    let OpError { fault, param, message, help } = error;
    StepError { step, param, fault, message, help }
}
