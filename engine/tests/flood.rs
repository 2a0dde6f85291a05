//! Pipelines with thousands of faults: some are shown, the others counted, in little time.

use engine::{spec, ui::diagnostic::Diagnostics};
use std::path::Path;

const STEPS: usize = 20_000;

fn diagnostics(step: impl Fn(usize) -> String) -> Diagnostics {
    let mut text = "steps:\n  clips: { op: synth }\n  mel: { op: log_mel, in: clips }\n".to_owned();
    (0..STEPS).for_each(|at| text.push_str(&format!("  s{at}: {}\n", step(at))));
    spec::load(Path::new("flood.yaml"), text, &[]).err().expect("faults")
}

/// Every step is at fault, and little is said of most of them.
fn is_flooded(step: impl Fn(usize) -> String) {
    let diagnostics = diagnostics(step);
    assert!(diagnostics.errors() >= STEPS, "{} errors", diagnostics.errors());
    let text = diagnostics.to_string();
    let shown = text.matches("flood.yaml:").count();
    assert!((50..200).contains(&shown), "{shown} faults are shown");
    let rest = text.lines().last().expect("a line");
    let (errors, name) =
        rest.strip_prefix("and ").and_then(|it| it.split_once(" more ")).expect("more");
    let hidden: usize = errors.parse().expect("a number");
    assert!(hidden >= STEPS - 50 && name.starts_with("errors"), "{rest}");
}

#[test]
fn thousands_of_unknown_ops() {
    is_flooded(|at| format!("{{ op: log_mell{at}, in: clips }}"));
}

#[test]
fn thousands_of_unknown_parameters() {
    is_flooded(|at| format!("{{ op: log_mel, in: clips, n_melz{at}: 3 }}"));
}

#[test]
fn thousands_of_unknown_steps() {
    is_flooded(|at| format!("{{ op: log_mel, in: step_{at} }}"));
}

#[test]
fn thousands_of_unknown_ports() {
    is_flooded(|at| format!("{{ op: log_mel, in: clips.port{at} }}"));
}

#[test]
fn thousands_of_steps_without_an_input() {
    is_flooded(|_| "{ op: pca, components: 2 }".to_owned());
}

#[test]
fn thousands_of_steps_that_read_another_kind() {
    is_flooded(|_| "{ op: pca, components: 2, in: clips }".to_owned());
}

#[test]
fn thousands_of_unknown_variables() {
    is_flooded(|at| format!("{{ op: pca, in: \"${{n{at}}}\" }}"));
}

#[test]
fn thousands_of_values_that_do_not_fit() {
    is_flooded(|_| "{ op: pca, components: many, in: mel }".to_owned());
}

#[test]
fn thousands_of_steps_in_circles() {
    let diagnostics = diagnostics(|at| {
        let next = if at % 2 == 0 { at + 1 } else { at - 1 };
        format!("{{ op: normalize, in: s{next} }}")
    });
    assert_eq!(diagnostics.errors(), STEPS / 2);
    let circle = |at: usize| format!("{{ op: normalize, in: s{} }}", (at + 1) % STEPS);
    let diagnostics = self::diagnostics(circle);
    assert_eq!(diagnostics.errors(), 1);
    assert!(diagnostics.to_string().len() < 10_000, "{} bytes", diagnostics.to_string().len());
}
