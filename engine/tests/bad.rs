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
    insta::glob!("bad/*.yaml", |path: &Path| {
        let text = std::fs::read_to_string(path).expect("a readable file");
        let name = PathBuf::from(path.file_name().expect("a file name"));
        let said = said(&name.to_string_lossy(), text);
        assert!(said.contains("::"), "nothing was found in {}", path.display());
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(said);
        });
    });
}
