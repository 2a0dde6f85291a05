//! Names and texts that would act on a terminal: every command shows them, and none lets them act.

use crate::{
    study::Study,
    tones::{self, tone, wav},
};
use std::process::Output;

/// Clears the screen, writes to the clipboard, rings, colours by C1, turns the direction of writing.
const HOSTILE: &str = "x\u{1b}[2J\u{1b}]52;c;aGk=\u{7}\u{9b}31m\u{202e}gnp\u{85}";

/// True if a terminal shows a character and does not obey it.
fn is_harmless(letter: char) -> bool {
    letter == '\n' || letter == '\t' || !(letter.is_control() || letter == '\u{202e}')
}

fn harmless(what: &str, output: &Output) {
    for (stream, bytes) in [("output", &output.stdout), ("error", &output.stderr)] {
        let text = String::from_utf8(bytes.clone()).unwrap_or_else(|_| panic!("{what}: no UTF-8"));
        let acts = text.chars().find(|letter| !is_harmless(*letter));
        assert_eq!(acts, None, "standard {stream} of {what}: {text:?}");
    }
}

/// A study whose recordings, classes, titles and descriptions are hostile.
fn hostile() -> Study {
    // JSON lets C1 stand as it is, YAML does not.
    let quoted = serde_json::to_string(HOSTILE).expect("text is JSON");
    let quoted = quoted.replace('\u{9b}', "\\x9b").replace('\u{85}', "\\x85");
    let mut study = tones::three();
    for clip in 0..4 {
        study.write(&format!("data/{HOSTILE}/{HOSTILE}{clip}.wav"), wav(&tone(1, clip + 9)));
    }
    study.write(&format!("data/bell/{HOSTILE}.opus"), "not read");
    study.edit("row: PCA + K-Means", &format!("row: {quoted}"));
    study.edit("name: small\n", &format!("name: small\ndescription: {quoted}\n"));
    study.edit(
        "  mel:",
        "  data: { op: command, command: [sh, print.sh, \"{out.y}\"], outputs: { y: scores } }\n  mel:",
    );
    study.write("print.sh", format!("printf '%s\\n' '{HOSTILE}'; exit 3"));
    study
}

#[test]
fn every_command_shows_them_harmlessly() {
    let study = hostile();
    let run = |arguments: &[&str]| study.run_command(arguments).output().expect("the binary");
    for arguments in [&["-v"][..], &["--log-format", "json"], &[]] {
        let output = run(&[arguments, &["--keep-going", "--force", "clips"]].concat());
        harmless(&format!("run {arguments:?}"), &output);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("\\u001b") && text.contains("\\u202e"), "{text}");
    }
    let row =
        serde_json::from_str::<serde_json::Value>(&study.read("runs/small/latest/record.json"))
            .expect("a record");
    assert!(row.to_string().contains("\\u001b"), "the record holds the text as it is");
    for command in [
        "show",
        "show --report",
        "show --json",
        "runs",
        "runs --json",
        "why latest r1.ari",
        "why latest r1.ari --json",
        "diff latest latest",
        "diff latest latest --json",
        "plan study.yaml",
        "plan study.yaml --json",
        "explain study.yaml mel",
        "explain study.yaml mel --json",
        "graph study.yaml",
        "graph study.yaml --format mermaid",
        "report latest",
        "export latest clips.labels --to labels.csv",
        "cache du",
        "cache verify",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let output = study.command(&words).output().expect("the binary");
        harmless(command, &output);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn faults_of_a_pipeline_show_them_harmlessly() {
    let quoted = serde_json::to_string(HOSTILE).expect("text is JSON");
    let raw = HOSTILE.replace(['\u{1b}', '\u{7}'], "");
    for text in [
        format!("name: small\nsteps: {{ \"{raw}\": {{ op: audio_folder, path: data }} }}\n"),
        format!("name: small\nsteps: {{ {quoted}: {{ op: {quoted}, {quoted}: 3 }} }}\n"),
        format!("name: small\nsteps:\n  a: {{ op: matrix, path: {quoted} }}\n"),
        format!("name: {quoted}\nvars: {{ a: {raw} }}\nsteps: [\n"),
        format!("# {HOSTILE}\nname: small\nsteps: {{ a: {{ op: kmeans, in: {raw} }} }} # {raw}\n"),
        format!("name: small\n{HOSTILE}: 3\n"),
    ] {
        let study = Study::new().pipeline(&text);
        for arguments in [&[][..], &["--log-format", "json"]] {
            let output = study.run_command(arguments).output().expect("the binary");
            assert_eq!(output.status.code(), Some(2), "{text:?}");
            harmless(&text, &output);
        }
    }
    let study = tones::three();
    study.write("study.yaml", study.text());
    let set = format!("pca.components={HOSTILE}");
    for words in [
        &["run", "study.yaml", "--set", &set][..],
        &["run", HOSTILE],
        &["run", "study.yaml", "--threads", HOSTILE],
        &["show", HOSTILE],
        &[HOSTILE],
        &["run", "study.yaml", "--only", HOSTILE],
        &["ops", HOSTILE],
    ] {
        let output = study.command(words).output().expect("the binary");
        assert_ne!(output.status.code(), Some(0), "{words:?}");
        harmless(&format!("{words:?}"), &output);
    }
}

#[test]
fn a_record_that_was_edited_shows_them_harmlessly() {
    let study = tones::three();
    study.ran();
    let path =
        std::fs::canonicalize(study.path("runs/small/latest/record.json")).expect("a record");
    let text = std::fs::read_to_string(&path).expect("a record");
    let quoted = serde_json::to_string(HOSTILE).expect("text is JSON");
    let quoted = quoted.trim_matches('"');
    let hostile = text.replace("PCA + K-Means", quoted).replace("audio_folder", quoted);
    let hostile = hostile.replace("its result is there", quoted).replace("first run", quoted);
    assert_ne!(hostile, text);
    std::fs::write(path, hostile).expect("a record");
    for words in [
        &["show"][..],
        &["runs"],
        &["why", "latest", "r1.ari"],
        &["diff", "latest", "latest"],
        &["show", "latest", "-v"],
        &["report"],
    ] {
        harmless(&format!("{words:?}"), &study.command(words).output().expect("the binary"));
    }
}
