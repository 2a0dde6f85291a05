//! Runs and the store over time: which run is the latest, what is removed, what is read
//! again.

use crate::{study::Study, tones};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    process::Stdio,
    thread,
    time::Duration,
};

/// Whatever comes first by name was made last.
#[test]
fn the_latest_of_several_studies_is_the_last_that_was_made() {
    let study = tones::three();
    study.run();
    let mut ids = Vec::new();
    for name in ["zebra", "alder", "maple"] {
        let other = study.text().replace("name: small", &format!("name: {name}"));
        study.write("other.yaml", other);
        let said = study.engine(&["run", "other.yaml"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        let shown = study.engine(&["show"]).stdout;
        assert!(shown.starts_with(name), "{shown}");
        ids.push(said.stdout.split('/').nth(2).expect("an id").to_owned());
    }
    assert!(ids.is_sorted(), "{ids:?}");
    let listed = study.engine(&["runs"]).stdout;
    let at = |name: &str| listed.find(name).unwrap_or_else(|| panic!("{listed}"));
    assert!(at("maple") < at("alder") && at("alder") < at("zebra") && at("zebra") < at("small"));
}

#[test]
fn a_run_of_some_steps_is_not_the_latest() {
    let study = tones::three();
    let part = study.run_with(&["--only", "pca"]);
    assert_eq!(part.code, 0, "{}", part.stderr);
    assert!(part.stderr.contains("note: only some steps were asked for"), "{}", part.stderr);
    assert!(study.record(&part).only);
    let shown = study.engine(&["show"]);
    assert_eq!(shown.code, 2, "{}", shown.stdout);
    assert!(shown.stderr.contains("the newest is `"), "{}", shown.stderr);
    let whole = study.run();
    assert!(!study.record(&whole).only);
    for options in [&["--only", "mel"], &["--until", "pca"]] {
        let id = study.record(&study.run_with(options)).id;
        let latest = study.engine(&["show", "small"]).stdout;
        assert!(latest.contains(&study.record(&whole).id), "{options:?}: {latest}");
        assert!(study.engine(&["why", "latest", "r1.ari"]).code == 0);
        let shown = study.engine(&["show", &id]).stdout;
        assert!(shown.contains("Only some of its steps were asked for"), "{shown}");
    }
    // Who asks for all steps by name asks for the whole.
    assert!(!study.record(&study.run_with(&["--only", "scores"])).only);
}

#[test]
fn a_folder_in_the_place_of_latest_spoils_no_run() {
    let study = tones::three();
    let first = study.record(&study.run()).id;
    let latest = study.path("runs/small/latest");
    fs::remove_file(&latest).expect("a link");
    fs::create_dir(&latest).expect("a folder");
    for file in ["record.json", "report.md"] {
        fs::copy(study.path(format!("runs/small/{first}/{file}")), latest.join(file))
            .expect("copied");
    }
    let second = study.run_with(&["--set", "clusters=4"]);
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert!(second.stderr.contains("latest` is a folder, so"), "{}", second.stderr);
    let id = study.record(&second).id;
    for name in ["latest", "small", "small/latest", "runs/small/latest", "runs/small"] {
        let shown = study.engine(&["show", name]).stdout;
        assert!(shown.starts_with(&format!("small {id}: ")), "{name}: {shown}");
    }
    // The same command again is the same run, as with a link.
    let is_found = (0..50).any(|_| {
        thread::sleep(Duration::from_millis(100));
        let folders = study.run_folders();
        // The pipeline is left as it is: one that was just written is read again.
        study.engine(&["run", "study.yaml", "--threads", "1", "--set", "clusters=4"]);
        study.run_folders() == folders
    });
    assert!(is_found, "every run made a folder of its own");
}

#[test]
fn what_killed_runs_left_is_removed_with_the_rest() {
    let study = tones::three();
    let kept = study.record(&study.run()).id;
    let at = |name: &str| study.path(format!("runs/small/{name}"));
    let write = |name: &str| study.write(&format!("runs/small/{name}"), "");
    write("2026-01-02-030405-006/.tmpa1B2c3");
    write("2026-01-02-030405/report.md");
    write("2026-01-02-030405/figures/01-scatter.svg");
    write("2026-01-02-030406/thesis.txt");
    write(&format!("{kept}/.tmpa1B2c3"));
    symlink("nowhere", at(".latest-1")).expect("a link");
    let recent = study.engine(&["cache", "gc"]).stdout;
    assert!(!recent.contains("run folder"), "they are young: {recent}");
    let plan = study.engine(&["cache", "gc", "--older-than", "0s", "--dry-run"]).stdout;
    let said = "2 run folders without a record and 2 files of killed runs";
    assert!(plan.starts_with("would remove ") && plan.contains(said), "{plan}");
    assert!(at("2026-01-02-030405").exists());
    let done = study.engine(&["cache", "gc", "--older-than", "0s"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains(said), "{}", done.stdout);
    for gone in ["2026-01-02-030405-006", "2026-01-02-030405", ".latest-1"] {
        assert!(at(gone).symlink_metadata().is_err(), "{gone}");
    }
    assert!(at("2026-01-02-030406/thesis.txt").exists(), "somebody's own");
    assert!(at(&kept).join("record.json").exists() && !at(&kept).join(".tmpa1B2c3").exists());
}

#[test]
fn runs_in_another_folder_that_need_an_object_are_named() {
    let study = tones::three();
    study.run();
    let elsewhere = study.run_with(&["--out", "elsewhere", "--set", "clusters=2"]);
    assert_eq!(elsewhere.code, 0, "{}", elsewhere.stderr);
    let gc = |out: &str, more: &[&str]| {
        let words = [&["cache", "gc", "--older-than", "0s", "--out", out], more].concat();
        let said = study.engine(&words);
        assert_eq!(said.code, 0, "{}", said.stderr);
        said.stderr
    };
    let said = gc("runs", &["--dry-run"]);
    let warning = "warning: a run below `DIR/elsewhere` need";
    assert!(said.contains(warning), "{said}");
    assert!(gc("elsewhere", &["--dry-run"]).contains("below `DIR/runs`"));
    fs::remove_dir_all(study.path("elsewhere")).expect("removed");
    assert_eq!(gc("runs", &[]), "");
}

#[test]
fn files_that_changed_unseen_are_found_by_reading_them() {
    let study = tones::three();
    let path = study.path("data/bell/00.wav");
    thread::sleep(Duration::from_millis(100));
    let first = study.run();
    let index = study.index_of_files();
    let text = fs::read_to_string(&index).expect("an index");
    let line = text.lines().find(|line| line.ends_with("bell/00.wav")).expect("a line");
    let (digest, version) = line.split_once(' ').expect("a digest");
    let sound = study.engine(&["cache", "verify", "--sources"]);
    assert_eq!(sound.code, 0, "{}", sound.stdout);
    assert!(sound.stdout.starts_with("read 12 files outside: all hold"), "{}", sound.stdout);
    // As if it had been changed through a map in memory: other bytes, the same version.
    fs::write(&index, text.replace(digest, &cache::Digest::of(b"before").to_string()))
        .expect("an index");
    let found = study.engine(&["cache", "verify", "--sources"]);
    assert_eq!(found.code, 1);
    let says = format!("`{}` holds other bytes", Path::new("data/bell/00.wav").display());
    assert!(found.stdout.contains(&says), "{} {version}", found.stdout);
    assert_eq!(fs::read_dir(study.path(".engine/unchanged-v1")).expect("a folder").count(), 0);
    let again = study.run();
    assert_eq!(
        study.steps_that(&again, cache::record::StepStatus::Ran),
        [""; 0],
        "{}",
        again.stderr
    );
    let key = |said| study.record(said).step("clips").expect("a step").key;
    assert_eq!(key(&again), key(&first), "{}", path.display());
    // A run that believes the index finds other bytes than those; the next one looks anew.
    let text = fs::read_to_string(&index).expect("an index");
    fs::write(&index, text.replace(digest, &cache::Digest::of(b"before").to_string()))
        .expect("an index");
    let misled = study.run_with(&["--force", "mel"]);
    assert_eq!(misled.code, 1, "{}", misled.stderr);
    assert!(misled.stderr.contains("changed while it was read"), "{}", misled.stderr);
    let right = study.run_with(&["--force", "mel"]);
    assert_eq!(right.code, 0, "{}", right.stderr);
    assert_eq!(key(&right), key(&first));
}

#[test]
fn a_watch_that_is_asked_to_end_stops_its_run() {
    let study = Study::new().pipeline(
        "name: long\nsteps:\n  many: { op: synth, clips_per_class: 3000 }\n  mel: { op: log_mel, in: many }\n",
    );
    study.write("study.yaml", study.text());
    let mut watch = study
        .command(&["watch", "study.yaml", "--threads", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let run = || {
        let runs = fs::read_dir(study.path("runs/long")).ok()?;
        runs.flatten().map(|run| run.path()).find(|run| run.is_dir() && !run.is_symlink())
    };
    let mut folder = None;
    for _ in 0..600 {
        folder = run();
        if folder.is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let folder = folder.expect("a run begins");
    // The run listens from here on.
    thread::sleep(Duration::from_millis(500));
    kill_process(Pid::from_child(&watch), Signal::TERM).expect("a living process");
    watch.wait().expect("it ends");
    let text = fs::read(folder.join("record.json")).expect("the run has ended by itself");
    let record: cache::Record = serde_json::from_slice(&text).expect("a record");
    assert_eq!(record.status, cache::record::RunStatus::Interrupted);
}

/// A page of a map that was written to once is dirty, and the time of the file stays as it is at the
/// next write.
#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn what_a_map_in_memory_hides_is_found_by_reading() {
    let study = tones::three();
    let path = study.path("data/bell/00.wav");
    let file = fs::File::options().read(true).write(true).open(&path).expect("a file");
    // SAFETY: nothing shortens the file while the map is there.
    #[expect(unsafe_code, reason = "a map in memory is what is tested")]
    let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.expect("a map");
    let last = map.len() - 1;
    map[last] ^= 1;
    thread::sleep(Duration::from_millis(200));
    let version = || {
        let metadata = fs::metadata(&path).expect("a file");
        (metadata.modified().expect("a time"), metadata.ctime(), metadata.ctime_nsec())
    };
    let first = study.run();
    assert_eq!(first.code, 0, "{}", first.stderr);
    let before = version();
    map[last] ^= 1;
    if version() != before {
        eprintln!("SKIPPED: here the time of the file shows it");
        return;
    }
    let again = study.run();
    assert_eq!(study.steps_that(&again, cache::record::StepStatus::Ran), [""; 0]);
    let found = study.engine(&["cache", "verify", "--sources"]);
    assert_eq!(found.code, 1, "{}", found.stdout);
    assert!(found.stdout.contains("`data/bell/00.wav` holds other bytes"), "{}", found.stdout);
    let last = study.run();
    assert_eq!(last.code, 0, "{}", last.stderr);
    let key = |said| study.record(said).step("clips").expect("a step").key;
    assert_ne!(key(&last), key(&first));
    assert_eq!(study.engine(&["cache", "verify", "--sources"]).code, 0);
}
