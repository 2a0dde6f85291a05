//! What a user reads when a pipeline is wrong: every file of `bad/`, with the full text shown.

use engine::{
    fault::{Look, render},
    spec::load_with,
};
use std::path::{Path, PathBuf};

/// The environment of the tests: the same on every machine.
fn environment(name: &str) -> Option<String> {
    (name == "EPOCHS").then(|| "many".to_owned())
}

/// What is said of a pipeline, and whether it could be run.
fn said(name: &str, text: String) -> String {
    match load_with(Path::new(name), text, &[], ops::OPS, environment) {
        Ok((pipeline, warnings)) => {
            let shown = render(&pipeline.source, &warnings, &Look::plain(80));
            format!("{shown}\n(can be run)")
        }
        Err(faults) => render(&faults.source, &faults.faults, &Look::plain(80)),
    }
}

#[test]
fn every_bad_pipeline_is_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let entries = std::fs::read_dir(&folder).expect("a folder of bad pipelines");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    assert!(files.len() >= 60, "{} bad pipelines", files.len());
    insta::with_settings!({
        snapshot_path => "bad", omit_expression => true, prepend_module_to_snapshot => false,
    }, {
        for path in files {
            let text = std::fs::read_to_string(&path).expect("a readable file");
            let name = path.file_name().expect("a file name").to_string_lossy();
            let said = said(&name, text);
            assert!(said.contains("::"), "nothing was found in {name}");
            insta::assert_snapshot!(name.trim_end_matches(".yaml"), said);
        }
    });
}
