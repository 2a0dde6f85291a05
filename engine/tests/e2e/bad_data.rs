//! Data that cannot be used: one clear message each, and nothing half-written.

use crate::{
    study::Study,
    tones::{self, fill, float_wav, tone, wav},
};
use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
};

/// Runs a study that cannot succeed; what it says is compared with the snapshot of that name.
fn refused(name: &str, study: &Study) {
    refused_with(name, study, &[]);
}

fn refused_with(name: &str, study: &Study, arguments: &[&str]) {
    let said = study.run_with(arguments);
    assert_eq!(said.code, 2, "{name}: {}", said.stderr);
    assert!(!said.stderr.contains("panicked"), "{name}: {}", said.stderr);
    let error = said.stderr.find("run::").unwrap_or(0);
    let shown = &said.stderr[said.stderr[..error].rfind('\n').map_or(0, |end| end + 1)..];
    insta::assert_snapshot!(name, shown);
}

#[test]
fn no_recordings() {
    let study = Study::new();
    refused("missing_folder", &study);
    fs::create_dir(study.path("data")).expect("a folder");
    refused("empty_folder", &study);
    study.write("data/bell/notes.txt", "no sound");
    study.write("data/bell/.hidden.wav", wav(&tone(0, 0)));
    refused("no_audio", &study);
    assert_eq!(study.objects().len(), 0);
    study.write("data/alone.wav", wav(&tone(0, 0)));
    refused("no_label", &study);
    let study = Study::new();
    study.write("data", "a file");
    refused("file_for_a_folder", &study);
}

#[test]
fn too_few() {
    let study = Study::new();
    study.write("data/bell/a.wav", wav(&tone(0, 0)));
    refused("one_clip", &study);
    study.write("data/bell/b.wav", wav(&tone(0, 1)));
    refused("one_class", &study);
    study.write("data/drone/a.wav", wav(&tone(1, 0)));
    study.write("data/drone/b.wav", wav(&tone(1, 1)));
    refused_with("fewer_clips_than_clusters", &study, &["--set", "clusters=5"]);
    refused_with("fewer_clips_than_components", &study, &["--set", "pca.components=5"]);
    refused_with("more_components_than_numbers", &study, &["--set", "pca.components=5000"]);
}

#[test]
fn broken_recordings() {
    let good = wav(&tone(0, 0));
    let with = |at: usize, value: f32| {
        let mut samples = tone(0, 0);
        samples[at] = value;
        float_wav(&samples)
    };
    let mut lying = good.clone();
    lying[40..44].copy_from_slice(&1_000_000_u32.to_le_bytes());
    let mut many_channels = good.clone();
    many_channels[22..24].copy_from_slice(&0_u16.to_le_bytes());
    let cases = [
        ("truncated", good[..good.len() / 2].to_vec()),
        ("cut_in_the_header", good[..30].to_vec()),
        ("lying_header", lying),
        ("no_channels", many_channels),
        ("no_bytes", Vec::new()),
        ("no_frames", wav(&[])),
        ("one_sample", wav(&[0.5])),
        ("silent", wav(&[0.0; 2000])),
        ("nan", with(17, f32::NAN)),
        ("infinite", with(17, f32::INFINITY)),
        ("text", b"this is no sound at all\n".to_vec()),
        ("page", b"<html><body>404 Not Found</body></html>".to_vec()),
    ];
    let all = tones::three();
    for (name, bytes) in cases {
        let study = tones::three();
        study.write(&format!("data/bell/{name}.wav"), &bytes);
        all.write(&format!("data/bell/{name}.wav"), &bytes);
        refused(name, &study);
        assert_eq!(study.objects().len(), 0, "{name}: half-written");
    }
    refused("all_of_them", &all);
}

#[test]
fn what_is_skipped_is_listed() {
    let mut study = tones::three();
    study.edit("path: \"${data}\"", "path: \"${data}\", on_error: skip");
    study.write("data/bell/silent.wav", wav(&[0.0; 2000]));
    study.write("data/bell/|odd`<b>name.wav", "text");
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let report = study.read("runs/small/latest/report.md");
    let at = report.find("## Files left out").unwrap_or_else(|| panic!("{report}"));
    insta::assert_snapshot!("skipped", &report[at..report.find("## Steps").expect("steps")]);
    study.edit("on_error: skip", "on_error: skip, allow_silent: true");
    let said = study.run();
    assert_eq!(study.record(&said).steps[0].shapes["skipped"].to_string(), "skipped 1");
    let none =
        Study::new().pipeline(&crate::study::SMALL.replace("\"${data}\"", "data, on_error: skip"));
    none.write("data/bell/a.wav", "text");
    none.write("data/drone/b.wav", "text");
    refused("all_skipped", &none);
}

#[test]
fn silence_that_is_allowed_is_an_ordinary_clip() {
    let mut study = tones::three();
    study.edit("path: \"${data}\"", "path: \"${data}\", allow_silent: true");
    study.write("data/bell/silent.wav", wav(&[0.0; 2000]));
    study.write("data/drone/silent.wav", wav(&[0.0; 2000]));
    assert_eq!(study.ran().len(), 6);
}

#[test]
fn files_that_cannot_be_read() {
    let study = tones::three();
    symlink("nowhere.wav", study.path("data/bell/link.wav")).expect("a link");
    refused("dangling_link", &study);
    let study = tones::three();
    symlink("..", study.path("data/bell/loop")).expect("a link");
    refused("link_loop", &study);
    let study = tones::three();
    fs::write(study.path("data/bell").join(OsStr::from_bytes(b"caf\xe9.wav")), wav(&tone(0, 0)))
        .expect("a file");
    refused("name_not_utf8", &study);
    let study = tones::three();
    fs::set_permissions(study.path("data/bell/00.wav"), fs::Permissions::from_mode(0o000))
        .expect("a mode");
    // To root, everything is readable.
    if fs::File::open(study.path("data/bell/00.wav")).is_err() {
        refused("unreadable", &study);
    }
    let study = tones::three();
    fs::create_dir(study.path("data/bell/folder.wav")).expect("a folder");
    assert_eq!(study.ran().len(), 6, "a folder is no recording, whatever its name");
}

#[test]
fn faulty_manifests() {
    let study = tones::three();
    study.write("pipe.fifo", "");
    let list = Study::new().pipeline(
        &crate::study::SMALL.replace("audio_folder, path: \"${data}\"", "manifest, path: list.csv"),
    );
    fill(&list, 4);
    refused("manifest_missing", &list);
    for (name, text) in [
        ("manifest_empty", ""),
        ("manifest_header_only", "path,label\n"),
        ("manifest_no_label", "path,class\ndata/bell/00.wav,bell\n"),
        (
            "manifest_twice",
            "path,label\ndata/bell/00.wav,bell\ndata/drone/00.wav,drone\n./data/bell/00.wav,bell\n",
        ),
        (
            "manifest_unknown_file",
            "path,label\ndata/bell/00.wav,bell\ndata/bell/99.wav,bell\ndata/drone/00.wav,drone\n",
        ),
        ("manifest_short_line", "path,label\ndata/bell/00.wav,bell\ndata/drone/00.wav\n"),
        ("manifest_semicolons", "path;label\ndata/bell/00.wav;bell\n"),
    ] {
        list.write("list.csv", text);
        refused(name, &list);
    }
    list.write("list.csv", "path,label\ndata/bell/00.wav,bell\ndata/drone/../bell/00.wav,bell\n");
    let said = list.run();
    assert!(said.stderr.contains("line 3 lists `data/drone/../bell/00.wav`"), "{}", said.stderr);
    list.write("list.csv", b"path,label\ncaf\xe9.wav,bell\n");
    refused("manifest_not_utf8", &list);
}

#[test]
fn a_missing_data_set_says_how_to_get_it() {
    let study = Study::new().pipeline(&crate::study::SMALL.replace("audio_folder", "irmas"));
    refused("irmas_missing", &study);
    fill(&study, 4);
    refused("irmas_other_names", &study);
    fs::remove_dir_all(study.path("data")).expect("a folder");
    study.write("data", "PK\x03\x04 no archive");
    refused("irmas_no_archive", &study);
}

#[test]
fn a_matrix_without_what_is_asked_of_it() {
    let study = Study::new().pipeline(
        "name: own\nsteps:\n  own: { op: matrix, path: own.csv }\n  groups: { op: kmeans, in: own, clusters: 2 }\n  scores: { op: metrics, in: { features: own, clusters: groups, truth: own.labels } }\n",
    );
    refused("matrix_missing", &study);
    study.write("own.csv", "a,b\n1,2\n1,3\n5,6\n6,6\n");
    refused("matrix_no_labels", &study);
    study.write("own.csv", "a,b,label\n1,2,x\n1,three,x\n5,6,y\n6,6,y\n");
    refused("matrix_text", &study);
    study.write("own.csv", "a,b,label\n1,2,x\n1,NaN,x\n5,6,y\n6,6,y\n");
    refused("matrix_nan", &study);
    study.write("own.csv", "");
    refused("matrix_empty", &study);
    study.write("own.csv", "a,b,label\n1,2,x\n1,3,x\n5,6,y\n6,6,y\n");
    assert_eq!(study.ran(), ["own", "scores"]);
}

/// A warning about what a table leaves out is on the terminal, in the report, and again with a hit.
#[test]
fn what_a_table_leaves_out_is_said() {
    let study = Study::new().pipeline(
        "name: own\nsteps:\n  own: { op: matrix, path: own.csv }\n  groups: { op: kmeans, in: own, clusters: 2 }\n  scores: { op: metrics, in: { features: own, clusters: groups, truth: own.labels } }\nreport: { table: [{ row: own, scores: scores }] }\n",
    );
    study.write("own.csv", ",a,b,Label\n0,1,2,x\n1,1,3,\n2,5,6,y\n3,6,6,y\n");
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(
        said.stderr.contains("warning: own.labels: 1 of 4 clips have no label"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("the column `Label` is taken as `label`"), "{}", said.stderr);
    for _ in 0..2 {
        let report = study.read("runs/own/latest/report.md");
        assert!(report.contains("1 of 4 clips have no label"), "{report}");
        assert!(report.contains("an index of pandas, not a feature"), "{report}");
        let results = study.read("runs/own/latest/results.csv");
        assert!(results.contains("n_classes,2"), "{results}");
        assert_eq!(study.run().code, 0);
    }
}

/// Parquet that a library cannot read without a panic is one clear error.
#[test]
fn damaged_parquet_is_an_error_without_a_panic() {
    let study =
        Study::new().pipeline("name: own\nsteps:\n  own: { op: matrix, path: own.parquet }\n");
    let damaged =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/tests/fixtures/tables/thrift.parquet");
    study.write("own.parquet", fs::read(damaged).expect("a fixture"));
    refused("parquet_damaged", &study);
    let ragged =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/tests/fixtures/tables/ragged.parquet");
    study.write("own.parquet", fs::read(ragged).expect("a fixture"));
    refused("parquet_ragged", &study);
}
