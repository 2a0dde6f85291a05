//! The timeline of a run (`--trace`) and its log (`ENGINE_LOG`).

use crate::tones;
use serde_json::Value;
use std::{collections::HashMap, fs, thread, time::Duration};

/// Spans of a timeline in Chrome's format: name, arguments, thread, and from when to when in microseconds.
struct Span {
    name: String,
    args: Value,
    thread: u64,
    from: f64,
    to: f64,
}

fn spans(timeline: &str) -> Vec<Span> {
    let events: Vec<Value> = serde_json::from_str(timeline).expect("a list of events");
    let mut open: HashMap<u64, Vec<Span>> = HashMap::new();
    let mut closed = Vec::new();
    for event in &events {
        let thread = event["tid"].as_u64().expect("a thread");
        let at = || event["ts"].as_f64().expect("a time in microseconds");
        match event["ph"].as_str().expect("a phase") {
            "B" => {
                let name = event["name"].as_str().expect("a name").to_owned();
                let span = Span { name, args: event["args"].clone(), thread, from: at(), to: 0.0 };
                open.entry(thread).or_default().push(span);
            }
            "E" => {
                let span = open.get_mut(&thread).and_then(Vec::pop).expect("what ends has begun");
                assert_eq!(event["name"], span.name.as_str(), "spans nest");
                closed.push(Span { to: at(), ..span });
            }
            _ => {}
        }
    }
    assert!(open.values().all(Vec::is_empty), "what has begun ends");
    closed
}

#[test]
fn a_timeline_holds_every_step_within_the_run() {
    let study = tones::three();
    let file = study.path("trace.json");
    let said = study.run_with(&["--trace", file.to_str().expect("a path")]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let spans = spans(&fs::read_to_string(&file).expect("a timeline"));
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let run = named("run")[0];
    for phase in ["load", "scan", "execute", "report"] {
        let phase = named(phase)[0];
        assert!(run.from <= phase.from && phase.to <= run.to);
    }
    let execute = named("execute")[0];
    for step in study.record(&said).steps {
        let span = named("step").into_iter().find(|span| span.args["name"] == step.name.as_str());
        let span = span.unwrap_or_else(|| panic!("no span of `{}`", step.name));
        assert_eq!(span.args["op"], step.op.as_str());
        assert!(execute.from <= span.from && span.to <= execute.to);
        let within = |name: &str| {
            named(name).iter().any(|inner| {
                inner.thread == span.thread && span.from <= inner.from && inner.to <= span.to
            })
        };
        assert!(["op", "put", "commit"].into_iter().all(within), "{}", step.name);
    }
}

#[test]
fn a_run_that_finds_everything_scans_its_sources_once() {
    let study = tones::three();
    study.ran();
    // What was written just now is not trusted to be settled.
    thread::sleep(Duration::from_millis(200));
    let file = study.path("trace.json");
    let trace = file.to_str().expect("a path");
    let scans = || {
        let said = study.engine(&["run", "study.yaml", "--threads", "1", "--trace", trace]);
        assert!(said.stderr.contains("nothing to run"), "{}", said.stderr);
        let spans = spans(&fs::read_to_string(&file).expect("a timeline"));
        spans.iter().filter(|span| span.name == "scan").count()
    };
    assert_eq!(scans(), 1);
    assert_eq!(scans(), 0, "the run before noted the versions of all files");
}

#[test]
fn a_log_is_filtered_and_leaves_the_output_alone() {
    let study = tones::three();
    let run = |filter: &str| {
        let output = study.run_command(&[]).env("ENGINE_LOG", filter).output();
        study.text_of(&output.expect("the binary starts"))
    };
    let said = run("debug");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(said.stdout.lines().count(), 1, "{}", said.stdout);
    let said = run("cache=loud");
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("`ENGINE_LOG` is `cache=loud`"), "{}", said.stderr);
}
