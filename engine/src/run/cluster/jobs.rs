//! How many workers there should be, and what became of them. The store tells what is done; Slurm only tells whether
//! anybody is coming.

use super::{
    driver::Driver,
    events::Event,
    slurm::{self, JobState, Refusal},
    worker::{NOTHING_LEFT, STOPPED},
};
use crate::model::Kind;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{Duration, Instant},
};
use tracing::{info, warn};

/// The seconds of work for which a further worker is worth starting.
const WORTH_A_WORKER: f64 = 600.0;
/// As many workers that end before they have joined, and none is submitted any more.
const MOST_EARLY_ENDS: usize = 3;
/// A worker that ends by itself has found nothing to do. It may be a while until its results are seen from here.
const GRACE: Duration = Duration::from_secs(10);
/// The lines of a job's output that are shown.
const TAIL: usize = 8;

/// The jobs of one plan.
#[derive(Default)]
pub(super) struct Jobs {
    /// The kind and memory of each array.
    arrays: BTreeMap<String, (String, u64)>,
    /// Jobs whose end was dealt with.
    over: BTreeSet<String>,
    /// Jobs that waited for what never comes when they were last looked at.
    hopeless: BTreeSet<String>,
    early: usize,
    /// When a worker last ended by itself.
    left: Option<Instant>,
    exclude: BTreeSet<String>,
    /// How often a step's worker was killed without a known reason.
    killed: BTreeMap<usize, usize>,
    /// What was said last of a Slurm that does not answer.
    silent: Option<String>,
}

impl Jobs {
    /// Looks at the jobs once, and submits those that are missing. An error ends the run.
    pub(super) fn look(&mut self, driver: &Driver<'_>) -> Result<bool, String> {
        let wanted = driver.wanted();
        if wanted.is_empty() && self.arrays.is_empty() {
            return Ok(false);
        }
        let submitted = driver.told().submitted.clone();
        for (array, kind, _, memory) in submitted {
            self.arrays.insert(array, (kind, memory));
        }
        let listed = match slurm::list(&driver.name) {
            Ok(listed) => listed,
            // "Not known" is not "lost": workers need no controller.
            Err(Refusal { said, is_final }) => {
                if is_final && self.arrays.is_empty() {
                    return Err(said);
                }
                if self.silent.replace(said.clone()).is_none() {
                    info!("{said}; what runs goes on, and Slurm is asked again");
                }
                return Ok(false);
            }
        };
        if self.silent.take().is_some() {
            info!("Slurm answers again");
        }
        for (id, job) in listed.iter().filter(|(_, job)| job.is_over()) {
            if self.over.insert(id.clone()) {
                self.end(driver, id, job)?;
            }
        }
        self.check_hopeless(&listed)?;
        let mut has_submitted = false;
        for ((kind, memory), (steps, seconds)) in driver.wanted() {
            let kind = driver
                .profile
                .kinds
                .iter()
                .find(|it| it.name == kind)
                .unwrap_or(&driver.profile.kinds[0]);
            let live = listed.iter().filter(|(id, job)| {
                !job.is_over() && self.is_of(id, &kind.name, memory) && !driver.is_lost(id, job)
            });
            let live = live.count();
            let useful =
                seconds.map_or(steps, |seconds| (seconds / WORTH_A_WORKER).ceil() as usize);
            let wanted = kind.at_most.min(steps).min(useful.max(1));
            let has_left = self.left.is_some_and(|left| left.elapsed() < GRACE);
            if live < wanted && !has_left {
                self.submit(driver, kind, memory, wanted - live)?;
                has_submitted = true;
            }
        }
        Ok(has_submitted)
    }

    /// True if a job is a worker of this kind with at least this memory.
    fn is_of(&self, id: &str, kind: &str, memory: u64) -> bool {
        let array = id.split('_').next().unwrap_or(id);
        self.arrays.get(array).is_some_and(|(of, has)| of == kind && *has >= memory)
    }

    fn submit(
        &mut self,
        driver: &Driver<'_>,
        kind: &Kind,
        memory: u64,
        count: usize,
    ) -> Result<(), String> {
        let script = driver.script(kind, memory, count, self.exclude.iter().cloned().collect());
        match slurm::submit(&script) {
            Ok(array) => {
                info!(
                    "submitted {count} worker{} `{}` (job {array})",
                    if count == 1 { "" } else { "s" },
                    kind.name
                );
                driver.tell(&Event::Submitted {
                    array: array.clone(),
                    kind: kind.name.clone(),
                    count,
                    memory,
                });
                self.arrays.insert(array, (kind.name.clone(), memory));
                Ok(())
            }
            Err(Refusal { said, is_final: true }) => Err(said),
            Err(Refusal { said, .. }) => {
                if self.silent.replace(said.clone()).is_none() {
                    info!("{said}; it is asked again");
                }
                Ok(())
            }
        }
    }

    /// Deals with the end of a job.
    fn end(&mut self, driver: &Driver<'_>, id: &str, job: &JobState) -> Result<(), String> {
        let (node, state) = (&job.node, &job.state);
        let told = driver.told();
        let worker = told.jobs.get(id).cloned();
        let lost: Vec<usize> = worker
            .iter()
            .filter_map(|worker| told.running.get(worker))
            .flatten()
            .copied()
            .collect();
        drop(told);
        let tail = tail(driver, id);
        let says = |words: &str| tail.iter().any(|line| line.contains(words));
        if says(NOTHING_LEFT) {
            self.left = Some(Instant::now());
        }
        let is_silent = matches!(&**state, "COMPLETED" | "CANCELLED");
        let memory =
            id.split('_').next().and_then(|array| self.arrays.get(array)).map_or(0, |it| it.1);
        let says_memory = says("memory limit") || says("oom");
        if state == "OUT_OF_MEMORY" || (state == "FAILED" && says_memory) {
            let lost: Vec<usize> =
                lost.iter().copied().filter(|step| !driver.is_made(*step)).collect();
            for step in &lost {
                driver.outgrown(*step, memory)?;
            }
            if !lost.is_empty() {
                return Ok(());
            }
        }
        if let Some(worker) = &worker {
            if state == "FAILED" && !lost.is_empty() {
                // A worker that was killed without a word may have had too little memory: the second time, it has.
                for step in lost.into_iter().filter(|step| !driver.is_made(*step)) {
                    let times = self.killed.entry(step).or_default();
                    *times += 1;
                    if *times > 1 {
                        driver.outgrown(step, memory)?;
                    }
                }
            }
            let told = driver.told();
            let refusal = told.refused.get(worker).cloned();
            drop(told);
            if let Some(reason) = refusal {
                self.leave_alone(node, &reason)?;
            } else if !is_silent {
                info!(
                    "job {id} on {node} ended with {state}; what it did not finish is done by others"
                );
            }
            return Ok(());
        }
        // A list of the folder may show what it has told a while later.
        let has_begun = says(NOTHING_LEFT) || says(STOPPED);
        if state == "CANCELLED" || has_begun {
            return Ok(());
        }
        self.early += 1;
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
        if self.early >= MOST_EARLY_ENDS {
            return Err(message);
        }
        warn!("{message}");
        if !node.is_empty() {
            self.exclude.insert(node.clone());
        }
        Ok(())
    }

    /// Submits no more to a node that cannot run steps.
    fn leave_alone(&mut self, node: &str, reason: &str) -> Result<(), String> {
        if self.exclude.insert(node.to_owned()) {
            warn!("node {node} is left alone: {reason}");
        }
        match self.exclude.len() >= MOST_EARLY_ENDS
            || slurm::nodes().is_some_and(|nodes| nodes <= self.exclude.len())
        {
            true => Err(format!("no node can run the steps; the last one, {node}: {reason}")),
            false => Ok(()),
        }
    }

    /// Ends the run if jobs wait for what never comes, and no other is there.
    fn check_hopeless(&mut self, listed: &BTreeMap<String, JobState>) -> Result<(), String> {
        let hopeless: BTreeSet<String> = listed
            .iter()
            .filter(|(_, job)| job.waits_for_ever())
            .map(|(id, _)| id.clone())
            .collect();
        let living = listed.values().filter(|job| !job.is_over()).count();
        let still: Vec<&String> = hopeless.intersection(&self.hopeless).collect();
        if !still.is_empty() && hopeless.len() == living {
            let job = &listed[still[0]];
            return Err(format!("job {} will never start: Slurm says `{}`", still[0], job.reason));
        }
        self.hopeless = hopeless;
        Ok(())
    }
}

/// The last lines that a job has printed.
fn tail(driver: &Driver<'_>, id: &str) -> Vec<String> {
    let text = fs::read(driver.folder.path("logs").join(format!("{id}.txt"))).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(1 << 16)..]).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].iter().map(|line| (*line).to_owned()).collect()
}

/// The times between two looks: often after something was submitted, and rarely in a long run.
pub(super) struct Rhythm {
    next: Instant,
    pause: Duration,
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

impl Rhythm {
    pub(super) fn new() -> Self {
        Self { next: Instant::now(), pause: SHORTEST }
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Plans the next look, given how long the last one took.
    pub(super) fn after(&mut self, took: Duration, has_submitted: bool) {
        self.pause = if has_submitted { SHORTEST } else { (self.pause * 3 / 2).min(LONGEST) };
        self.next = Instant::now() + self.pause.max(took * 5);
    }
}
