//! The worker threads of a run. A worker that has ended a step applies the consequences and takes
//! the next step itself: to wake another thread costs more than a small step.

use super::{
    outcome::ScheduleResult,
    schedule::{Job, Schedule},
};
use cache::store::plain;
use std::{
    io,
    sync::{Condvar, Mutex, MutexGuard},
    thread::{self, Scope},
};
use tracing::{debug_span, warn};

/// The stack of a worker in bytes. Only the used part of it takes memory.
const STACK_BYTES: usize = 16 << 20;

/// The message where the system starts no more threads.
pub const NO_THREADS: &str = "the system starts no more threads";
/// The advice where the system starts no more threads.
pub const MORE_THREADS: &str = "raise the limit (`ulimit -u`), or ask for fewer with `--threads`";

/// Runs a schedule to its end.
pub fn run(schedule: Schedule<'_>) -> ScheduleResult {
    let pool =
        WorkerPool { state: Mutex::new(PoolState { schedule, threads: 0 }), more: Condvar::new() };
    thread::scope(|scope| {
        let spawned = pool.spawn(scope, &mut pool.lock());
        if spawned.is_err() {
            // The system allows only one step after the other, on this thread.
            pool.lock().threads += 1;
            pool.work(scope);
        }
    });
    pool.state.into_inner().expect(NO_PANIC).schedule.into_result()
}

/// The worker threads of one schedule.
struct WorkerPool<'a> {
    state: Mutex<PoolState<'a>>,
    /// Signals that steps wait for a worker, or that there will be no more steps.
    more: Condvar,
}

struct PoolState<'a> {
    schedule: Schedule<'a>,
    threads: usize,
}

const NO_PANIC: &str = "a panic of a step is caught where it runs";

impl<'a> WorkerPool<'a> {
    fn lock(&self) -> MutexGuard<'_, PoolState<'a>> {
        self.state.lock().expect(NO_PANIC)
    }

    fn spawn<'s>(&'s self, scope: &'s Scope<'s, '_>, state: &mut PoolState<'a>) -> io::Result<()> {
        let builder = thread::Builder::new().name(format!("step-{}", state.threads));
        builder.stack_size(STACK_BYTES).spawn_scoped(scope, || self.work(scope))?;
        state.threads += 1;
        Ok(())
    }

    fn work<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        // However this worker ends, the other workers are woken.
        let _notify = NotifyOnDrop(&self.more);
        let mut state = self.lock();
        let context = state.schedule.context;
        loop {
            let Some(job) = self.next(scope, &mut state) else {
                let next_poll = state.schedule.next_poll();
                if state.schedule.states.running().len() == 0 && next_poll.is_none() {
                    return;
                }
                let _waiting = debug_span!("wait").entered();
                state = match next_poll {
                    None => self.more.wait(state).expect(NO_PANIC),
                    Some(pause) => {
                        let (mut state, _) = self.more.wait_timeout(state, pause).expect(NO_PANIC);
                        state.schedule.poll_peers();
                        state
                    }
                };
                continue;
            };
            drop(state);
            let made = context.executor.run(&job.request, &context.host);
            state = self.lock();
            state.schedule.end(job, made);
        }
    }

    /// The next step for this worker; further steps that can run now go to other workers.
    fn next<'s>(&'s self, scope: &'s Scope<'s, '_>, state: &mut PoolState<'a>) -> Option<Job> {
        state.schedule.start_fitting();
        let job = state.schedule.started.pop_front()?;
        for _ in 0..state.schedule.started.len() {
            self.more.notify_one();
        }
        while state.threads < state.schedule.states.running().len() {
            if let Err(error) = self.spawn(scope, state) {
                // A worker that ends a step takes the next one that was started, so none is left
                // over.
                warn!("{NO_THREADS}: {}; {MORE_THREADS}", plain(&error));
                break;
            }
        }
        Some(job)
    }
}

/// Wakes all waiting workers when it is dropped.
struct NotifyOnDrop<'a>(&'a Condvar);

impl Drop for NotifyOnDrop<'_> {
    fn drop(&mut self) {
        self.0.notify_all();
    }
}
