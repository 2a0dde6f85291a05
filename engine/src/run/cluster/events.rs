//! The events that the processes at one plan share: each appends lines to a file of its own.

use super::{frozen::PlanFolder, sizes::WorkerSize};
use crate::model::StepFailure;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An event that a process sends to the others. Steps are indices into the pipeline.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// A worker has begun.
    Joined {
        /// Its host.
        host: String,
        /// Its job.
        job: Option<String>,
    },
    /// A step starts.
    Started {
        /// The step.
        step: usize,
        /// The reason to run it.
        reason: String,
    },
    /// A step goes on.
    Progress {
        /// The step.
        step: usize,
        /// The finished part of its work.
        done: u64,
        /// All of its work.
        total: u64,
        /// A remark.
        note: String,
    },
    /// A message for the user.
    Message {
        /// True for a warning.
        warning: bool,
        /// The message.
        text: String,
    },
    /// A step has its result.
    Completed {
        /// The step.
        step: usize,
    },
    /// A step has ended without a result or a fault: it was stopped.
    Released {
        /// The step.
        step: usize,
    },
    /// A step has failed.
    Failed {
        /// The step.
        step: usize,
        /// The host on which it failed.
        host: String,
        /// The failure.
        failure: StepFailure,
    },
    /// A worker ends by itself, so that its job is over in a moment.
    Exited,
    /// A worker leaves this host alone.
    HostExcluded {
        /// The host.
        host: String,
        /// The reason.
        reason: String,
    },
    /// So many failures of a step are past: a new driver asks for it again.
    FailuresCleared {
        /// The step.
        step: usize,
        /// The number of its failures.
        failures: usize,
    },
    /// A step has ended for want of memory.
    OutOfMemory {
        /// The step.
        step: usize,
        /// The bytes that its worker had.
        memory: u64,
    },
    /// A step that nobody can go on with was stopped, since the time of its worker was up.
    TimedOut {
        /// The step.
        step: usize,
        /// The seconds that it had.
        seconds: u64,
    },
    /// The driver asks for a worker with more memory for a step.
    MemoryRaised {
        /// The step.
        step: usize,
        /// The bytes that a worker must have which runs it.
        memory: u64,
    },
    /// The driver asks for a worker with more time for a step.
    TimeRaised {
        /// The step.
        step: usize,
        /// The time that it asks for.
        more: MoreTime,
    },
    /// The driver has submitted jobs.
    Submitted {
        /// The number of the array.
        array: String,
        /// The kind of its workers.
        kind: String,
        /// The number of its workers.
        count: usize,
        /// The bytes of memory of each.
        memory: u64,
        /// The seconds of each.
        #[serde(default)]
        time: u64,
    },
}

/// The time that a worker must have for a step that was not done in less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MoreTime {
    /// The number of times that the step had run out of time by then.
    pub after: u32,
    /// The number of times that it was given more.
    pub times: u32,
    /// The seconds after which the scheduler ends the worker.
    pub time: u64,
    /// The seconds that must be left when the step begins.
    pub left: u64,
}

/// The state of a run on a cluster, as the events of its processes give it.
#[derive(Default)]
pub struct ClusterState {
    read: HashMap<String, u64>,
    /// The file of this process, which need not read its own events.
    own: String,
    /// The steps that some process has begun.
    pub begun: BTreeSet<usize>,
    /// The steps that were made.
    pub made: BTreeSet<usize>,
    /// The failures of each step, by host.
    pub failures: BTreeMap<usize, Vec<(String, StepFailure)>>,
    /// The number of failures of each step that are past.
    forgiven: HashMap<usize, usize>,
    /// The steps that run, by the process.
    pub running: HashMap<String, BTreeSet<usize>>,
    /// The process of each job.
    pub jobs: HashMap<String, String>,
    /// The workers that have ended by themselves.
    pub exited: BTreeSet<String>,
    /// The processes that have left their hosts alone, with their reasons.
    pub refused: BTreeMap<String, String>,
    /// The most bytes of memory with which steps have ended for want of it.
    pub out_of_memory: BTreeMap<usize, u64>,
    /// The number of times that steps ran out of time, and the seconds that they had last.
    pub timed_out: BTreeMap<usize, (u32, u64)>,
    /// The bytes of memory that steps need at least.
    pub min_memory: HashMap<usize, u64>,
    /// The time that steps need at least.
    pub min_time: HashMap<usize, MoreTime>,
    /// The resources of the workers of each array.
    pub arrays: BTreeMap<String, WorkerSize>,
}

impl ClusterState {
    /// A state without events, for a process that applies its own events itself.
    pub fn of_others(process: &str) -> Self {
        Self { own: format!("{process}.jsonl"), ..Self::default() }
    }

    /// Reads what is new, and gives each event to `on_event`.
    pub fn refresh(&mut self, folder: &PlanFolder<'_>, mut on_event: impl FnMut(&str, &Event)) {
        for name in folder.store.names_in(&folder.name) {
            let Some(process) = name.strip_suffix(".jsonl").filter(|_| name != self.own) else {
                continue;
            };
            let from = self.read.get(&name).copied().unwrap_or(0);
            let Some(mut text) = folder.store.kept_after(&folder.name, &name, from) else {
                continue;
            };
            // A line without its end is still being written.
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            text.truncate(whole);
            for line in text.split(|byte| *byte == b'\n') {
                if let Ok(event) = serde_json::from_slice::<Event>(line) {
                    on_event(process, &event);
                    self.apply(process, event);
                }
            }
            self.read.insert(name, from + whole as u64);
        }
    }

    /// Applies an event of a process.
    pub fn apply(&mut self, process: &str, event: Event) {
        let mut running = |step: usize, runs: bool| {
            let running = self.running.entry(process.to_owned()).or_default();
            if runs {
                running.insert(step)
            } else {
                running.remove(&step)
            };
        };
        match event {
            Event::Joined { job, .. } => {
                self.jobs.extend(job.map(|job| (job, process.to_owned())));
            }
            Event::Started { step, .. } => {
                running(step, true);
                self.begun.insert(step);
            }
            Event::Released { step } => running(step, false),
            Event::Completed { step } => {
                running(step, false);
                self.made.insert(step);
            }
            Event::Failed { step, host, failure } => {
                running(step, false);
                self.failures.entry(step).or_default().push((host, failure));
            }
            Event::Exited => _ = self.exited.insert(process.to_owned()),
            Event::HostExcluded { reason, .. } => {
                _ = self.refused.insert(process.to_owned(), reason)
            }
            Event::FailuresCleared { step, failures } => {
                let forgiven = self.forgiven.entry(step).or_default();
                *forgiven = failures.max(*forgiven);
                // What ended it is tried once more; the memory that it was given stays.
                self.out_of_memory.remove(&step);
                self.timed_out.remove(&step);
                self.min_time.remove(&step);
            }
            Event::OutOfMemory { step, memory } => {
                running(step, false);
                let had = self.out_of_memory.entry(step).or_default();
                *had = memory.max(*had);
            }
            Event::TimedOut { step, seconds } => {
                running(step, false);
                let (times, had) = self.timed_out.entry(step).or_default();
                (*times, *had) = (*times + 1, seconds);
            }
            Event::MemoryRaised { step, memory } => {
                let needs = self.min_memory.entry(step).or_default();
                *needs = memory.max(*needs);
            }
            Event::TimeRaised { step, more } => {
                let needs = self.min_time.entry(step).or_default();
                *needs = more.max(*needs);
            }
            Event::Submitted { array, kind, count: _, memory, time } => {
                self.arrays.insert(array, WorkerSize { kind, memory, time });
            }
            Event::Progress { .. } | Event::Message { .. } => {}
        }
    }

    /// The failure of a step that holds for all: its own fault, or that of two nodes.
    pub fn failure(&self, step: usize) -> Option<&StepFailure> {
        let past = self.forgiven.get(&step).copied().unwrap_or(0);
        let failures = self.failures.get(&step)?.get(past..)?;
        let own = failures.iter().find(|(_, failure)| !failure.of_node);
        let hosts: BTreeSet<&str> = failures.iter().map(|(host, _)| &**host).collect();
        own.or_else(|| failures.last().filter(|_| hosts.len() > 1)).map(|(_, failure)| failure)
    }
}

/// Sends an event to the other processes. One that cannot be written is lost to them: results are in the store.
pub fn send(folder: &PlanFolder<'_>, process: &str, event: &Event) {
    let mut line = serde_json::to_vec(event).expect("an event always serialises");
    line.push(b'\n');
    let _ = folder.store.add_to(&folder.name, &format!("{process}.jsonl"), &line);
}
