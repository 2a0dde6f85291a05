//! The run after a run that found everything: it makes no folder, unless anything at all has changed.

use crate::{
    study::{CommandOutput, SMALL, Study},
    tones,
};
use std::{fs, os::unix::fs::symlink, path::PathBuf, thread, time::Duration};

/// A study that has run twice: once to make its results, once to find them.
fn settled(pipeline: &str) -> (Study, CommandOutput) {
    let study = tones::three().pipeline(pipeline);
    study.write("study.yaml", study.text());
    assert_eq!(run(&study).code, 0);
    wait();
    let found = run(&study);
    assert!(found.stderr.contains("[6/6] scores"), "{}", found.stderr);
    (study, found)
}

fn run(study: &Study) -> CommandOutput {
    study.engine(&["run", "study.yaml"])
}

/// Waits, since a file that was written just now is not trusted to be settled.
fn wait() {
    thread::sleep(Duration::from_millis(100));
}

#[test]
fn the_report_that_is_there_is_the_report() {
    let (study, found) = settled(SMALL);
    for options in [&[][..], &["--quiet"], &["--threads", "1"]] {
        let arguments = [&["run", "study.yaml"], options].concat();
        if !options.is_empty() {
            // Other words are another question, which is answered the long way once.
            study.engine(&arguments);
        }
        let folders = study.run_folders();
        let newest = fs::read_link(study.path("runs/small/latest")).expect("a link");
        let again = study.engine(&arguments);
        assert_eq!((again.code, study.run_folders()), (0, folders), "{options:?}");
        let report = PathBuf::from("runs/small").join(newest).join("report.md");
        assert_eq!(again.stdout, format!("{}\n", report.display()));
    }
    assert_eq!(run(&study).code, 0);
    let last = run(&study);
    let said = last.stderr.split(" (").next();
    assert_eq!(said, Some("nothing to run: all 6 steps were cached"), "{}", last.stderr);
    assert_ne!(last.stdout, found.stdout, "another command came between");
}

#[test]
fn an_edited_report_is_noticed_after_the_first_run() {
    let study = tones::three();
    study.write("study.yaml", study.text());
    let report = run(&study).stdout;
    let path = study.path(report.trim());
    let text = fs::read_to_string(&path).expect("a report").replacen('0', "1", 1);
    fs::write(&path, text).expect("a report");
    let said = run(&study).stderr;
    let warning = format!("warning: `{}` is not as its run left it", report.trim());
    assert!(said.starts_with(&warning), "{said}");
    assert!(!run(&study).stderr.contains("warning"));
}

#[test]
fn the_files_of_a_report_are_read_until_their_versions_are_known() {
    let (study, found) = settled(SMALL);
    let note = || {
        let notes = fs::read_dir(study.path(".engine/unchanged-v1")).expect("notes");
        notes.map(|note| fs::read(note.expect("a note").path()).expect("a note")).collect()
    };
    let first: Vec<_> = note();
    wait();
    assert_eq!(run(&study).stdout, found.stdout);
    let known: Vec<_> = note();
    assert_ne!(known, first);
    assert_eq!(run(&study).stdout, found.stdout);
    assert_eq!(note(), known);
    // The same bytes written again are another version, but the same report.
    let report = study.path(found.stdout.trim());
    fs::write(&report, fs::read(&report).expect("a report")).expect("a report");
    assert_eq!(run(&study).stdout, found.stdout);
}

#[test]
fn who_asks_for_details_gets_them() {
    let (study, _) = settled(SMALL);
    let folders = study.run_folders();
    let said = study.engine(&["run", "study.yaml", "--log-format", "json"]);
    assert!(said.stderr.contains("\"event\":\"step_finished\""), "{}", said.stderr);
    assert_eq!(study.run_folders(), folders + 1);
}

/// A change that somebody makes to a study.
type Change = fn(&Study);

#[test]
fn every_change_is_looked_into() {
    let changes: [(&str, Change); 12] = [
        ("the pipeline", |study| study.write("study.yaml", format!("# A remark.\n{SMALL}"))),
        ("a recording", |study| {
            study.write("data/bell/00.wav", tones::wav(&tones::tone(1, 1)));
        }),
        ("a new recording", |study| {
            study.write("data/bell/09.wav", tones::wav(&tones::tone(0, 9)));
        }),
        ("a new class", |study| {
            study.write("data/gong/00.wav", tones::wav(&tones::tone(2, 9)));
        }),
        ("a recording that is gone", |study| {
            fs::remove_file(study.path("data/bell/00.wav")).expect("it was there");
        }),
        ("a link for a folder", |study| {
            fs::rename(study.path("data/bell"), study.path("bell")).expect("a moved folder");
            symlink(study.path("bell"), study.path("data/bell")).expect("a link");
        }),
        ("an edited report", |study| {
            let report = study.path("runs/small/latest/report.md");
            let text = fs::read_to_string(&report).expect("a report").replace('0', "1");
            fs::write(report, text).expect("a report");
        }),
        ("an edited report of the same length and time", |study| {
            let report = study.path("runs/small/latest/report.md");
            let modified = fs::metadata(&report).and_then(|it| it.modified()).expect("a time");
            let text = fs::read_to_string(&report).expect("a report").replace('0', "1");
            fs::write(&report, text).expect("a report");
            let report = fs::File::options().append(true).open(report).expect("a report");
            report.set_modified(modified).expect("a time of one's own");
        }),
        ("an edited table", |study| {
            let table = study.path("runs/small/latest/results.csv");
            fs::remove_file(table).expect("it was there");
        }),
        ("a lost object", |study| {
            let objects = study.object_files();
            fs::remove_file(&objects[0]).expect("it was there");
        }),
        ("a flipped bit", |study| {
            let object = &study.object_files()[0];
            let mut bytes = fs::read(object).expect("an object");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(object, bytes).expect("an object");
        }),
        ("a note that is damaged", |study| {
            for note in fs::read_dir(study.path(".engine/unchanged-v1")).expect("notes") {
                let note = note.expect("a note").path();
                let text = fs::read_to_string(&note).expect("a note").replacen("steps", "stepz", 1);
                fs::write(note, text).expect("a note");
            }
        }),
    ];
    for (what, change) in changes {
        let (study, found) = settled(SMALL);
        assert_eq!(run(&study).stdout, found.stdout, "{what}");
        wait();
        // From now on the versions of the report's files are known.
        assert_eq!(run(&study).stdout, found.stdout, "{what}");
        change(&study);
        let after = run(&study);
        assert_eq!(after.code, 0, "{what}: {}", after.stderr);
        let edited = after.stderr.contains("is not as its run left it");
        assert_eq!(edited, what.starts_with("an edited"), "{what}: {}", after.stderr);
        assert_ne!(after.stdout, found.stdout, "{what}");
        let results = study.read(&after.stdout.trim().replace("report.md", "results.csv"));
        assert!(results.lines().count() > 1, "{what}");
    }
}

#[test]
fn another_value_in_the_environment_is_another_study() {
    let (study, found) = settled(&SMALL.replace("clusters: 3", "clusters: \"${env:CLUSTERS:-3}\""));
    assert_eq!(run(&study).stdout, found.stdout);
    let command = |value: &str| {
        let mut command = study.command(&["run", "study.yaml"]);
        study.text_of(&command.env("CLUSTERS", value).output().expect("the binary starts"))
    };
    let other = command("2");
    assert!(other.stderr.contains("groups             ran"), "{}", other.stderr);
}

#[test]
fn an_older_run_is_not_the_newest() {
    let (study, found) = settled(SMALL);
    assert_eq!(study.engine(&["run", "study.yaml", "--set", "clusters=2"]).code, 0);
    let after = run(&study);
    assert_ne!(after.stdout, found.stdout, "`latest` is the run that was asked for last");
    let newest = fs::read_link(study.path("runs/small/latest")).expect("a link");
    assert!(after.stdout.contains(&*newest.to_string_lossy()), "{}", after.stdout);
}
