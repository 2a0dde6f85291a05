//! The trial of a GPU, before `auto` chooses it. Once for each state of a machine, GPU and CPU are
//! compared on a little data, in a process of its own: a driver that crashes takes its process with
//! it. The store keeps the result, so that a run of cache hits never touches CUDA.

use crate::child::wait_unless;
use cache::{
    Digest, Hasher,
    file_version::FileVersion,
    store::{host_name, notes},
};
use ops::device::Place;
use serde::{Deserialize, Serialize};
use std::{
    env, fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tracing::info;

/// The beginning of the file in the store that keeps the result; the host follows.
const FILE: &str = "gpu-trial-v1";
/// More bytes than any result takes.
const MAX_VERDICT_BYTES: u64 = 1 << 20;
/// The time limit. A trial takes seconds; one that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// The result of a trial.
#[derive(Serialize, Deserialize)]
struct TrialResult {
    /// The digest of the machine's state.
    machine: Digest,
    /// The reason against the GPU, if there is one.
    doubt: Option<String>,
}

/// The reason against using this GPU, if there is one. Runs a trial if the machine has not had one
/// in its present state.
pub fn doubt(place: &Place, store: &Path) -> Option<String> {
    doubt_by(machine(place), store, || {
        info!("trying the GPU beside the CPU, once for this machine: some seconds");
        run()
    })
}

fn doubt_by(machine: Digest, store: &Path, run: impl FnOnce() -> Option<String>) -> Option<String> {
    // Hosts that share a store have GPUs of their own.
    let file = format!("{FILE}-{}.json", host_name());
    let known = notes::read(store, &file, MAX_VERDICT_BYTES);
    let known = known.and_then(|text| serde_json::from_slice(&text).ok());
    if let Some(TrialResult { doubt, .. }) =
        known.filter(|known: &TrialResult| known.machine == machine)
    {
        return doubt;
    }
    let verdict = TrialResult { machine, doubt: run() };
    let text = serde_json::to_vec(&verdict).expect("a verdict always serialises");
    // A result that cannot be kept, because there is no store for example, costs the next run
    // another trial.
    let _ = notes::write(store, &file, &text);
    verdict.doubt
}

/// The digest of all that a trial depends on: this program, the driver, its compiler, the GPUs.
fn machine(place: &Place) -> Digest {
    let mut hasher = Hasher::new("gpu-trial");
    let program = env::current_exe().unwrap_or_default();
    for path in [&program, &place.driver, &place.nvrtc] {
        let stat =
            fs::metadata(path).map(|it| FileVersion::of(&it).to_string()).unwrap_or_default();
        hasher.values(path.as_os_str().as_encoded_bytes()).text(&stat);
    }
    let gpus = super::entries(Path::new("/proc/driver/nvidia/gpus"));
    let about = gpus.iter().map(|gpu| gpu.join("information"));
    for path in about.chain(["/proc/driver/nvidia/version".into()]) {
        hasher.values(&fs::read(path).unwrap_or_default());
    }
    hasher.finish()
}

/// Runs a trial and returns the reason against the GPU: the last line that a failed trial prints.
fn run() -> Option<String> {
    let failed = |error: std::io::Error| format!("its trial could not be started: {error}");
    let mut command = match env::current_exe() {
        Ok(program) => Command::new(program),
        Err(error) => return Some(failed(error)),
    };
    command.args(["devices", "--trial"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut trial = match command.stderr(Stdio::piped()).spawn() {
        Ok(trial) => trial,
        Err(error) => return Some(failed(error)),
    };
    let started = Instant::now();
    let Ok(Some(ended)) = wait_unless(&mut trial, || started.elapsed() >= LIMIT) else {
        let _ = trial.kill();
        let _ = trial.wait();
        return Some(format!("its trial did not end within {} s", LIMIT.as_secs()));
    };
    if ended.success() {
        return None;
    }
    let mut printed = String::new();
    // A failed read is ignored: the output is only for the message, and the exit status is known.
    let _ = trial.stderr.take().map(|mut pipe| pipe.read_to_string(&mut printed));
    let last = printed.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.map(|line| line.strip_prefix("error: ").unwrap_or(line).to_owned());
    Some(last.unwrap_or_else(|| format!("its trial ended with {ended}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_tried_once_and_again_when_it_has_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let doubt = |name: &str, found: Option<Option<&str>>| {
            let machine = Digest::of(name.as_bytes());
            let run = || found.expect("no trial is needed").map(str::to_owned);
            doubt_by(machine, folder.path(), run)
        };
        assert_eq!(doubt("old driver", Some(Some("it differs"))), Some("it differs".to_owned()));
        assert_eq!(doubt("old driver", None), Some("it differs".to_owned()));
        assert_eq!(doubt("new driver", Some(None)), None);
        assert_eq!(doubt("new driver", None), None);
        let file = format!("{FILE}-{}.json", host_name());
        fs::write(folder.path().join(file), "{").expect("damaged");
        assert_eq!(doubt("new driver", Some(None)), None);
    }
}
