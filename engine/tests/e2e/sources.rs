//! Every source, from files to a report.

use crate::{
    study::{SMALL, Study},
    tones::{self, fill},
};
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

fn pipeline(name: &str) -> String {
    let path = format!("{}/../pipelines/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Packs a folder as the published archive is packed: one folder that holds all.
fn packed(folder: &Path, archive: &Path) {
    let mut zip = ZipWriter::new(File::create(archive).expect("a file"));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .flat_map(|class| fs::read_dir(class.expect("a class").path()).expect("a folder"))
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    for file in files {
        let name = file.strip_prefix(folder).expect("a file below it").to_str().expect("UTF-8");
        zip.start_file(format!("IRMAS-TrainingData/{name}"), options).expect("an entry");
        zip.write_all(&fs::read(&file).expect("a file")).expect("its bytes");
    }
    zip.finish().expect("an archive");
}

#[test]
fn the_quickstart_needs_nothing() {
    let study = Study::new().pipeline(&pipeline("quickstart")).threads(2);
    let ran = study.ran_with(&["--set", "clips_per_class=3"]);
    assert!(ran.len() >= 8 && ran[0] == "clips", "{ran:?}");
    assert_eq!(study.ran_with(&["--set", "clips_per_class=3"]), [""; 0]);
    let report = study.read("runs/quickstart/latest/report.md");
    for row in ["| PCA(16) + K-Means |", "| PCA(16) + Ward |"] {
        assert!(report.contains(row), "{report}");
    }
}

#[test]
fn irmas_is_read_from_a_folder_and_from_its_archive() {
    let study = Study::new().pipeline(&SMALL.replace("audio_folder", "irmas")).threads(2);
    let synth = study.engine(&["synth", "corpus", "--clips-per-class", "3"]);
    assert_eq!(synth.code, 0, "{}", synth.stderr);
    let set = ["--set", "data=corpus"];
    let ran = study.ran_with(&set);
    assert_eq!(ran.first().map(String::as_str), Some("clips"));
    assert_eq!(study.ran_with(&set), [""; 0]);
    let results = study.read("runs/small/latest/results.csv");

    packed(&study.path("corpus"), &study.path("corpus.zip"));
    fs::remove_dir_all(study.path("corpus")).expect("a folder");
    let set = ["--set", "data=corpus.zip"];
    let ran = study.ran_with(&set);
    assert_eq!(
        ran,
        ["clips", "mel", "scores_recordings"],
        "the same sound gives the same features"
    );
    assert_eq!(study.ran_with(&set), [""; 0]);
    assert_eq!(study.read("runs/small/latest/results.csv"), results);
}

#[test]
fn a_folder_of_folders() {
    let study = Study::new().pipeline(&pipeline("recordings"));
    fill(&study, 4);
    let set = ["--set", "data=data", "--set", "clusters=3", "--set", "components=3"];
    let ran = study.ran_with(&set);
    assert!(ran.len() >= 13, "{ran:?}");
    let mut command = study.run_command(&set[2..]);
    let said = command.env("RECORDINGS", "data").output().expect("the binary starts");
    assert_eq!(
        study.steps_that(&study.text_of(&said), cache::record::StepStatus::Hit).len(),
        ran.len()
    );
}

#[test]
fn a_list_of_files() {
    let study = Study::new().pipeline(
        &SMALL.replace("audio_folder", "manifest").replace("data: data", "data: lists/all.csv"),
    );
    fill(&study, 4);
    let mut list = "label,path,group\n".to_owned();
    for label in tones::LABELS {
        for clip in 0..4 {
            list.push_str(&format!("{label},../data/{label}/{clip:02}.wav,take {clip}\n"));
        }
    }
    study.write("lists/all.csv", &list);
    assert_eq!(study.ran().len(), 7);
    let folder = tones::three();
    folder.ran();
    let numbers = |study: &Study| study.read("runs/small/latest/results.csv");
    assert_eq!(numbers(&study), numbers(&folder), "the same recordings, however they are named");
    study.write("lists/all.csv", list.replace("take 3", "take 4"));
    let ran = study.ran();
    assert_eq!(
        ran,
        ["clips", "scores", "scores_recordings"],
        "only the groups of the labels changed"
    );
}

/// A list of two parts of each recording, with columns beside the class.
fn parts() -> String {
    let mut list = "path,start,end,label,player,take\n".to_owned();
    for label in tones::LABELS {
        for clip in 0..4 {
            for (start, end) in [("0", "0.1"), ("0.1", "")] {
                let player = ["Ann", "Bob"][clip % 2];
                list.push_str(&format!(
                    "data/{label}/{clip:02}.wav,{start},{end},{label},{player},{clip}\n"
                ));
            }
        }
    }
    list
}

#[test]
fn columns_of_a_list_are_outputs_and_excerpts_are_clips() {
    let mut study = Study::new().pipeline(
        &SMALL
            .replace("audio_folder, path: \"${data}\"", "manifest, path: list.csv")
            .replace("duration: 0.25", "duration: 0.1")
            .replace("truth: clips.labels }", "truth: clips.player }")
            .replace("report:", "  both: { op: metrics, in: { features: pca, clusters: groups, truth: clips.labels } }\n  by_player: { op: composition, in: { clusters: groups, truth: clips.player } }\n  by_class: { op: composition, in: { clusters: groups, truth: clips.label } }\nreport:")
            .replace("scores: scores }\n", "scores: scores }\n    - { row: class, scores: both }\n  figures:\n    - { figure: scatter, of: pca, color: [clips.take] }\n    - { figure: composition, of: [by_player, by_class] }\n"),
    );
    fill(&study, 4);
    // Without the list nothing can be said of its columns.
    let said = study.run();
    assert!(said.code == 2 && said.stderr.contains("`list.csv` does not exist"), "{}", said.stderr);
    assert!(!said.stderr.contains("player"), "{}", said.stderr);
    study.write("list.csv", parts());
    study.edit("path: list.csv", "path: list.csv, label: label");
    assert_eq!(study.ran().len(), 11);
    let report = study.read("runs/small/latest/report.md");
    assert!(report.contains("24 clips of 12 recordings."), "{report}");
    assert!(report.contains("| the class | group | labels | take |"), "{report}");
    let figure = |name: &str| study.read(&format!("runs/small/latest/figures/{name}.svg"));
    assert!(figure("01-scatter").contains("PCA of norm, coloured by take<"), "{report}");
    assert!(figure("01-scatter").contains(">PCA 2<"));
    let compositions = figure("02-composition");
    for words in [">K-Means of pca, by player<", ">K-Means of pca, by label<", ">player<"] {
        assert!(compositions.contains(words), "{words} is not in {compositions}");
    }
    assert_eq!(study.ran(), [""; 0]);

    // A new column is one more output; no sound is decoded for it.
    study.write(
        "list.csv",
        parts()
            .replace("player,take\n", "player,take,mood\n")
            .replace(",0\n", ",0,low\n")
            .replace(",1\n", ",1,high\n")
            .replace(",2\n", ",2,\n")
            .replace(",3\n", ",3,high\n"),
    );
    study.edit("truth: clips.player", "truth: clips.mood");
    let mut ran = study.ran();
    ran.sort();
    assert_eq!(
        ran,
        [
            "both",
            "both_recordings",
            "by_class",
            "by_player",
            "clips",
            "scores",
            "scores_recordings"
        ]
    );
    study.edit("truth: clips.mood", "truth: clips.moods");
    let said = study.run();
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("has no output port `moods`"), "{}", said.stderr);
    assert!(said.stderr.contains("did you mean `clips.mood`?"), "{}", said.stderr);
    study.edit("truth: clips.moods", "truth: clips.mood");
    study.edit("path: list.csv", "path: list.csv, group: playr");
    let said = study.run();
    assert!(said.stderr.contains("has no column `playr`"), "{}", said.stderr);
    assert!(said.stderr.contains("study.yaml:4:"), "{}", said.stderr);
}

#[test]
fn features_from_elsewhere_in_three_formats() {
    let study = tones::three();
    study.ran();
    let own = |file: &str, truth: &str| {
        format!(
            "name: own\nsteps:\n  own: {{ op: matrix, path: {file} }}\n  groups: {{ op: kmeans, in: own, clusters: 3 }}\n  scores: {{ op: metrics, in: {{ features: own, clusters: groups{truth} }} }}\nreport: {{ table: [{{ row: own, scores: scores }}] }}\n"
        )
    };
    for file in ["latent.parquet", "latent.csv", "latent.npy"] {
        let said = study.engine(&["export", "latest", "pca.latent", "--to", file]);
        assert_eq!(said.code, 0, "{}", said.stderr);
    }
    let mut study = study.pipeline(&own("latent.parquet", ""));
    assert_eq!(study.ran(), ["own", "scores"], "these very numbers were clustered before");
    let results = study.read("runs/own/latest/results.csv");
    assert!(results.contains("silhouette") && !results.contains(",ari,"), "{results}");
    study.edit("latent.parquet", "latent.csv");
    assert_eq!(study.ran(), ["own"], "the same numbers");
    assert_eq!(study.read("runs/own/latest/results.csv"), results);
    study.edit("latent.csv", "latent.npy");
    study.ran();
    assert_eq!(study.read("runs/own/latest/results.csv"), results);
    let report = study.read("runs/own/latest/report.md");
    assert!(report.contains("No labels were given"), "{report}");
}
