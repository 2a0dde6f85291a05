//! `engine compare`: the rows of many runs in one table; and the wide form of results.

use crate::{study::Study, tones};
use serde_json::{Value, json};

/// Three runs of a study: one plain, one with another number of clusters, one that sweeps it.
fn three_runs() -> (Study, Vec<String>) {
    let mut study = tones::three();
    let mut ids = vec![study.record(&study.run()).id];
    ids.push(study.record(&study.run_with(&["--set", "groups.clusters=2"])).id);
    let text =
        study.text().replace("report:", "sweep: { grid: { groups.clusters: [4, 5] } }\nreport:");
    study = study.pipeline(&text.replace("name: small", "name: swept"));
    ids.push(study.record(&study.run()).id);
    (study, ids)
}

#[test]
fn many_runs_stand_in_one_table() {
    let (study, ids) = three_runs();
    let compare = |more: &[&str]| {
        let arguments = ["compare"].into_iter().chain(ids.iter().map(String::as_str));
        study.engine(&arguments.chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let said = compare(&[]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert!(lines.len() >= 5 && ids.iter().all(|id| said.stdout.contains(id)), "{}", said.stdout);

    let all: Value = serde_json::from_str(&compare(&["--json"]).stdout).expect("JSON");
    let clusters = |rows: &Value| {
        let rows = rows.as_array().expect("rows").iter();
        rows.map(|row| row["parameters"]["groups.clusters"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(clusters(&all), [json!(3), json!(2), json!(4), json!(5)]);
    assert_eq!((&all[0]["study"], &all[3]["study"]), (&json!("small"), &json!("swept")));
    assert_eq!((&all[2]["number"], &all[3]["number"]), (&json!("r1"), &json!("r2")));
    // Only what differs is told.
    let told: Vec<&String> = all[1]["parameters"].as_object().expect("a map").keys().collect();
    assert_eq!(told, ["study", "groups.clusters"]);

    let sorted: Value =
        serde_json::from_str(&compare(&["--json", "--sort", "ari"]).stdout).expect("JSON");
    let ari: Vec<f64> = sorted
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["scores"]["ari"]["mean"].as_f64().expect("a number"))
        .collect();
    assert!(ari.len() == 4 && ari.is_sorted_by(|a, b| a >= b), "{ari:?}");
    let few = compare(&["--json", "--filter", "clusters>2", "--sort", "clusters", "--top", "2"]);
    let few: Value = serde_json::from_str(&few.stdout).expect("JSON");
    assert_eq!(clusters(&few), [json!(3), json!(4)]);
    let of_one = compare(&["--filter", &format!("run={}", ids[1])]);
    assert!(of_one.stdout.contains("1 of 4 rows"), "{}", of_one.stdout);

    let csv = compare(&["--csv"]).stdout;
    assert!(
        csv.starts_with("\"row\",") || csv.starts_with("row,run,study,groups.clusters,seeds,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 5, "{csv}");
    let markdown = compare(&["--md"]).stdout;
    assert!(markdown.starts_with("| run | study | clusters | row |"), "{markdown}");

    let faulty = compare(&["--sort", "arj"]);
    assert!(faulty.code == 2 && faulty.stderr.contains("did you mean `ari`?"), "{}", faulty.stderr);
    let none = study.engine(&["compare", "never"]);
    assert!(none.code == 2 && none.stderr.contains("there is no run `never`"), "{}", none.stderr);
}

#[test]
fn results_are_exported_in_a_wide_form() {
    let (study, ids) = three_runs();
    let export = |to: &str, more: &[&str]| {
        let arguments = ["export", &ids[2], "results", "--to", to];
        study.engine(&arguments.into_iter().chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let said = export("new/wide.csv", &["--wide"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let wide = study.read("new/wide.csv");
    let lines: Vec<Vec<&str>> = wide.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(
        (lines.len(), &lines[0][..3]),
        (3, &["row", "groups.clusters", "seeds"][..]),
        "{wide}"
    );
    assert_eq!([lines[1][1], lines[2][1]], ["4", "5"]);
    // Each number is that of the tidy form.
    let tidy = study.read("runs/swept/latest/results.csv");
    let at = lines[0].iter().position(|name| *name == "ari").expect("a column");
    for line in &lines[1..] {
        let number = format!(",ari,{},", line[at]);
        assert!(tidy.contains(&number), "`{number}` is not in {tidy}");
    }
    assert_eq!(export("tidy.csv", &[]).code, 0);
    assert_eq!(study.read("tidy.csv"), tidy);
    assert_eq!(export("wide.parquet", &["--wide"]).code, 0);
    let bytes = std::fs::read(study.path("wide.parquet")).expect("a file");
    assert_eq!(&bytes[..4], b"PAR1");
    let faulty = export("wide.npy", &["--wide"]);
    assert!(faulty.code == 2 && faulty.stderr.contains(".csv or .parquet"), "{}", faulty.stderr);
    let step = study.engine(&["export", &ids[0], "pca", "--to", "a.csv", "--wide"]);
    assert!(step.code == 2 && step.stderr.contains("`--wide` is of `results`"), "{}", step.stderr);
}
