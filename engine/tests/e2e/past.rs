//! Runs that were made before: runs, show, diff, why, and what cannot be read of them.

use crate::{plans::json, study::Study, tones};
use serde_json::Value;
use std::{collections::BTreeMap, fs};

/// The metrics of one row in `results.csv`.
fn values(study: &Study, run: &str) -> BTreeMap<String, f64> {
    let text = study.read(&format!("{run}/results.csv"));
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let head = reader.headers().expect("a head").clone();
    let at = |name: &str| head.iter().position(|it| it == name).expect("a column");
    let (metric, value) = (at("metric"), at("value"));
    let rows = reader.records().map(|row| row.expect("a row"));
    rows.filter_map(|row| Some((row[metric].to_owned(), row[value].parse().ok()?))).collect()
}

/// A text in which ids of runs have names. Later ids may begin as earlier ones do.
fn named(text: &str, ids: &[(&str, &str)]) -> String {
    ids.iter().rev().fold(text.to_owned(), |text, (id, name)| text.replace(id, name))
}

#[test]
fn runs_are_listed_the_newest_first() {
    let study = tones::three();
    let none = study.engine(&["runs"]);
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
    assert_eq!(none.stderr, "no runs below `runs`; `engine run PIPELINE` makes one\n");
    let first = study.record(&study.run());
    let second = study.record(&study.run_with(&["--set", "clusters=2"]));
    let other = study.record(&study.run_with(&["--set", "clusters=50"]));
    let runs = json(&study, &["runs", "--json"]);
    let ids: Vec<_> = runs.as_array().expect("runs").iter().map(|run| run["id"].clone()).collect();
    assert_eq!(ids, [other.id.as_str(), &second.id, &first.id]);
    assert_eq!(
        (&runs[0]["status"], &runs[0]["failed"], &runs[0]["best"]),
        (&"failed".into(), &1.into(), &Value::Null)
    );
    assert_eq!((&runs[1]["ran"], &runs[1]["hits"]), (&2.into(), &4.into()));
    let best = &runs[2]["best"];
    assert_eq!((&best["row"], &best["metric"]), (&"PCA + K-Means".into(), &"ari".into()));
    let ari = values(&study, &format!("runs/small/{}", first.id))["ari"];
    assert_eq!(best["mean"], ari);
    let text = study.engine(&["runs", "small"]).stdout;
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains(&format!("6 of 6  ARI {ari:.3} PCA + K-Means")), "{text}");
    assert_eq!(json(&study, &["runs", "large", "--json"]), Value::Array(Vec::new()));
}

#[test]
fn latest_is_the_newest_of_all_studies_or_of_one() {
    let mut study = tones::three();
    let small = study.record(&study.run()).id;
    study.edit("name: small", "name: other");
    let other = study.record(&study.run()).id;
    let shown = |run: &str| json(&study, &["show", run, "--json"])["id"].clone();
    assert_eq!(shown("latest"), other.as_str());
    assert_eq!(shown("small/latest"), small.as_str());
    assert_eq!(shown("small"), small.as_str());
    assert_eq!(shown(&format!("small/{small}")), small.as_str());
    assert_eq!(shown(&format!("runs/other/{other}")), other.as_str());
}

#[test]
fn records_that_cannot_be_read_are_explained() {
    let study = tones::three();
    study.run();
    let record = study.read("runs/small/latest/record.json");
    let version = format!("\"version\": {}", cache::record::RECORD_VERSION);
    let mut all = String::new();
    for (what, text) in [
        ("newer", record.replacen(&version, "\"version\": 9", 1)),
        ("older", record.replacen(&version, "\"version\": 0", 1)),
        ("cut", "{".to_owned()),
        ("nothing", String::new()),
        ("foreign", "{ \"hello\": 1 }".to_owned()),
        ("field", record.replacen("\"status\": \"done\"", "\"status\": 3", 1)),
    ] {
        study.write(&format!("there/small/{what}/record.json"), text);
        let said = study.engine(&["show", what, "--out", "there"]);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{what}");
        all.push_str(&format!("{what}: {}", said.stderr));
    }
    study.write("there/small/whole/record.json", record);
    let listed = study.engine(&["runs", "--out", "there"]);
    assert_eq!(listed.code, 0);
    assert_eq!(listed.stderr.matches("warning: ").count(), 6, "{}", listed.stderr);
    assert!(listed.stdout.contains("small"), "{}", listed.stdout);
    insta::assert_snapshot!("records", all);
}

#[test]
fn a_run_that_is_not_there_is_not_far() {
    let study = tones::three();
    let id = study.record(&study.run()).id;
    let said = |run: &str| {
        let said = study.engine(&["show", run]);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""));
        named(&said.stderr, &[(&id, "ID")])
    };
    let below = "below `runs`";
    assert_eq!(
        said("smal"),
        format!("error: there is no run `smal` {below}; did you mean `small`?\n")
    );
    let typed = id.replacen("20", "02", 1);
    assert!(said(&typed).ends_with("; did you mean `ID`?\n"), "{}", said(&typed));
    let far = format!(
        "error: there is no run `x` {below}; the newest is `ID`, and `engine runs` lists them all\n"
    );
    assert_eq!(said("x"), far);
}

#[test]
fn two_runs_are_compared() {
    let mut study = tones::three();
    let a = study.record(&study.run()).id;
    study.edit("  groups:", "  extra: { op: normalize, in: mel, scope: per_clip }\n  groups:");
    let b = study.record(&study.run_with(&["--set", "clusters=2", "--set", "mel.n_mels=12"])).id;
    let ids = [(a.as_str(), "A"), (b.as_str(), "B")];
    let text = study.engine(&["diff", &a, &b]);
    assert_eq!(text.code, 0, "{}", text.stderr);
    let markdown = study.engine(&["diff", &a, &b, "--md"]).stdout;
    let both = format!("{}\n{markdown}", text.stdout);
    insta::assert_snapshot!("diff", named(&both, &ids));
    let json = json(&study, &["diff", &a, "latest", "--json"]);
    let (before, after) =
        (values(&study, &format!("runs/small/{a}")), values(&study, &format!("runs/small/{b}")));
    for cell in json["cells"].as_array().expect("cells") {
        let metric = cell["metric"].as_str().expect("a metric");
        assert_eq!(cell["a"]["mean"], before[metric]);
        assert_eq!(cell["b"]["mean"], after[metric]);
        assert_eq!(cell["difference"]["mean"], after[metric] - before[metric]);
    }
    let same = study.engine(&["diff", &a, &a]).stdout;
    assert!(same.contains("What went in is the same in both."), "{same}");
    assert!(same.contains("All numbers are the same in both (6; `--all`"), "{same}");
    let same = study.engine(&["diff", &a, &a, "--all"]).stdout;
    assert_eq!(same.matches(" same\n").count(), 6, "{same}");
    tones::fill(&study, 5);
    study.run_with(&["--set", "clusters=2", "--set", "mel.n_mels=12"]);
    let files = study.engine(&["diff", &b, "latest"]).stdout;
    assert!(files.contains("clips.files"), "{files}");
    assert!(!files.contains("mel"), "only what changed by itself: {files}");
}

/// One run with several seeds in its table, from runs of one seed each.
fn with_seeds(study: &Study, name: &str, arguments: &[&str], seeds: &[u64]) -> Vec<f64> {
    let (mut joined, mut aris) = (Value::Null, Vec::new());
    for seed in seeds {
        let set = format!("groups.seed={seed}");
        let said = study.run_with(&[&["--set", &set][..], arguments].concat());
        let folder = said.stdout.trim_end().trim_end_matches("/report.md");
        aris.push(values(study, folder)["ari"]);
        let mut record: Value =
            serde_json::from_str(&study.read(&format!("{folder}/record.json"))).expect("JSON");
        let scores = format!("scores@{seed}");
        record["table"][0]["scores"] = scores.as_str().into();
        record["table"][0]["seed"] = (*seed).into();
        let steps = record["steps"].as_array_mut().expect("steps");
        let last = steps.iter_mut().find(|step| step["name"] == "scores").expect("scores");
        last["name"] = scores.into();
        if joined.is_null() {
            joined = record;
        } else {
            let (last, row) = (record["steps"][5].take(), record["table"][0].take());
            joined["steps"].as_array_mut().expect("steps").push(last);
            joined["table"].as_array_mut().expect("rows").push(row);
        }
    }
    study.write(&format!("runs/joined/{name}/record.json"), joined.to_string());
    aris
}

#[test]
fn seeds_are_one_row_with_an_interval() {
    let mut study = tones::three();
    study.edit("clusters: \"${clusters}\"", "clusters: \"${clusters}\", n_init: 1, init: random");
    let a = with_seeds(&study, "a", &[], &[1, 2, 3, 4]);
    let b = with_seeds(&study, "b", &["--set", "clusters=4"], &[1, 2, 3, 4]);
    let diff = json(&study, &["diff", "joined/a", "joined/b", "--json"]);
    let cells = diff["cells"].as_array().expect("cells");
    let cell = cells.iter().find(|cell| cell["metric"] == "ari").expect("a cell");
    let close = |found: &Value, expected: f64| {
        let found = found.as_f64().expect("a number");
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / 4.0;
    let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| b - a).collect();
    for (side, values) in [("a", &a), ("b", &b), ("difference", &differences)] {
        assert_eq!(cell[side]["seeds"], 4, "{side}");
        close(&cell[side]["mean"], mean(values));
        let spread: f64 = values.iter().map(|value| (value - mean(values)).powi(2)).sum();
        if spread == 0.0 {
            assert_eq!(cell[side]["half_interval"], Value::Null, "no seed changes it");
            continue;
        }
        // Student's quantile for three degrees of freedom.
        close(&cell[side]["half_interval"], 3.182_446_305_284_263 * (spread / 3.0 / 4.0).sqrt());
    }
    let shown = study.engine(&["show", "joined/b"]).stdout;
    assert_eq!(shown.matches("r1 PCA + K-Means").count(), 1, "{shown}");
    assert!(shown.contains(" ± ") && shown.contains("interval of the mean over seeds"), "{shown}");
    let why = study.engine(&["why", "joined/a", "r1.ari", "--seed", "3"]).stdout;
    assert!(why.contains(&format!("value    {}", a[2])), "{why}");
    assert!(why.contains("followed seed 3"), "{why}");
    let wrong = study.engine(&["why", "joined/a", "r1.ari", "--seed", "9"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("has no seed 9; it has 1, 2, 3, 4"), "{}", wrong.stderr);
}

#[test]
fn a_number_is_followed_to_its_files_and_computed_again() {
    let mut study = tones::three();
    study.edit("  groups:", "  aside: { op: kmeans, in: norm, clusters: 2 }\n  groups:");
    let said = study.run_with(&["--set", "clusters=4", "--set", "data=./data"]);
    let record = study.record(&said);
    let value = values(&study, "runs/small/latest")["ari"];
    let why = json(&study, &["why", "latest", "r1.ari", "--json"]);
    assert_eq!(why["value"], value);
    let chain: Vec<_> =
        why["chain"].as_array().expect("steps").iter().map(|link| link["step"].clone()).collect();
    assert_eq!(chain, ["clips", "mel", "norm", "pca", "groups", "scores"], "and no `aside`");
    let source = &why["chain"][0]["files"][0];
    assert_eq!((&source["path"], &source["files"]), (&"./data".into(), &12.into()));
    for link in why["chain"].as_array().expect("steps") {
        let step = record.step(link["step"].as_str().expect("a name")).expect("a step");
        assert_eq!(link["key"], step.key.expect("a key").to_string());
        let fields: cache::CacheKey =
            serde_json::from_value(link["fields"].clone()).expect("a key");
        assert_eq!(Some(fields.digest()), step.key);
    }
    let text = study.engine(&["why", "latest", "r1.ari"]).stdout;
    for cell in ["small#r1c4", "PCA + K-Means.ari", "\"PCA + K-Means\".ARI", "r1c4"] {
        assert_eq!(study.engine(&["why", "latest", cell]).stdout, text, "{cell}");
    }
    let command = why["recompute"].as_str().expect("a command");
    assert_eq!(
        command,
        "engine run study.yaml --set clusters=4 --set data=./data --only scores --force scores"
    );
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let again = study.engine(&words);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(study.steps_that(&again, cache::record::StepStatus::Ran), ["scores"]);
    assert_eq!(values(&study, "runs/small/latest")["ari"], value);
    // What differs from machine to machine: ids, times, and digests of sizes of files.
    let kept: Vec<&str> = text.lines().filter(|line| !line.trim().starts_with("ran ")).collect();
    insta::assert_snapshot!("why", named(&kept.join("\n"), &[(&record.id, "ID")]));
}

#[test]
fn cells_that_are_not_there_are_explained() {
    let study = tones::three();
    study.run();
    let mut all = String::new();
    for cell in ["r2.ari", "r1c9", "r0c1", "r1.aari", "PCA.ari", "ari", "other#r1c1", "", "r1."] {
        let said = study.engine(&["why", "latest", cell]);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{cell}");
        all.push_str(&format!("{cell}: {}", said.stderr));
    }
    insta::assert_snapshot!("cells", all);
}

#[test]
fn a_table_without_its_objects_says_why() {
    let study = tones::three();
    let said = study.run();
    fs::remove_file(study.object_of(&said, "scores", "scores")).expect("an object");
    let shown = study.engine(&["show"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.contains("r1 has no scores: object `"), "{}", shown.stdout);
    let why = study.engine(&["why", "latest", "r1.ari"]);
    assert_eq!(why.code, 2, "{}", why.stdout);
}
