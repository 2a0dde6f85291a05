//! Steps that take more memory than there is are refused before they start, and memory does not grow
//! with the length of recordings.

use crate::{
    study::{CommandOutput, Study},
    tones,
};
use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    process::Stdio,
    thread,
    time::Duration,
};

/// A model whose decoder makes images of 1024 × 1024, on a few clips.
const GROWN: &str = "steps:
  clips: { op: synth, clips_per_class: 2 }
  mel: { op: log_mel, in: clips }
  model: { op: autoencoder, in: mel, epochs: 1, latent: 2, channels: [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2], timeout: 60s }
";

fn refused(said: &CommandOutput) {
    assert_eq!(said.code, 2, "{}", said.stderr);
    let words = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("step `model`: it would take about"), "{words}");
    assert!(words.contains("of memory, and there are 300 MB"), "{words}");
    assert!(words.contains("resources: { memory: 8GB }"), "{words}");
}

#[test]
fn what_does_not_fit_is_refused_by_plan_and_run() {
    let mut study = Study::new().pipeline(GROWN);
    study.write("study.yaml", GROWN);
    refused(&study.engine(&["plan", "study.yaml", "--memory", "300MB"]));
    refused(&study.engine(&["plan", "study.yaml", "--json", "--memory", "300MB"]));
    refused(&study.run_with(&["--dry-run", "--memory", "300MB"]));
    refused(&study.run_with(&["--memory", "300MB"]));
    let plan = study.engine(&["plan", "study.yaml", "--only", "mel", "--memory", "300MB"]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    // What the pipeline says of a step is believed.
    study.edit("timeout: 60s", "resources: { memory: 200MB }");
    let plan = study.engine(&["plan", "study.yaml", "--memory", "300MB"]);
    assert_eq!(plan.code, 2, "the file is still the old one");
    study.write("study.yaml", study.text());
    let plan = study.engine(&["plan", "study.yaml", "--memory", "300MB"]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
}

#[test]
fn a_refusal_says_how_many_rows_would_fit() {
    let study = Study::new().pipeline(
        "steps:
  points: { op: matrix, path: points.csv }
  tree: { op: agglomerative, in: points, clusters: 3, linkage: average }
",
    );
    let rows: String = (0..6000).map(|row| format!("c{row},{},{}\n", row % 77, row % 91)).collect();
    study.write("points.csv", format!("clip_id,x,y\n{rows}"));
    // The distances of all pairs would take 144 MB.
    let said = study.run_with(&["--memory", "60MB"]);
    assert_ne!(said.code, 0);
    let words: Vec<&str> = said.stderr.split_whitespace().collect();
    let at = words.windows(3).position(|it| it == ["rows", "would", "fit:"]);
    let count = at.and_then(|at| words[at - 1].parse::<usize>().ok());
    assert!(count.is_some_and(|count| (1500..6000).contains(&count)), "{}", said.stderr);
}

#[test]
fn a_decoder_beyond_all_machines_is_a_fault_of_the_pipeline() {
    for (channels, stride) in [(13, 2), (20, 2), (60, 2), (8, 32)] {
        let more = format!("channels: [{}], stride: {stride}, ", ["2"].repeat(channels).join(", "));
        let at = GROWN.find("channels").expect("channels");
        let end = GROWN.find("timeout").expect("a timeout");
        let study = Study::new().pipeline(&format!("{}{more}{}", &GROWN[..at], &GROWN[end..]));
        let said = study.run();
        assert_eq!(said.code, 2, "{}", said.stderr);
        assert!(said.stderr.contains("the decoder mirrors"), "{}", said.stderr);
        assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
        assert!(!study.path(".engine").exists(), "nothing was run");
    }
}

/// Runs a study and tells how many kibibytes its process held at most, as far as looking at it often
/// shows; none where the system does not tell.
fn peak_of(study: &Study) -> Option<u64> {
    let mut run = study.run_command(&[]);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a run");
    let mut peak = None;
    let status = loop {
        let status = fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let size = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(size);
        if let Some(status) = run.try_wait().expect("a state") {
            break status;
        }
        thread::sleep(Duration::from_millis(2));
    };
    assert_eq!(status.code(), Some(0));
    peak
}

/// Of a recording of hours the window is decoded, and the rest goes through a small buffer.
#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn memory_does_not_grow_with_the_length_of_a_recording() {
    let study = tones::three();
    let Some(short) = peak_of(&study) else {
        eprintln!("SKIPPED: the system does not tell the peak of a process");
        return;
    };
    // An hour and more of 16 bits at 44,100 Hz in stereo: a tone, and then a hole in the file.
    let seconds = 3700;
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 44_100,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let path = study.path("data/bell/00.wav");
    let mut writer = hound::WavWriter::create(&path, spec).expect("a writer");
    let tone = |at: i32| (f64::from(at) * 0.05).sin() * 9000.0;
    (0..88_200).for_each(|at| writer.write_sample(tone(at) as i16).expect("a sample"));
    writer.finalize().expect("a file");
    let data = seconds * 44_100 * 4_u32;
    let mut file = fs::File::options().write(true).open(&path).expect("the file");
    file.set_len(44 + u64::from(data)).expect("a hole");
    for (at, size) in [(4, 36 + data), (40, data)] {
        file.seek(SeekFrom::Start(at)).expect("a place");
        file.write_all(&size.to_le_bytes()).expect("a size");
    }
    drop(file);
    let long = peak_of(&study).expect("a peak");
    // The file has 650 MB, its samples twice as many.
    assert!(long < short + 100_000, "{short} kB, and {long} kB with a long recording");
}
