//! The number of workers that there should be, and their ends. The store tells what is done; Slurm only tells whether
//! anybody is coming.

use super::{
    driver::Driver,
    events::Event,
    sizes::{WorkerSize, useful_workers},
    slurm::{self, JobState, Refusal},
    worker::{NOTHING_LEFT, STOPPED, STORE_NOT_SEEN},
};
use cache::store::plans::JOB_LOGS;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{Duration, Instant},
};
use tracing::{info, warn};

/// Once so many workers have ended before they joined, no more are submitted.
const MAX_EARLY_ENDS: usize = 3;
/// A worker that ends by itself has found nothing to do. It may be a while until its results are seen from here.
const GRACE: Duration = Duration::from_secs(10);
/// Commands answer within that time, whatever they say, unless the controller is away.
const PROMPT: Duration = Duration::from_secs(2);
/// The exit code and signal of a job whose output Slurm could not open.
const NO_OUTPUT: (u8, i32) = (0, 53);
/// The lines of a job's output that are shown.
const TAIL: usize = 8;

/// The jobs of one plan.
#[derive(Default)]
pub(super) struct Jobs {
    /// The resources of the workers of each array.
    arrays: BTreeMap<String, WorkerSize>,
    /// Jobs whose end was dealt with.
    over: BTreeSet<String>,
    /// Jobs that waited for what never comes when they were last polled.
    stuck: BTreeSet<String>,
    early: usize,
    /// The time at which a worker last ended by itself.
    left: Option<Instant>,
    exclude: BTreeSet<String>,
    /// The number of times that a step's worker was killed without a known reason.
    killed: BTreeMap<usize, usize>,
    /// The last message about a Slurm that does not answer.
    silent: Option<String>,
}

impl Jobs {
    /// Asks Slurm for the jobs once, and submits those that are missing. An error ends the run.
    pub(super) fn poll(&mut self, driver: &Driver<'_>) -> Result<bool, String> {
        let wanted = driver.wanted();
        if wanted.is_empty() && self.arrays.is_empty() {
            return Ok(false);
        }
        self.arrays.clone_from(&driver.state().arrays);
        let began = Instant::now();
        let listed = match slurm::list(&driver.name, || driver.has_ended()) {
            Ok(listed) => listed,
            // "Not known" is not "lost": workers need no controller.
            Err(Refusal { message, is_final }) => {
                if is_final && self.arrays.is_empty() {
                    return Err(message);
                }
                driver.set_slurm_answers(began.elapsed() < PROMPT);
                if driver.has_ended() {
                    return Ok(false);
                }
                if self.silent.replace(message.clone()).is_none() {
                    info!("{message}; what runs goes on, and Slurm is asked again");
                }
                return Ok(false);
            }
        };
        driver.set_slurm_answers(true);
        if self.silent.take().is_some() {
            info!("Slurm answers again");
        }
        // A job that is over sends no more events.
        driver.read_events();
        for (id, job) in listed.iter().filter(|(_, job)| job.is_over()) {
            // Slurm remembers the jobs of a store that has been removed, too, and their logs have gone with it.
            if self.size_of(id).is_some() && self.over.insert(id.clone()) {
                self.end(driver, id, job)?;
            }
        }
        self.check_stuck(&listed)?;
        let mut has_submitted = false;
        driver.raise_limits();
        for (size, (steps, seconds)) in driver.wanted() {
            let live = listed.iter().filter(|(id, job)| {
                !job.is_over() && self.is_at_least(id, &size) && !driver.is_lost(id, job)
            });
            let live = live.count();
            let wanted = useful_workers(driver.kind_named(&size.kind), steps, seconds);
            let has_left = self.left.is_some_and(|left| left.elapsed() < GRACE);
            if live < wanted && !has_left {
                self.submit(driver, size, wanted - live)?;
                has_submitted = true;
            }
        }
        Ok(has_submitted)
    }

    fn size_of(&self, id: &str) -> Option<&WorkerSize> {
        self.arrays.get(id.split('_').next().unwrap_or(id))
    }

    /// True if a job is a worker of that kind which has at least as much.
    fn is_at_least(&self, id: &str, size: &WorkerSize) -> bool {
        self.size_of(id).is_some_and(|has| {
            has.kind == size.kind && has.memory >= size.memory && has.time >= size.time
        })
    }

    fn submit(
        &mut self,
        driver: &Driver<'_>,
        size: WorkerSize,
        count: usize,
    ) -> Result<(), String> {
        let (kind, exclude) =
            (driver.kind_named(&size.kind), self.exclude.iter().cloned().collect());
        match slurm::submit(&driver.template.script(kind, &size, count, exclude)) {
            Ok(array) => {
                let workers = reports::count(count, "worker");
                info!("submitted {workers} `{}` (job {array})", kind.name);
                self.arrays.insert(array.clone(), size.clone());
                let WorkerSize { kind, memory, time } = size;
                driver.send(Event::Submitted { array, kind, count, memory, time });
                Ok(())
            }
            Err(Refusal { message, is_final: true }) => Err(message),
            Err(Refusal { message, .. }) => {
                if self.silent.replace(message.clone()).is_none() {
                    info!("{message}; it is asked again");
                }
                Ok(())
            }
        }
    }

    /// Deals with the end of a job.
    fn end(&mut self, driver: &Driver<'_>, id: &str, job: &JobState) -> Result<(), String> {
        let (node, state) = (&job.node, &job.state);
        let cluster = driver.state();
        let worker = cluster.jobs.get(id).cloned();
        let lost: Vec<usize> = worker
            .iter()
            .filter_map(|worker| cluster.running.get(worker))
            .flatten()
            .copied()
            .collect();
        drop(cluster);
        let tail = tail(driver, id);
        let says = |words: &str| tail.iter().any(|line| line.contains(words));
        if says(NOTHING_LEFT) {
            self.left = Some(Instant::now());
        }
        let is_silent = matches!(&**state, "COMPLETED" | "CANCELLED");
        let size = self.size_of(id).cloned();
        let (memory, time) = size.map_or((0, 0), |size| (size.memory, size.time));
        let says_memory = says("memory limit") || says("oom");
        let lost: Vec<usize> = lost.into_iter().filter(|step| !driver.is_made(*step)).collect();
        if state == "OUT_OF_MEMORY" || (state == "FAILED" && says_memory) {
            lost.iter().for_each(|step| driver.send(Event::OutOfMemory { step: *step, memory }));
            if !lost.is_empty() {
                return Ok(());
            }
        }
        if state == "TIMEOUT" {
            // What did not stop when it was asked to.
            let lost = lost.iter().filter(|step| driver.starts_over(**step));
            lost.for_each(|step| driver.send(Event::TimedOut { step: *step, seconds: time }));
        }
        if let Some(worker) = &worker {
            if state == "FAILED" && !lost.is_empty() {
                // A worker that was killed without a word may have had too little memory: the second time, it has.
                for step in lost {
                    let times = self.killed.entry(step).or_default();
                    *times += 1;
                    if *times > 1 {
                        driver.send(Event::OutOfMemory { step, memory });
                    }
                }
            }
            let refusal = driver.state().refused.get(worker).cloned();
            if let Some(reason) = refusal {
                self.exclude_node(node, &reason)?;
            } else if !is_silent {
                info!(
                    "job {id} on {node} ended with {state}; what it did not finish is done by others"
                );
            }
            return Ok(());
        }
        // A list of the folder may show its events a while later.
        let has_begun = says(NOTHING_LEFT) || says(STOPPED);
        if state == "CANCELLED" || has_begun {
            return Ok(());
        }
        self.early += 1;
        // No log: it lies in the store, which that node does not see.
        let is_blind =
            [(STORE_NOT_SEEN, 0), NO_OUTPUT].map(|(code, signal)| (i32::from(code), signal));
        if slurm::exit_code(id).is_some_and(|code| is_blind.contains(&code)) {
            let store = driver.folder.store.root();
            let reason = format!(
                "it does not see the store `{}`, or another folder under that path",
                std::path::absolute(store).unwrap_or_else(|_| store.to_owned()).display()
            );
            driver.warn_excluded(node, &reason);
            return self.exclude_node(node, &reason);
        }
        let shown = if tail.is_empty() {
            "it printed nothing".to_owned()
        } else {
            format!("it printed:\n  {}", tail.join("\n  "))
        };
        let reason =
            if job.reason == "None" { String::new() } else { format!(" ({})", job.reason) };
        let message = format!(
            "job {id} on {node} ended with {state}{reason} before its worker began; {shown}"
        );
        if self.early >= MAX_EARLY_ENDS {
            return Err(message);
        }
        warn!("{message}");
        if !node.is_empty() {
            self.exclude.insert(node.clone());
        }
        Ok(())
    }

    /// Submits no more to a node that cannot run steps.
    fn exclude_node(&mut self, node: &str, reason: &str) -> Result<(), String> {
        self.exclude.insert(node.to_owned());
        match self.exclude.len() >= MAX_EARLY_ENDS
            || slurm::nodes().is_some_and(|nodes| nodes <= self.exclude.len())
        {
            true => Err(format!("no node can run the steps; the last one, {node}: {reason}")),
            false => Ok(()),
        }
    }

    /// Ends the run if jobs wait for what never comes, and no other is there.
    fn check_stuck(&mut self, listed: &BTreeMap<String, JobState>) -> Result<(), String> {
        let stuck: BTreeSet<String> =
            listed.iter().filter(|(_, job)| job.never_starts()).map(|(id, _)| id.clone()).collect();
        let living = listed.values().filter(|job| !job.is_over()).count();
        let still: Vec<&String> = stuck.intersection(&self.stuck).collect();
        if !still.is_empty() && stuck.len() == living {
            let job = &listed[still[0]];
            return Err(format!("job {} will never start: Slurm says `{}`", still[0], job.reason));
        }
        self.stuck = stuck;
        Ok(())
    }
}

/// The last lines that a job has printed.
fn tail(driver: &Driver<'_>, id: &str) -> Vec<String> {
    let text = fs::read(driver.folder.path(JOB_LOGS).join(format!("{id}.txt"))).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(1 << 16)..]).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].iter().map(|line| (*line).to_owned()).collect()
}

/// The time between two polls: often after something was submitted, and rarely in a long run.
pub(super) struct PollInterval {
    next: Instant,
    pause: Duration,
}

const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);

impl PollInterval {
    pub(super) fn new() -> Self {
        Self { next: Instant::now(), pause: MIN_PAUSE }
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Plans the next poll, given how long the last one took.
    pub(super) fn after(&mut self, took: Duration, has_submitted: bool) {
        self.pause = if has_submitted { MIN_PAUSE } else { (self.pause * 3 / 2).min(MAX_PAUSE) };
        self.next = Instant::now() + self.pause.max(took * 5);
    }
}
