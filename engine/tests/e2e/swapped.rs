//! Files that change while a run reads them: the run fails, and no store ever holds a wrong result.

use crate::{
    study::{CommandOutput, SMALL, Study},
    tones::{self, tone, wav},
};
use std::{
    fs,
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};
use zip::{ZipWriter, write::SimpleFileOptions};

/// A step of [`SMALL`] between clips and features, in which something else happens.
fn with_gate(script: &str) -> Study {
    let gate = "  gate: { op: command, command: [sh, gate.sh, \"{in.c}\", \"{out.c}\"], in: { c: clips }, outputs: { c: clips } }\n  mel:";
    let study = tones::three();
    study.write("gate.sh", format!("{script}\ncp \"$1\" \"$2\"\n"));
    study.pipeline(&SMALL.replace("  mel:", gate).replace("in: clips, s", "in: gate, s"))
}

fn changed(said: &CommandOutput, what: &str) {
    assert_eq!(said.code, 1, "{}", said.stderr);
    let expected = format!("{what}` changed while it was read");
    // A message is folded at the width of the terminal.
    let words: Vec<_> = said.stderr.split_whitespace().filter(|word| *word != "|").collect();
    assert!(words.join(" ").contains(&expected), "`{expected}` is not in {}", said.stderr);
}

#[test]
fn a_recording_that_changes_between_two_steps_fails_the_second() {
    let study = with_gate("cp data/whistle/01.wav data/bell/00.wav");
    let whole = study.path("data/bell/00.wav");
    let bytes = fs::read(&whole).expect("a recording");
    changed(&study.run(), "data/bell/00.wav");
    // With the old content back, what was kept is right; with the new one, it is read.
    fs::write(&whole, &bytes).expect("a recording");
    let study = study.pipeline(SMALL);
    study.ran();
    let kept = study.read("runs/small/latest/results.csv");
    let fresh = ["--store", "fresh", "--out", "other"];
    assert_eq!(study.run_with(&fresh).code, 0);
    assert_eq!(study.read("other/small/latest/results.csv"), kept);
}

#[test]
fn an_archive_that_changes_between_two_steps_fails_the_second() {
    let study = with_gate("cp other.zip data.zip");
    let corpus = study.engine(&["synth", "corpus", "--clips-per-class", "1"]);
    assert_eq!(corpus.code, 0, "{}", corpus.stderr);
    for (name, first) in [("data.zip", 0.5), ("other.zip", 0.25)] {
        let mut zip = ZipWriter::new(fs::File::create(study.path(name)).expect("a file"));
        for class in ["cel", "pia", "voi"] {
            for number in 1..3 {
                let name = format!("{class}/[{class}][cla]{number:04}__1.wav");
                zip.start_file(name, SimpleFileOptions::default()).expect("an entry");
                let mut samples = tone(class.len() + number, number);
                samples[0] = first;
                zip.write_all(&wav(&samples)).expect("its bytes");
            }
        }
        zip.finish().expect("an archive");
    }
    let text = study.text().replace("audio_folder", "irmas");
    let study = study.pipeline(&text.replace("data: data,", "data: data.zip,"));
    changed(&study.run(), "data.zip");
}

#[test]
fn a_script_that_changes_while_it_runs_fails_its_step() {
    let study = with_gate("echo '# Once more.' >> gate.sh");
    changed(&study.run(), "gate.sh");
    // A change that is taken back was perhaps read all the same.
    study.write("gate.sh", "cp gate.sh keep; echo >> gate.sh; cp keep gate.sh; cp \"$1\" \"$2\"\n");
    changed(&study.run(), "gate.sh");
    study.write("gate.sh", "cp \"$1\" \"$2\"\n");
    assert_eq!(study.run().code, 0);
}

/// Runs a pipeline many times while somebody swaps a file for another of the same length; whatever the
/// store holds afterwards gives what a fresh one gives.
fn swap(study: &Study, file: &str, contents: [&[u8]; 2]) {
    const RUNS: usize = 12;
    let done = AtomicBool::new(false);
    let path = study.path(file);
    let put = |which: usize, in_place: bool| {
        let other = path.with_file_name("swap");
        let target = if in_place { &path } else { &other };
        fs::write(target, contents[which]).expect("a file");
        if !in_place {
            fs::rename(&other, &path).expect("a file");
        }
    };
    put(0, true);
    let runs: Vec<CommandOutput> = thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                put(round % 2, round % 3 == 0);
                thread::sleep(Duration::from_millis(3 + round as u64 % 11));
            }
        });
        let runs = (0..RUNS).map(|_| study.run()).collect();
        done.store(true, Ordering::Relaxed);
        runs
    });
    for said in runs {
        // Half a file may be what was listed and read, and is refused for what it holds.
        assert!([0, 1, 2].contains(&said.code), "{}", said.stderr);
        assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    }
    for which in 0..2 {
        put(which, false);
        let said = study.run();
        assert_eq!(said.code, 0, "{}", said.stderr);
        let fresh = study.run_with(&["--store", &format!("fresh{which}"), "--out", "other"]);
        assert_eq!(fresh.code, 0, "{}", fresh.stderr);
        let (record, fresh) = (study.record(&said), study.record(&fresh));
        for (step, other) in record.steps.iter().zip(&fresh.steps) {
            assert_eq!(step.outputs, other.outputs, "`{}` of content {which}", step.name);
        }
    }
}

#[test]
fn a_recording_that_is_swapped_again_and_again_leaves_no_wrong_result() {
    let study = tones::three();
    swap(&study, "data/bell/02.wav", [&wav(&tone(0, 2)), &wav(&tone(2, 7))]);
}

#[test]
fn a_matrix_that_is_swapped_again_and_again_leaves_no_wrong_result() {
    let text = "name: own\nsteps:\n  own: { op: matrix, path: own.csv }\n  groups: { op: kmeans, in: own, clusters: 2 }\n";
    let study = Study::new().pipeline(text);
    let rows = |sign: &str| {
        let rows = (0..400).map(|row| format!("{row},{sign}{}.25,{}\n", row % 7, row % 5));
        format!("clip_id,a,b\n{}", rows.collect::<String>())
    };
    swap(&study, "own.csv", [rows("1").as_bytes(), rows("9").as_bytes()]);
}
