//! Slips at the command line: what a newcomer reads.

use crate::tones;
use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

#[test]
fn slips_are_explained() {
    let study = tones::three();
    study.run_with(&["--dry-run"]);
    study.write("latin.yaml", b"name: caf\xe9\n");
    study.write("empty.yaml", "");
    study.write("list.yaml", "- a\n- b\n");
    study.write("words.yaml", "just some words\n");
    study.write("tab.yaml", "name: a\nsteps:\n\tclips: { op: synth }\n");
    study.write("open.yaml", "name: a\nsteps: { clips: { op: synth }\n");
    std::fs::write(study.path("binary.yaml"), [0_u8, 159, 146, 150]).expect("a file");
    let mut all = String::new();
    for line in [
        "",
        "rnu study.yaml",
        "run",
        "run nowhere.yaml",
        "run data",
        "run .",
        "run data/bell/00.wav",
        "run latin.yaml",
        "run empty.yaml",
        "run list.yaml",
        "run words.yaml",
        "run tab.yaml",
        "run open.yaml",
        "run binary.yaml",
        "run study.yaml --set clusters",
        "run study.yaml --set cluster=3",
        "run study.yaml --set groups.clusters=none",
        "run study.yaml --threads 0",
        "run study.yaml --threads many",
        "run study.yaml --only grups",
        "run study.yaml --force grups",
        "run study.yaml --device tpu",
        "run study.yaml --fast",
        "run study.yaml other.yaml",
        "plan",
        "export",
        "export latest pca.latent",
        "export latest pca.latent --to a.csv",
        "show",
        "report",
        "fetch",
        "fetch gtzan there",
        "synth",
        "synth there --clips-per-class 0",
        "synth data",
    ] {
        let said = study.engine(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(said.code, 2, "{line}: {}", said.stderr);
        assert_eq!(said.stdout, "", "{line}");
        assert!(!said.stderr.contains("panicked"), "{line}");
        all.push_str(&format!("$ engine {line}\n{}\n", said.stderr.trim_end()));
        all.push('\n');
    }
    assert_eq!(study.run_folders(), 0);
    insta::assert_snapshot!("usage", all);
}

#[test]
fn words_need_not_be_text() {
    let mut study = tones::three();
    let odd = OsStr::from_bytes(b"odd\xff");
    let run = study.run_command(&["--store"]).arg(odd).output().expect("the binary starts");
    let said = study.text_of(&run);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let words = study.record(&said).command;
    assert_eq!(words.last().map(String::as_str), Some("odd\u{fffd}"));
    for command in [&["show"][..], &["run"], &["ops"], &["export", "latest"], &["frobnicate"]] {
        let output = study.command(command).arg(odd).output().expect("the binary starts");
        let said = study.text_of(&output);
        assert!(
            said.code == 2 && !said.stderr.contains("panicked"),
            "{command:?}: {}",
            said.stderr
        );
    }
    study.edit("name: small", "name: latest");
    let said = study.run();
    assert!(
        said.code == 2 && said.stderr.contains("cannot be the name of a study"),
        "{}",
        said.stderr
    );
}
