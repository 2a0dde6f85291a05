//! Records that somebody has edited: whatever they say, no command panics.

use crate::{study::Study, tones};
use engine::record::{self, runs};
use serde_json::{Value, json};
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

/// A study with a table, a sweep and figures.
fn study() -> Study {
    let mut study = tones::three();
    study.edit("name: small", "name: small\nseeds: 2\nsweep: { grid: { pca.components: [2, 3] } }");
    study.edit(
        "    - { row: PCA + K-Means, scores: scores }\n",
        "    - { row: PCA + K-Means, scores: scores }\n  figures:\n    - { figure: scatter, of: pca, color: clips.labels }\n",
    );
    study
}

/// Other values that may stand in place of one.
fn others() -> Vec<Value> {
    let long = "x".repeat(300);
    vec![
        json!(""),
        json!("\u{1b}]52;c;AA\u{7}\u{202e}"),
        json!(long),
        json!(null),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1e308),
        json!(-1e-308),
        json!([]),
        json!({}),
        json!([[], {}, ""]),
        json!({ "": "" }),
        json!("0".repeat(64)),
        json!("a.b.c@d"),
        json!(0),
    ]
}

/// Every place of a value, outermost first.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate().take(3) {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
}

/// A record with one value replaced, or with its field taken out.
fn edited(record: &Value, place: &str, other: Option<&Value>) -> Value {
    let mut record = record.clone();
    match (other, place.rsplit_once('/')) {
        (Some(other), _) => *record.pointer_mut(place).expect("a place") = other.clone(),
        (None, Some((parent, name))) => match record.pointer_mut(parent).expect("a place") {
            Value::Object(fields) => drop(fields.remove(name)),
            Value::Array(values) => drop(values.pop()),
            _ => {}
        },
        (None, None) => {}
    }
    record
}

/// Reads and renders a record as `report` and `show` do.
fn use_record(folder: &Path, store: &cache::Store) {
    let Ok(record) = runs::read(folder) else { return };
    let _ = reports::render(&record, record::table(&record, store), store, folder);
    let _ = serde_json::to_value(&record).expect("what was read can be written");
}

#[test]
fn an_edited_record_never_panics() {
    let study = study();
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let source = study.path(said.stdout.trim()).with_file_name("record.json");
    let record: Value =
        serde_json::from_slice(&fs::read(&source).expect("a record")).expect("JSON");
    let mut all = Vec::new();
    places(&record, "", &mut all);
    assert!(all.len() > 100, "{} places", all.len());
    let folder = study.path("runs/small/2026-01-01-000000-000");
    fs::create_dir_all(&folder).expect("a folder");
    let store = cache::Store::open_existing(&study.path(".engine")).expect("a store");
    let others = others();
    for (number, place) in all.iter().enumerate() {
        // Each place gets some of the values, all values come to some places.
        let some = (0..4).map(|step| Some(&others[(number * 5 + step * 7) % others.len()]));
        for (which, other) in some.chain([None]).enumerate() {
            let text = edited(&record, place, other).to_string();
            fs::write(folder.join("record.json"), &text).expect("a record");
            let used = catch_unwind(AssertUnwindSafe(|| use_record(&folder, &store)));
            assert!(used.is_ok(), "`{place}` became {other:?}");
            if (number + which) % 29 > 0 {
                continue;
            }
            let id = "2026-01-01-000000-000";
            for arguments in [
                &["show", id][..],
                &["why", id, "r1.ari"],
                &["report", id],
                &["diff", id, "small"],
                &["diff", "small", id],
                &["export", id, "pca", "--to", "a.csv"],
                &["runs"],
                &["cache", "gc", "--dry-run"],
            ] {
                let said = study.engine(arguments);
                let is_clean = (0..=2).contains(&said.code) && !said.stderr.contains("panicked");
                assert!(is_clean, "`{place}` became {other:?}: {arguments:?}: {}", said.stderr);
            }
        }
    }
}

#[test]
fn a_figure_without_a_kind_is_a_sentence() {
    let study = study();
    let said = study.run();
    let path = study.path(said.stdout.trim()).with_file_name("record.json");
    let mut record: Value =
        serde_json::from_slice(&fs::read(&path).expect("a record")).expect("JSON");
    record["figures"][0]["figure"] = json!("");
    record["figures"][0]["title"] = json!(null);
    fs::write(&path, record.to_string()).expect("a record");
    let said = study.engine(&["report"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let report = study.read("runs/small/latest/report.md");
    assert!(report.contains("there is no kind of figure"), "{report}");
}
