//! Tests of how many recordings are inspected and decoded, as the steps themselves report.

use engine::{
    model::Options,
    plan::{build, scan::scan_sources},
    run::{RunInfo, execute},
    spec::load_with,
    ui::events::PROGRESS,
};
use ops::{Cancel, audio::corpus};
use std::{collections::BTreeMap, fmt::Debug, fs, path::Path, sync::Mutex};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    registry::Registry,
};

const PIPELINE: &str = "name: few
steps:
  clips: { op: audio_folder, path: PATH }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.1, n_fft: 256, n_mels: 8 }
";

/// For each step, by its number, how many units of work it said it had.
static WORK: Mutex<BTreeMap<u64, u64>> = Mutex::new(BTreeMap::new());

/// Collects the progress of steps.
struct Watch;

impl<S: Subscriber> Layer<S> for Watch {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut numbers = Numbers::default();
        event.record(&mut numbers);
        if event.metadata().target() == PROGRESS
            && let (Some(step), Some(total)) = (numbers.0.get("number"), numbers.0.get("total"))
        {
            WORK.lock().expect("the work").insert(*step, *total);
        }
    }
}

/// The numbers of an event, by field.
#[derive(Default)]
struct Numbers(BTreeMap<&'static str, u64>);

impl Visit for Numbers {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name(), value);
    }
    fn record_debug(&mut self, _field: &Field, _value: &dyn Debug) {}
}

struct Never;

impl Cancel for Never {
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Runs the pipeline, and tells how much work the steps had.
fn work(folder: &Path) -> BTreeMap<u64, u64> {
    let text = PIPELINE.replace("PATH", &folder.join("data").display().to_string());
    let (pipeline, _) = load_with(Path::new("few.yaml"), text, &[], ops::OPS, |_| None)
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let store = cache::Store::open(&folder.join("store")).expect("a store");
    let options = Options::default();
    let wanted = pipeline.graph.wanted(&options.only);
    let files = scan_sources(&pipeline, &wanted, &store).expect("files");
    WORK.lock().expect("the work").clear();
    let plan = build(&pipeline, &files, &store, &options);
    let outcome = execute(&plan, &RunInfo::starting("few".to_owned()), &Never);
    assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
    WORK.lock().expect("the work").clone()
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
    let subscriber = Registry::default().with(Watch);
    tracing::subscriber::set_global_default(subscriber).expect("the only listener");
    let of = |work: BTreeMap<u64, u64>| {
        let count = |number| work.get(&number).copied().unwrap_or(0);
        (count(1), count(2))
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
