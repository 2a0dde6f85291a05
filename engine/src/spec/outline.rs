//! Splits a pipeline file into its sections.

use super::{
    context::Context,
    node::{Key, Node, Value},
};
use crate::ui::{
    diagnostic::{Diagnostic, quote},
    suggest,
};

/// The keys of a pipeline and their documentation.
pub const TOP_KEYS: &[(&str, &str)] = &[
    ("name", "Name of the study; its runs go into a folder of this name."),
    ("description", "The subject of the study, in a sentence or more."),
    (
        "include",
        "Files with further `vars` and `steps`: `[features.yaml]`, from the folder of this file. What this file gives itself \
         lies over it: a variable of the same name, or of a step of the same name the keys that are given here.",
    ),
    ("vars", "Variables, read as `${name}`; `--set NAME=VALUE` changes one."),
    ("seeds", "A list of seeds, or how many: `[0, 1, 2]` or `3`."),
    ("steps", "The steps, by name, with what each of them does."),
    ("sweep", "Parameters to vary: `{ grid: { vae.beta: [1, 4], vae.latent: [8, 16] } }`."),
    (
        "multiverse",
        "Choices that should not matter: `{ norm.scope: [global, per_bin], pca.components: [16, 32] }`. The table shows the \
         pipeline as it is written, and the report how far the other choices move it.",
    ),
    ("report", "The content of the report."),
];

/// The keys of a step that are not parameters of its op, and their documentation.
pub const STEP_KEYS: &[(&str, &str)] = &[
    ("op", "The op this step uses; `engine ops` lists them."),
    (
        "in",
        "What it reads: `step`, `step.port`, or a map of input ports to these, such as \
         `{ features: pca, truth: clips.labels }`.",
    ),
    ("for", "Makes one instance of the step for each value: `{ x: [pca, vae] }` gives `name@pca`."),
    ("seed", "The seed of everything random in this step, in place of the pipeline's."),
    ("device", "The device: `auto`, `cpu`, `cuda` or `cuda:N`."),
    ("retries", "The number of further tries when something outside fails."),
    ("timeout", "Seconds, or a text such as `30s`, `10m` or `2h`, after which it is stopped."),
    (
        "resources",
        "The resources that it takes while it runs: `{ threads: 2, memory: 4GB, gpu: 1 }`.",
    ),
];

/// The sections of a file, which are not read yet.
#[derive(Default)]
pub struct Outline {
    /// The section `name:`.
    pub name: Option<Node>,
    /// The section `description:`.
    pub description: Option<Node>,
    /// The section `vars:`.
    pub vars: Option<Node>,
    /// The section `seeds:`.
    pub seeds: Option<Node>,
    /// The section `steps:`, each step a map of fields.
    pub steps: Vec<(Key, Vec<(Key, Node)>)>,
    /// The section `sweep:`.
    pub sweep: Option<(Key, Node)>,
    /// The section `multiverse:`.
    pub multiverse: Option<(Key, Node)>,
    /// The section `report:`.
    pub report: Option<Node>,
}

/// Splits the tree into sections.
pub fn outline(cx: &mut Context, root: Node) -> Outline {
    let mut outline = Outline::default();
    let Value::Map(entries) = root.value else {
        cx.push(
            Diagnostic::error("spec::outline", "a pipeline is a map with `steps:` in it")
                .label(root.span.clone(), format!("this is {}", root.describe()))
                .help("see pipelines/quickstart.yaml for one that runs"),
        );
        return outline;
    };
    let mut steps = None;
    for (key, node) in entries {
        match key.name.as_str() {
            "name" => outline.name = Some(node),
            "description" => outline.description = Some(node),
            "vars" => outline.vars = Some(node),
            "seeds" => outline.seeds = Some(node),
            "report" => outline.report = Some(node),
            "steps" => steps = Some((key, node)),
            "sweep" => outline.sweep = Some((key, node)),
            "multiverse" => outline.multiverse = Some((key, node)),
            _ => unknown(cx, &key, &node),
        }
    }
    match steps {
        Some((key, node)) => outline.steps = read_steps(cx, &key, node),
        None => cx.push(
            Diagnostic::error("spec::no_steps", "the pipeline has no `steps`")
                .label(root.span.start..root.span.start, "")
                .help("add `steps:` with at least one step, such as `clips: { op: synth }`"),
        ),
    }
    outline
}

fn unknown(cx: &mut Context, key: &Key, node: &Node) {
    let known: Vec<&str> = TOP_KEYS.iter().map(|(name, _)| *name).collect();
    let message = format!("a pipeline has no section {}", quote(&key.name));
    let error = Diagnostic::error("spec::unknown_section", message).at_key(key, "unknown");
    let is_step = matches!(&node.value, Value::Map(fields)
        if fields.iter().any(|(key, _)| key.name == "op"));
    cx.push(if is_step {
        error.help("this looks like a step: indent it, so that it stands under `steps:`")
    } else {
        error.maybe_help(suggest::help(&key.name, &known, "the sections are"))
    });
}

fn read_steps(cx: &mut Context, key: &Key, node: Node) -> Vec<(Key, Vec<(Key, Node)>)> {
    let describe = node.describe();
    let entries = match node.value {
        Value::Map(entries) if !entries.is_empty() => entries,
        Value::Map(_) | Value::Null => {
            cx.push(
                Diagnostic::error("spec::no_steps", "`steps` is empty")
                    .at_key(key, "no step is given")
                    .help("add a step, such as `clips: { op: synth }`"),
            );
            return Vec::new();
        }
        _ => {
            cx.push(
                Diagnostic::error("spec::steps", "`steps` must be a map of names to steps")
                    .at_key(key, format!("this is {describe}"))
                    .help("write `pca: { op: pca, in: norm }`, without a `-` before the name"),
            );
            return Vec::new();
        }
    };
    let mut steps = Vec::new();
    for (name, node) in entries {
        if !is_step_name(&name.name) {
            cx.push(
                Diagnostic::error(
                    "spec::name",
                    format!("{} cannot be the name of a step", quote(&name.name)),
                )
                .at_key(&name, "letters, digits, `_` and `-` only, beginning with a letter"),
            );
        }
        let describe = node.describe();
        match node.value {
            Value::Map(fields) => steps.push((name, fields)),
            Value::Faulty => {}
            Value::Text(op) if !op.is_empty() => cx.push(
                Diagnostic::error(
                    "spec::step",
                    format!("step {} must be a map with `op` in it", quote(&name.name)),
                )
                .label(node.span, "this is a text")
                .help(format!("write `{}: {{ op: {op} }}`", name.name)),
            ),
            _ => cx.push(
                Diagnostic::error(
                    "spec::step",
                    format!("step {} must be a map with `op` in it", quote(&name.name)),
                )
                .at_key(&name, format!("this holds {describe}"))
                .help(format!(
                    "write `{0}: {{ op: … }}`; when its fields stand on the lines below, they are \
                     indented further than `{0}`",
                    name.name
                )),
            ),
        }
    }
    steps
}

/// True if a text may name a step.
fn is_step_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter))
}
