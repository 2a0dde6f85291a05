//! The output of the binary: data on standard output, messages on standard error, in the format that is asked for.

use crate::{plans::json, study::Study, tones};
use serde_json::Value;
use std::path::Path;

/// Standard error as events.
fn events(stderr: &str) -> Vec<Value> {
    let event = |line: &str| {
        let event: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(event["v"], 1, "{line}");
        let time = event["time"].as_str().expect("a time");
        time.parse::<jiff::Timestamp>().unwrap_or_else(|error| panic!("{error}: {time}"));
        event
    };
    stderr.lines().map(event).collect()
}

fn of<'e>(events: &'e [Value], name: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

#[test]
fn a_run_is_told_as_events() {
    let study = tones::three();
    let said = study.run_with(&["--log-format", "json"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let record = study.record(&said);
    let told = events(&said.stderr);
    let (first, last) = (&told[0], &told[told.len() - 1]);
    assert_eq!((&first["event"], &first["steps"]), (&"run_started".into(), &6.into()));
    assert_eq!(first["id"], record.id.as_str());
    assert_eq!((&last["event"], &last["status"]), (&"run_finished".into(), &"done".into()));
    assert_eq!((&last["ran"], &last["hits"]), (&6.into(), &0.into()));
    assert_eq!(last["report"], said.stdout.trim_end());
    for step in &record.steps {
        let finished = of(&told, "step_finished");
        let finished = finished.iter().find(|event| event["step"] == step.name.as_str());
        let finished = finished.unwrap_or_else(|| panic!("{}", step.name));
        assert_eq!(finished["status"], "ran");
        assert_eq!(finished["seconds"], step.seconds);
        let started = of(&told, "step_started");
        let started = started.iter().find(|event| event["number"] == finished["number"]);
        assert_eq!(started.expect("a start")["reason"], finished["reason"]);
    }
    for event in of(&told, "progress") {
        assert!(event["done"].as_u64() <= event["total"].as_u64(), "{event}");
    }
    let hits = events(&study.run_with(&["--log-format=json"]).stderr);
    assert_eq!(of(&hits, "step_finished").len(), 6);
    assert!(of(&hits, "step_finished").iter().all(|event| event["status"] == "hit"));
    assert!(of(&hits, "step_started").is_empty());
}

#[test]
fn what_fails_is_an_event_too() {
    let mut study = tones::three();
    study.run_with(&["--dry-run"]);
    let said = |arguments: &[&str]| {
        let said = study.engine(&[arguments, &["--log-format", "json"]].concat());
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{arguments:?}");
        events(&said.stderr)
    };
    assert_eq!(of(&said(&["run"]), "error").len(), 1);
    assert_eq!(of(&said(&["rnu"]), "error").len(), 1);
    assert_eq!(of(&said(&["run", "nowhere.yaml"]), "error").len(), 1);
    assert_eq!(of(&said(&["show"]), "error").len(), 1);
    let bad = said(&["run", "study.yaml", "--set", "groups.clusters=none"]);
    assert_eq!(of(&bad, "error")[0]["code"], "spec::parameter");
    study.edit("components: 3", "component: 3");
    study.run_with(&["--dry-run"]);
    let bad = events(&study.run_with(&["--log-format", "json"]).stderr);
    let error = of(&bad, "error")[0];
    assert_eq!((&error["file"], &error["line"]), (&"study.yaml".into(), &7.into()));
    assert_eq!(error["help"], "did you mean `components`?");
    let line = study.read("study.yaml").lines().nth(6).expect("a line").to_owned();
    let column = error["column"].as_u64().expect("a column") as usize;
    assert!(line[column - 1..].starts_with("component:") || line[column - 1..].starts_with('3'));
    study.edit("component: 3", "components: 3");
    let failed = events(&study.run_with(&["--log-format", "json", "--set", "clusters=50"]).stderr);
    let ended: Vec<_> =
        of(&failed, "step_finished").iter().map(|it| it["status"].clone()).collect();
    assert_eq!(ended.iter().filter(|status| **status == "failed").count(), 1, "{ended:?}");
    assert_eq!(of(&failed, "error").len(), 1);
    let last = &failed[failed.len() - 1];
    assert_eq!((&last["event"], &last["status"]), (&"run_finished".into(), &"failed".into()));
}

#[test]
fn quiet_says_only_what_fails_and_verbose_says_more() {
    let study = tones::three();
    let quiet = study.run_with(&["-q"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
    let failed = study.run_with(&["--quiet", "--set", "clusters=50"]);
    assert_eq!(failed.code, 2);
    assert!(failed.stderr.contains("step `groups`"), "{}", failed.stderr);
    let said = study.run_with(&["-v", "--set", "clusters=4"]);
    let record = study.record(&said);
    for step in &record.steps {
        let key = step.key.expect("a key").short();
        assert!(said.stderr.contains(&format!("{}: key {key}\n", step.name)), "{}", said.stderr);
        for (port, digest) in &step.outputs {
            let object = format!("  {port} {} (", digest.short());
            assert!(said.stderr.contains(&object), "{object}: {}", said.stderr);
        }
    }
    assert!(said.stderr.contains("reading and keeping"), "{}", said.stderr);
    let plan = study.engine(&["plan", "study.yaml", "-v"]).stdout;
    let key = record.step("clips").expect("a step").key.expect("a key");
    assert!(plan.contains(&format!("key {key}")), "{plan}");
    let both = study.engine(&["plan", "study.yaml", "-q", "-v"]);
    assert_eq!(both.code, 2);
}

#[test]
fn standard_output_is_data() {
    let study = tones::three();
    let report = study.run();
    assert!(study.path(report.stdout.trim_end()).is_file(), "{}", report.stdout);
    let id = study.record(&report).id;
    for arguments in [
        &["plan", "study.yaml", "--json"][..],
        &["explain", "study.yaml", "pca", "--json"],
        &["schema"],
        &["runs", "--json"],
        &["show", "--json"],
        &["diff", &id, &id, "--json"],
        &["why", "latest", "r1.ari", "--json"],
    ] {
        assert!(json(&study, arguments).is_object() || arguments[0] == "runs", "{arguments:?}");
    }
    for arguments in [&["report"][..], &["init", "first"]] {
        let said = study.engine(arguments);
        let path = said.stdout.strip_suffix('\n').expect("one line");
        assert!(study.path(path).is_file(), "{arguments:?}: {path}");
    }
    for arguments in [
        &["export", "latest", "pca", "--to", "a.csv"][..],
        &["synth", "corpus", "--clips-per-class", "1"],
    ] {
        let said = study.engine(arguments);
        assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{arguments:?}: {}", said.stderr);
    }
    // Nothing is said beside data.
    for arguments in [
        &["plan", "study.yaml"][..],
        &["explain", "study.yaml", "pca"],
        &["graph", "study.yaml"],
        &["ops"],
        &["runs"],
        &["show"],
        &["show", "--report"],
        &["diff", &id, &id],
        &["why", "latest", "r1.ari"],
        &["completions", "bash"],
    ] {
        let said = study.engine(arguments);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(said.stdout.ends_with('\n'), "{arguments:?}");
    }
}

#[test]
fn no_colour_and_no_escapes_without_a_terminal() {
    let study = tones::three();
    study.run();
    for arguments in [
        &["run", "study.yaml", "--set", "clusters=2"][..],
        &["plan", "study.yaml"],
        &["runs"],
        &["show"],
        &["why", "latest", "r1.ari"],
        &["run", "study.yaml", "--set", "groups.clusters=none"],
        &["rnu"],
        &["--help"],
    ] {
        let said = study.engine(arguments);
        assert!(!said.stdout.contains('\u{1b}'), "{arguments:?}: {}", said.stdout);
        assert!(!said.stderr.contains('\u{1b}'), "{arguments:?}: {}", said.stderr);
    }
}

#[test]
fn every_command_has_help_whose_examples_can_be_typed() {
    let mut examples = 0;
    for command in engine::app::command().get_subcommands() {
        let name = command.get_name();
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let mut own = 0;
        for line in help.lines().filter_map(|line| line.strip_prefix("  engine ")) {
            let typed = line.split("  ").next().expect("a command");
            let typed = typed.split([' ']).take_while(|word| !["|", ">"].contains(word));
            // A title in quotes is one word for a shell.
            let words = shell_words(&typed.collect::<Vec<_>>().join(" "));
            let all = std::iter::once("engine".to_owned()).chain(words);
            if let Err(error) = engine::app::command().try_get_matches_from(all) {
                panic!("{line}: {error}");
            }
            own += 1;
        }
        assert!(own > 0, "`engine {name} --help` has no examples");
        examples += own;
    }
    assert!(examples > 30, "{examples}");
}

fn shell_words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(at, part)| match at % 2 {
        1 => vec![part.to_owned()],
        _ => part.split_whitespace().map(str::to_owned).collect(),
    });
    words.collect()
}

#[test]
fn completions_know_every_command() {
    let study = Study::new();
    for shell in ["bash", "zsh", "fish"] {
        let said = study.engine(&["completions", shell]);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{shell}");
        for command in engine::app::command().get_subcommands() {
            assert!(said.stdout.contains(command.get_name()), "{shell}: {}", command.get_name());
        }
        for option in ["keep-going", "log-format", "until"] {
            assert!(said.stdout.contains(option), "{shell}: {option}");
        }
        study.write(&format!("engine.{shell}"), said.stdout);
    }
    let bash = Path::new("/bin/bash");
    if bash.exists() {
        let script = study.path("engine.bash");
        let status = std::process::Command::new(bash).arg("-n").arg(script).status();
        assert!(status.expect("bash starts").success());
    }
}

#[test]
fn a_first_pipeline_runs_as_it_is() {
    let study = Study::new();
    let said = study.engine(&["init", "first"]);
    assert_eq!((said.code, said.stdout.as_str()), (0, "first/study.yaml\n"), "{}", said.stderr);
    let ran = study.engine(&["run", "first/study.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    assert!(study.engine(&["show"]).stdout.contains("r2 MFCC + K-Means"));
    let schema = study.engine(&["schema"]).stdout;
    assert_eq!(study.read("first/pipeline.schema.json"), schema);
    let text = study.read("first/study.yaml");
    assert!(text.starts_with("# yaml-language-server: $schema=pipeline.schema.json\n"));
    let again = study.engine(&["init", "first"]);
    assert_eq!((again.code, again.stdout.as_str()), (2, ""));
    assert_eq!(
        again.stderr,
        "error: `first/study.yaml` is there already, and is left as it is; name a new folder\n"
    );
    assert_eq!(study.read("first/study.yaml"), text);
}
