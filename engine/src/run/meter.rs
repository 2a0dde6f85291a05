//! Measures the cost of steps: processor time and memory.
//!
//! Both numbers are those of the process. Time is shared evenly between the steps that ran at the
//! same moment; memory is the most that the process held while a step ran, whichever step took it.

use rustix::time::{ClockId, clock_gettime};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    sync::{Mutex, MutexGuard},
};

/// The cost of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Seconds of processor time, over all threads, and over all programs that the step started.
    pub cpu_seconds: f64,
    /// The most bytes that the process held while the step ran; 0 where the system does not say.
    pub peak_bytes: u64,
}

/// Measures the steps that run.
#[derive(Default)]
pub struct Meter(Mutex<Sample>);

#[derive(Default)]
struct Sample {
    steps: BTreeMap<usize, Usage>,
    read: f64,
    kernel: ProcFiles,
}

/// The kernel's files about this process. They are opened once, so that a reading is one call.
struct ProcFiles {
    stat: Option<File>,
    status: Option<File>,
    clear_refs: Option<File>,
}

/// A running step. It is measured until this value is dropped.
pub struct Metered<'a> {
    meter: &'a Meter,
    step: usize,
}

impl Meter {
    /// Begins to measure a step.
    pub fn start(&self, step: usize) -> Metered<'_> {
        let mut running = self.running();
        running.share();
        running.steps.insert(step, Usage::default());
        Metered { meter: self, step }
    }

    fn running(&self) -> MutexGuard<'_, Sample> {
        self.0.lock().expect("no thread panics while it reads the meter")
    }
}

impl Metered<'_> {
    /// The cost of the step.
    pub fn stop(self) -> Usage {
        let mut running = self.meter.running();
        running.share();
        running.steps.get(&self.step).copied().unwrap_or_default()
    }
}

impl Drop for Metered<'_> {
    fn drop(&mut self) {
        self.meter.running().steps.remove(&self.step);
    }
}

impl Sample {
    /// Charges what was used since the last reading to the steps that ran meanwhile.
    fn share(&mut self) {
        let now = self.kernel.cpu_seconds();
        let each = (now - self.read).max(0.0) / self.steps.len().max(1) as f64;
        self.read = now;
        let peak = if self.steps.is_empty() { 0 } else { self.kernel.peak_bytes() };
        for usage in self.steps.values_mut() {
            usage.cpu_seconds += each;
            usage.peak_bytes = usage.peak_bytes.max(peak);
        }
        self.kernel.reset_peak();
    }
}

impl Default for ProcFiles {
    fn default() -> Self {
        Self {
            stat: File::open("/proc/self/stat").ok(),
            status: File::open("/proc/self/status").ok(),
            clear_refs: OpenOptions::new().write(true).open("/proc/self/clear_refs").ok(),
        }
    }
}

impl ProcFiles {
    /// The processor time in seconds of this process and of the child processes it has waited for.
    fn cpu_seconds(&self) -> f64 {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let children = read(&self.stat, children_seconds).unwrap_or(0.0);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9 + children
    }

    fn peak_bytes(&self) -> u64 {
        let kibibytes = read(&self.status, |status| {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        });
        kibibytes.unwrap_or(0) << 10
    }

    /// Resets the high-water mark of memory. Where that is not possible, marks are too high, never
    /// too low.
    fn reset_peak(&self) {
        let _ = self.clear_refs.as_ref().map(|file| file.write_at(b"5", 0));
    }
}

/// Reads a value from the present content of a file.
fn read<T>(file: &Option<File>, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    /// The bytes that are read. Both files are shorter; of a longer file the first lines are
    /// enough.
    const BUFFER_BYTES: usize = 4096;
    let mut bytes = [0; BUFFER_BYTES];
    let length = file.as_ref()?.read_at(&mut bytes, 0).ok()?;
    read(std::str::from_utf8(&bytes[..length]).ok()?)
}

/// The seconds of child processes: fields 16 and 17 of `/proc/self/stat`, in ticks of a hundredth
/// of a second.
fn children_seconds(stat: &str) -> Option<f64> {
    // The second field is the program's name in parentheses, and may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    Some((ticks(16)? + ticks(17)?) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shared_between_steps_that_run_together() {
        let meter = Meter::default();
        let (first, second) = (meter.start(0), meter.start(1));
        let mut sum = 0_u64;
        let held = vec![1_u8; 1 << 22];
        for round in 0..20_000_000_u64 {
            sum = std::hint::black_box(sum.wrapping_add(round));
        }
        let (first, second) = (first.stop(), second.stop());
        assert!(first.cpu_seconds > 0.0 && second.cpu_seconds > 0.0);
        if cfg!(target_os = "linux") {
            assert!(first.peak_bytes > held.len() as u64);
        }
    }
}
