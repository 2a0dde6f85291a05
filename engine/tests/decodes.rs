//! How many recordings are looked into and decoded, as the steps themselves tell.

use engine::{
    model::Options,
    plan::{build, scan::scan_sources},
    run::{Run, RunInfo, execute_as},
    spec::load_with,
    ui::progress::{Level, Progress, StepFinished},
};
use ops::{Cancel, audio::corpus};
use std::{collections::BTreeMap, fs, path::Path, sync::Mutex};

const PIPELINE: &str = "name: few
steps:
  clips: { op: audio_folder, path: PATH }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.1, n_fft: 256, n_mels: 8 }
";

/// For each step how many units of work it said it had.
#[derive(Default)]
struct Watch {
    step: Mutex<String>,
    work: Mutex<BTreeMap<String, u64>>,
}

impl Progress for Watch {
    fn start(&self, _number: usize, name: &str, _reason: &str) {
        name.clone_into(&mut self.step.lock().expect("the name of a step"));
    }
    fn at(&self, _number: usize, _done: u64, total: u64, _note: &str) {
        let step = self.step.lock().expect("the name of a step").clone();
        self.work.lock().expect("the work").insert(step, total);
    }
    fn step_finished(&self, _settled: &StepFinished<'_>) {}
    fn message(&self, _level: Level, _text: &str) {}
}

struct Never;

impl Cancel for Never {
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Runs the pipeline, and tells how much work the steps had.
fn work(folder: &Path) -> BTreeMap<String, u64> {
    let text = PIPELINE.replace("PATH", &folder.join("data").display().to_string());
    let (pipeline, _) = load_with(Path::new("few.yaml"), text, &[], ops::OPS, |_| None)
        .unwrap_or_else(|faults| panic!("{faults}"));
    let store = cache::Store::open(&folder.join("store")).expect("a store");
    let options = Options::default();
    let wanted = pipeline.graph.wanted(&options.only);
    let files = scan_sources(&pipeline, &wanted, &store).expect("files");
    let watch = Watch::default();
    let plan = build(&pipeline, &files, &store, &options);
    let outcome = execute_as(
        &plan,
        &Run { info: &RunInfo::starting("few".to_owned()), progress: &watch, cancel: &Never },
        None,
    );
    assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
    watch.work.into_inner().expect("the work")
}

fn fill(folder: &Path, clips_per_class: u32) {
    for recording in corpus::recordings(3, clips_per_class) {
        let path = folder.join("data").join(&recording.name);
        fs::create_dir_all(path.parent().expect("a class")).expect("a folder");
        let mut signal = ops::audio::synth::render(3, recording.class, recording.index);
        signal.samples.truncate(8_000);
        fs::write(path, corpus::wav(&signal)).expect("a recording");
    }
}

#[test]
fn recordings_that_were_there_are_not_decoded_again() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path(), 4);
    let of = |work: BTreeMap<String, u64>| {
        let count = |name| work.get(name).copied().unwrap_or(0);
        (count("clips"), count("mel"))
    };
    assert_eq!(of(work(folder.path())), (44, 44));
    assert_eq!(of(work(folder.path())), (0, 0));
    fill(folder.path(), 5);
    assert_eq!(of(work(folder.path())), (11, 11), "one more of each class");
    let first = corpus::recordings(3, 1).next().expect("a recording");
    let path = folder.path().join("data").join(first.name);
    let mut bytes = fs::read(&path).expect("a recording");
    *bytes.last_mut().expect("samples") ^= 1;
    fs::write(&path, bytes).expect("another recording");
    assert_eq!(of(work(folder.path())), (1, 1), "one with another sample");
}
