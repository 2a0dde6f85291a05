//! The JSON schema beside the pipelines takes what the engine takes and refuses what is built wrongly.

use jsonschema::Validator;
use serde_json::Value as Json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Pipelines of `bad/` that are whole YAML but built in a way no pipeline is.
const BUILT_WRONGLY: &[&str] = &[
    "empty",
    "figure_entry",
    "figure_list",
    "figure_role",
    "figure_setting",
    "figure_unknown",
    "for_list",
    "input_to_source",
    "no_op",
    "no_steps",
    "not_a_map",
    "op_as_text",
    "param_below",
    "param_enum",
    "param_missing",
    "param_text",
    "param_unknown",
    "param_zero",
    "report_metric",
    "section_misplaced",
    "section_unknown",
    "seeds",
    "seeds_none",
    "seeds_twice",
    "seeds_zero",
    "step_empty",
    "step_name",
    "steps_list",
    "sweep",
    "sweep_empty",
    "sweep_grid_empty",
    "sweep_random_missing",
    "sweep_scalar",
    "sweep_strategy_unknown",
    "sweep_text",
    "sweep_two_strategies",
    "unknown_op",
    "unknown_port",
];

fn below(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn schema() -> Validator {
    let text = fs::read_to_string(below("../pipelines/pipeline.schema.json")).expect("a schema");
    let schema: Json = serde_json::from_str(&text).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema that follows its standard")
}

fn pipeline(path: &Path) -> Json {
    let text = fs::read_to_string(path).expect("a pipeline");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn pipelines_fit_the_schema() {
    let schema = schema();
    for file in fs::read_dir(below("../pipelines")).expect("the pipelines") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            let pipeline = pipeline(&path);
            let diagnostics: Vec<_> =
                schema.iter_errors(&pipeline).map(|it| it.to_string()).collect();
            assert!(diagnostics.is_empty(), "{}: {diagnostics:?}", path.display());
        }
    }
}

#[test]
fn what_is_built_wrongly_does_not() {
    let schema = schema();
    let fits = |name: &&&str| {
        let path = below(&format!("tests/bad/{name}.yaml"));
        schema.is_valid(&pipeline(&path))
    };
    let taken: Vec<_> = BUILT_WRONGLY.iter().filter(fits).collect();
    assert!(taken.is_empty(), "these fit the schema: {taken:?}");
}
