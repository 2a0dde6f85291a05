//! Results after a run: show, report, export.

use crate::tones;
use npyz::NpyFile;
use std::fs;

#[test]
fn a_run_is_shown_by_folder_id_and_name() {
    let study = tones::three();
    let said = study.run();
    let report = study.read("runs/small/latest/report.md");
    let id = study.record(&said).id;
    let folder = format!("runs/small/{id}");
    for run in [&[][..], &["latest"], &[&id], &[&folder], &["small"]] {
        let mut arguments = vec!["show", "--report"];
        arguments.extend(run);
        let shown = study.engine(&arguments);
        assert_eq!((shown.code, &shown.stdout), (0, &report), "{run:?}: {}", shown.stderr);
    }
    let none = study.engine(&["show", "never"]);
    assert_eq!(none.code, 2);
    let newest = format!("the newest is `{id}`, and `engine runs` lists them all");
    assert_eq!(none.stderr, format!("error: there is no run `never` below `runs`; {newest}\n"));
}

#[test]
fn a_report_is_rendered_again_with_the_same_bytes() {
    let study = tones::three();
    study.run();
    let (report, csv) =
        (study.read("runs/small/latest/report.md"), study.read("runs/small/latest/results.csv"));
    fs::remove_file(study.path("runs/small/latest/report.md")).expect("a report");
    let shown = study.engine(&["show", "--report"]);
    assert_eq!(shown.code, 1);
    assert!(shown.stderr.contains("`engine report latest` renders it again"), "{}", shown.stderr);
    let said = study.engine(&["report"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(study.read("runs/small/latest/report.md"), report);
    assert_eq!(study.read("runs/small/latest/results.csv"), csv);
}

#[test]
fn a_lost_result_cannot_be_shown_again_until_it_is_made_again() {
    let study = tones::three();
    let said = study.run();
    fs::remove_file(study.object_of(&said, "scores", "scores")).expect("an object");
    let report = study.engine(&["report"]);
    assert_eq!(report.code, 1);
    assert!(report.stderr.contains("run the pipeline again"), "{}", report.stderr);
    let export = study.engine(&["export", "latest", "scores", "--to", "scores.csv"]);
    assert_eq!(export.code, 1);
    assert!(export.stderr.contains("run the pipeline again"), "{}", export.stderr);
    assert_eq!(study.ran(), ["scores"]);
    assert_eq!(study.engine(&["report"]).code, 0);
}

#[test]
fn results_are_exported() {
    let study = tones::three();
    let said = study.run();
    let export = |what: &str, to: &str| study.engine(&["export", "latest", what, "--to", to]);
    for (what, to) in [
        ("pca.latent", "a.parquet"),
        ("pca", "b.parquet"),
        ("pca.latent", "latent.npy"),
        ("pca.latent", "latent.csv"),
        ("mel.features", "mel.npy"),
        ("clips.labels", "labels.csv"),
        ("groups.labels", "groups.parquet"),
        ("scores.scores", "scores.csv"),
        ("pca.model", "pca.safetensors"),
    ] {
        let said = export(what, to);
        assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{what}: {}", said.stderr);
        assert!(said.stderr.starts_with("wrote "), "{}", said.stderr);
    }
    assert_eq!(
        fs::read(study.path("a.parquet")).expect("a file"),
        fs::read(study.path("b.parquet")).expect("a file")
    );
    assert_eq!(
        fs::read(study.path("a.parquet")).expect("a file"),
        fs::read(study.object_of(&said, "pca", "latent")).expect("an object"),
    );
    let bytes = fs::read(study.path("latent.npy")).expect("a file");
    let array = NpyFile::new(&bytes[..]).expect("an array");
    assert_eq!(array.shape(), [12, 3]);
    let values: Vec<f32> = array.into_vec().expect("32-bit floats");
    let csv = study.read("latent.csv");
    assert_eq!(csv.lines().count(), 13, "{csv}");
    let first = csv.lines().nth(1).expect("a row");
    assert!(first.starts_with(&format!("bell/00.wav,{}", values[0])), "{first}");
    assert!(study.read("labels.csv").starts_with("clip_id,label\nbell/00.wav,bell\n"));
}

#[test]
fn an_export_that_cannot_be_is_explained() {
    let study = tones::three();
    study.run();
    let mut all = String::new();
    for (what, to) in [
        ("pac.latent", "a.csv"),
        ("pca.laten", "a.csv"),
        ("pca.latent", "a.xlsx"),
        ("pca.latent", "a"),
        ("pca.model", "a.csv"),
        ("pca.model", "a.onnx"),
        ("clips.labels", "a.npy"),
        ("pca.latent", "study.yaml/a.csv"),
    ] {
        let said = study.engine(&["export", "latest", what, "--to", to]);
        assert_eq!(said.code, 2, "{what} {to}: {}", said.stderr);
        assert!(!study.path(to).exists(), "{to} is half-written");
        all.push_str(&format!("$ engine export latest {what} --to {to}\n{}\n", said.stderr));
    }
    insta::assert_snapshot!("export", all);
}
