//! Steps that other processes run, each from a request, on a store that all share.

use crate::{
    study::Study,
    tones::{self, fill},
};
use cache::{Digest, Store, record::StepStatus};
use engine::{
    model::{Options, StepRequest, StepResult},
    plan::{self, lookup::CacheLookup, ports, scan::scan_sources},
    spec::load,
};
use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    process::{Output, Stdio},
};

type Outputs = BTreeMap<String, BTreeMap<String, Digest>>;

/// The outputs of a run, by step and port.
fn outputs(study: &Study, arguments: &[&str]) -> Outputs {
    let said = study.run_with(arguments);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let steps = study.record(&said).steps.into_iter();
    steps.map(|step| (step.name, step.outputs)).collect()
}

#[test]
fn steps_in_processes_of_their_own_give_the_same_results() {
    let (threads, processes) = (tones::three(), tones::three().threads(2));
    let expected = outputs(&threads, &[]);
    assert_eq!(outputs(&processes, &["--executor", "processes"]), expected);
    assert_eq!(processes.objects(), threads.objects());
    assert_eq!(processes.ran(), [""; 0], "threads find what processes have made");
}

#[test]
fn a_step_that_fails_in_another_process_is_explained_as_ever() {
    let mut study = tones::three();
    study.edit("clusters: 3", "clusters: 100");
    let said = study.run();
    let mentions = |text: &str| text.lines().filter(|line| line.contains("groups")).count();
    assert!(said.code != 0 && mentions(&said.stderr) > 0, "{}", said.stderr);
    let other = tones::three().pipeline(study.text());
    let there = other.run_with(&["--executor", "processes"]);
    assert_eq!(there.code, said.code);
    assert_eq!(other.steps_that(&there, StepStatus::Failed), ["groups"]);
    let error = |text: &str| text[text.find("run::").expect("an error")..].to_owned();
    assert_eq!(error(&there.stderr), error(&said.stderr));
}

/// Runs `engine step`, with the request in a file.
fn step(study: &Study, request: &Path) -> Output {
    let mut command = study.command(&["step", "--store", ".engine", "--quiet"]);
    command.stdin(File::open(request).expect("a request")).stdout(Stdio::piped());
    command.output().expect("the binary starts")
}

#[test]
fn a_request_is_all_that_a_step_needs() {
    let mut study = Study::new();
    fill(&study, 4);
    let data = study.path("data").display().to_string();
    study.edit("data: data", &format!("data: {data}"));
    let store = Store::open(&study.path(".engine")).expect("a store");
    let (pipeline, _) = load(Path::new("study.yaml"), study.text().to_owned(), &[])
        .unwrap_or_else(|faults| panic!("{faults}"));
    let options = Options::default();
    let wanted = pipeline.graph.wanted(&options.only);
    let files = scan_sources(&pipeline, &wanted, &store).expect("files");
    let mut made = Outputs::new();
    for index in 0..pipeline.steps.len() {
        store.refresh().expect("a journal");
        let plan = plan::build(&pipeline, &files, &store, &options);
        let CacheLookup::Miss(key, _) = &plan.lookups[index] else {
            panic!("`{}` is made already, or its inputs are not", pipeline.steps[index].name);
        };
        let inputs = ports(key).map(|(port, digest)| (port.clone(), *digest)).collect();
        let paths = files.iter().flatten().map(|file| (file.digest, file.path.clone())).collect();
        let request = StepRequest { paths, ..plan.request(index, (**key).clone(), inputs) };
        let text = serde_json::to_string(&request).expect("JSON");
        assert_eq!(serde_json::from_str::<StepRequest>(&text).expect("a request"), request);
        study.write("request.json", text);
        let output = step(&study, &study.path("request.json"));
        let result = serde_json::from_slice(&output.stdout).expect("a result");
        let StepResult::Done { finished, reason: Some(_) } = result else {
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        };
        let digests = finished.outputs.into_iter().map(|(port, object)| (port, object.digest));
        made.insert(request.name, digests.collect());
        let again = step(&study, &study.path("request.json"));
        let again: StepResult = serde_json::from_slice(&again.stdout).expect("a result");
        assert!(matches!(again, StepResult::Done { reason: None, .. }), "it is made once");
    }
    let other = tones::three();
    assert_eq!(outputs(&other, &[]), made);
    assert_eq!(study.ran(), [""; 0]);
}

#[test]
fn what_is_no_request_is_refused() {
    let study = Study::new();
    for text in ["", "{}", "{ \"op\": \"pca\" }"] {
        study.write("request.json", text);
        let output = step(&study, &study.path("request.json"));
        assert_eq!(output.status.code(), Some(2), "{text}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("cannot read the request"), "{said}");
        assert!(output.stdout.is_empty());
    }
    assert!(!study.path(".engine").exists());
}
