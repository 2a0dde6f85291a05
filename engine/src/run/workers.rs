//! Threads for steps. Whoever has ended a step settles what follows from it and takes the next one itself:
//! to wake another thread costs more than a small step.

use super::{
    Outcome,
    schedule::Schedule,
    work::{self, Job},
};
use cache::store::plain;
use std::{
    io,
    sync::{Condvar, Mutex, MutexGuard},
    thread::{self, Scope},
};
use tracing::debug_span;

/// Stack of a thread. Only what is used of it takes memory.
const STACK_BYTES: usize = 16 << 20;

/// What is wrong where the system starts no thread.
pub const NO_THREADS: &str = "the system starts no more threads";
/// What to do about it.
pub const MORE_THREADS: &str = "raise the limit (`ulimit -u`), or ask for fewer with `--threads`";

/// Runs a schedule to its end.
pub fn run(schedule: Schedule<'_>) -> Outcome {
    let pool =
        WorkerPool { state: Mutex::new(PoolState { schedule, threads: 0 }), more: Condvar::new() };
    thread::scope(|scope| {
        let hired = pool.spawn(scope, &mut pool.lock());
        if hired.is_err() {
            // One step after the other, on this thread, is all that the system allows.
            pool.lock().threads += 1;
            pool.work(scope);
        }
    });
    pool.state.into_inner().expect(NO_PANIC).schedule.outcome()
}

/// Threads that work off one schedule.
struct WorkerPool<'a> {
    state: Mutex<PoolState<'a>>,
    /// Steps wait for a thread, or there will be none any more.
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
        // However it ends, nobody waits for what this thread would have said.
        let _notify = NotifyOnDrop(&self.more);
        let mut state = self.lock();
        let context = state.schedule.context;
        loop {
            let Some(job) = self.next(scope, &mut state) else {
                if state.schedule.states.running().len() == 0 {
                    return;
                }
                let _waiting = debug_span!("wait").entered();
                state = self.more.wait(state).expect(NO_PANIC);
                continue;
            };
            drop(state);
            let made = work::run(&job, context);
            state = self.lock();
            state.schedule.end(job.step, made);
        }
    }

    /// A step for this thread; what can run beside it goes to others.
    fn next<'s>(&'s self, scope: &'s Scope<'s, '_>, state: &mut PoolState<'a>) -> Option<Job> {
        state.schedule.start_what_fits();
        let job = state.schedule.started.pop_front()?;
        for _ in 0..state.schedule.started.len() {
            self.more.notify_one();
        }
        while state.threads < state.schedule.states.running().len() {
            if let Err(fault) = self.spawn(scope, state) {
                // Whoever ends a step takes the next one that was started, so none is left.
                let say = |line: &str| state.schedule.context.progress.say(line);
                say(&format!("warning: {NO_THREADS}: {}; {MORE_THREADS}", plain(&fault)));
                break;
            }
        }
        Some(job)
    }
}

/// Wakes all when it is dropped.
struct NotifyOnDrop<'a>(&'a Condvar);

impl Drop for NotifyOnDrop<'_> {
    fn drop(&mut self) {
        self.0.notify_all();
    }
}
