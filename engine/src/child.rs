//! Waiting for a process that this one has started.

use std::{
    io,
    process::{Child, ExitStatus},
    time::Duration,
};

/// Waits until a process has ended; `None` if `stop` becomes true first. Then the process still
/// runs.
///
/// # Errors
/// When the system does not give the state of the process.
pub fn wait_unless(child: &mut Child, stop: impl Fn() -> bool) -> io::Result<Option<ExitStatus>> {
    let sleep = |pause| {
        std::thread::sleep(pause);
        false
    };
    wait_with(child, stop, sleep)
}

/// The same as [`wait_unless`], with work to do meanwhile: `pass` may take about the given time,
/// and returns true if there was something to do.
///
/// # Errors
/// When the system does not give the state of the process.
pub fn wait_with(
    child: &mut Child,
    stop: impl Fn() -> bool,
    mut pass: impl FnMut(Duration) -> bool,
) -> io::Result<Option<ExitStatus>> {
    const MIN_PAUSE: Duration = Duration::from_millis(1);
    let mut pause = MIN_PAUSE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if stop() {
            return Ok(None);
        }
        let was_busy = pass(pause);
        pause = if was_busy { MIN_PAUSE } else { (pause * 2).min(Duration::from_millis(50)) };
    }
}
