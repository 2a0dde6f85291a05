//! The pipelines of this project, and the schema that editors read.

use engine::spec::load_with;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines"))
}

#[test]
fn every_pipeline_is_fine() {
    let mut count = 0;
    for file in std::fs::read_dir(folder()).expect("the folder of pipelines") {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a readable file");
        match load_with(&path, text, &[], ops::OPS, |_| None) {
            Ok((_, warnings)) => assert!(warnings.is_empty(), "{}: {warnings:?}", path.display()),
            Err(diagnostics) => panic!("{diagnostics}"),
        }
        count += 1;
    }
    assert!(count >= 3);
}

#[test]
fn the_schema_beside_the_pipelines_is_the_current_one() {
    let path = folder().join("pipeline.schema.json");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == engine::schema::text(),
        "write it anew: `engine schema > pipelines/pipeline.schema.json`"
    );
}
