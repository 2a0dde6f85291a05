//! The names that users give to their runs, and the rows of a sweep that they ask for.

use crate::{scores::SWEPT, study::Study, tones};
use std::fs;

#[test]
fn a_run_is_found_by_what_its_user_said_of_it() {
    let study = tones::three();
    let said = study.run_with(&[
        "--name",
        "wide",
        "--note",
        "before the fix",
        "--tag",
        "paper",
        "--tag",
        "old",
    ]);
    let id = study.record(&said).id;
    study.run_with(&["--set", "clusters=2", "--tag", "paper"]);
    let shown = study.engine(&["show", "wide"]);
    assert!(
        shown.stdout.contains(&id) && shown.stdout.contains("wide #paper #old"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("before the fix"), "{}", shown.stdout);
    let runs = |tags: &[&str]| study.engine(&[&["runs"], tags].concat());
    assert_eq!(runs(&["--tag", "paper"]).stdout.lines().count(), 3, "{}", runs(&[]).stdout);
    assert_eq!(runs(&["--tag", "paper", "--tag", "old"]).stdout.lines().count(), 2);
    let none = runs(&["--tag", "new"]);
    assert!(
        none.stdout.is_empty() && none.stderr.contains("no run below `runs` has `new`"),
        "{}",
        none.stderr
    );
    assert_eq!(study.engine(&["diff", "wide", "latest"]).code, 0);
    assert_eq!(study.engine(&["show", "wid"]).code, 2, "a name is whole");
}

#[test]
fn a_run_is_read_from_any_folder() {
    let study = tones::three();
    study.run();
    study.run_with(&["--set", "clusters=2"]);
    let elsewhere = Study::new();
    let latest = study.path("runs/small/latest").display().to_string();
    let ask = |run: &str, command: &[&str]| {
        let words: Vec<&str> =
            command.iter().map(|it| if *it == "RUN" { run } else { it }).collect();
        elsewhere.engine(&words)
    };
    let all: [&[&str]; 5] = [
        &["show", "RUN"],
        &["compare", "RUN", "RUN"],
        &["diff", "RUN", "RUN", "--all"],
        &["why", "RUN", "r1.ari"],
        &["export", "RUN", "results", "--wide", "--to", "wide.csv"],
    ];
    for command in all {
        let said = ask(&latest, command);
        assert_eq!(said.code, 0, "{command:?}: {}", said.stderr);
        let table = if command[0] == "export" { elsewhere.read("wide.csv") } else { said.stdout };
        assert!(table.to_lowercase().contains("ari"), "{command:?}: {table}");
    }
    // The runs alone, without the link that a copy may lose, and without their store.
    let copy = elsewhere.path("moved/small");
    fs::create_dir_all(&copy).expect("a folder");
    for entry in study.path("runs/small").read_dir().expect("runs").flatten() {
        if !entry.path().is_symlink() {
            fs::create_dir(copy.join(entry.file_name())).expect("a folder");
            let to = copy.join(entry.file_name()).join("record.json");
            fs::copy(entry.path().join("record.json"), to).expect("a copy");
        }
    }
    for command in all {
        let said = ask("small", &[command, &["--out", "moved"]].concat());
        assert_eq!(said.code, 2, "{command:?}: {}", said.stdout);
        assert!(said.stderr.contains("there is no store `.engine`"), "{}", said.stderr);
        assert!(said.stderr.contains("name its folder by `--store`"), "{}", said.stderr);
    }
    assert!(ask("", &["runs", "--out", "moved"]).stdout.lines().count() > 2);
    let store = study.path(".engine").display().to_string();
    let said = ask("small", &["show", "RUN", "--out", "moved", "--store", &store]);
    assert!(said.code == 0 && said.stdout.contains("ARI"), "{}{}", said.stdout, said.stderr);
}

#[test]
fn the_rows_of_a_sweep_are_asked_for() {
    let study = Study::new().pipeline(SWEPT);
    tones::fill(&study, 4);
    assert_eq!(study.run().code, 0);
    let show = |arguments: &[&str]| {
        let shown = study.engine(&[&["show"], arguments].concat());
        assert_eq!(shown.code, 0, "{}", shown.stderr);
        shown.stdout
    };
    let rows = |shown: &str| {
        let starts = shown
            .lines()
            .filter(|line| line.starts_with('r') && line.as_bytes()[1].is_ascii_digit());
        starts.map(|line| line[..2].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(rows(&show(&[])), ["r1", "r2", "r3", "r4"]);
    let four = show(&["--filter", "clusters=4"]);
    assert_eq!(rows(&four), ["r2"], "{four}");
    assert!(four.contains("1 of 4 rows") && four.contains("groups.clusters"), "{four}");
    let best = show(&["--top", "1"]);
    let sorted = show(&["--sort", "ari"]);
    assert_eq!(rows(&best), rows(&sorted)[..1], "{best}{sorted}");
    assert_eq!(rows(&show(&["--sort", "clusters", "--top", "2"])), ["r1", "r2"]);
    let wrong = study.engine(&["show", "--sort", "puriti"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("did you mean `purity`?"), "{}", wrong.stderr);
}

#[test]
fn two_sweeps_differ_in_the_values_that_they_try() {
    let mut study = Study::new().pipeline(SWEPT);
    tones::fill(&study, 4);
    let first = study.record(&study.run()).id;
    study.edit("clusters: [2, 4]", "clusters: [2, 4, 5]");
    assert_eq!(study.run().code, 0);
    let text = study.engine(&["diff", &first, "latest"]).stdout;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("groups.clusters [2, 4] [2, 4, 5]"), "{text}");
    assert!(!words.contains("groups{clusters=5"), "{text}");
    assert!(words.contains("24 more are the same in both (`--all` lists them)"), "{text}");
    let all = study.engine(&["diff", &first, "latest", "--all"]).stdout;
    assert!(all.contains("groups{clusters=5") && all.contains(" same\n"), "{all}");
}
