//! Threads for steps. One that has done its step waits for the next: to start a thread costs more than
//! a small step.

use super::work::{self, Job, Made, Shared, Trouble};
use std::{
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, Scope},
};

/// Stack of a thread. Only what is used of it takes memory.
const STACK_BYTES: usize = 16 << 20;

/// The threads, and which of them have no step now.
pub struct Workers {
    jobs: Vec<Sender<Job>>,
    idle: Vec<usize>,
    done: Sender<Done>,
    results: Receiver<Done>,
}

/// The end of a step, and the thread that had it.
struct Done {
    step: usize,
    made: Result<Made, Trouble>,
    worker: usize,
}

impl Default for Workers {
    fn default() -> Self {
        let (done, results) = mpsc::channel();
        Self { jobs: Vec::new(), idle: Vec::new(), done, results }
    }
}

impl Workers {
    /// Gives a step to a thread that has none, or to a new one.
    pub fn start<'s, 'a: 's>(
        &mut self,
        scope: &'s Scope<'s, '_>,
        shared: &'a Shared<'a>,
        job: Job,
    ) {
        let worker = self.idle.pop().unwrap_or_else(|| self.hire(scope, shared));
        self.jobs[worker].send(job).expect("a thread waits until nobody can send to it");
    }

    fn hire<'s, 'a: 's>(&mut self, scope: &'s Scope<'s, '_>, shared: &'a Shared<'a>) -> usize {
        let (worker, done) = (self.jobs.len(), self.done.clone());
        let (sender, jobs) = mpsc::channel::<Job>();
        let work = move || {
            for job in jobs {
                let made = work::run(&job, shared);
                // Whoever waits for steps outlives every one of them.
                let _ = done.send(Done { step: job.step, made, worker });
            }
        };
        thread::Builder::new()
            .name(format!("step-{worker}"))
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .expect("the system has a thread for a step");
        self.jobs.push(sender);
        worker
    }

    /// Waits until a step has ended; one must be on its way.
    pub fn wait(&mut self) -> (usize, Result<Made, Trouble>) {
        let Done { step, made, worker } = self.results.recv().expect("a sender is kept here");
        self.idle.push(worker);
        (step, made)
    }

    /// Lets the threads end: nobody can send them a step any more.
    pub fn dismiss(&mut self) {
        self.jobs.clear();
        self.idle.clear();
    }
}
