//! Reads steps: the op, its parameters, and its inputs.

use super::{
    context::Context,
    expand,
    expand_variants::{Axes, Instance},
    node::{Key, Node, Value},
    outline::STEP_KEYS,
    params, resources,
    settings::{device, retries, seed, timeout},
};
use crate::{
    model::Needs,
    model::Place,
    plan::scan,
    ui::{
        diagnostic::{Diagnostic, quote},
        suggest,
    },
};
use ops::{AnyOp, Entry, Port};
use std::collections::BTreeMap;

/// A step whose inputs are still only names.
pub struct Draft {
    /// The full name: `groups`, `groups@pca`, or `groups@pca{beta=2}` for one of several variants.
    pub name: String,
    /// The name without the variant.
    pub base: String,
    /// The name in the file.
    pub key: Key,
    /// The op, if one has the given name.
    pub entry: Option<&'static Entry>,
    /// The op with its parameters, if they fit.
    pub op: Option<Box<dyn AnyOp>>,
    /// The output ports; empty if they depend on parameters that are faulty.
    pub outputs: &'static [Port],
    /// True if it has further outputs that are not known, since the list of its files cannot be read.
    pub has_hidden_outputs: bool,
    /// The inputs.
    pub reads: Vec<StepInput>,
    /// True if all inputs could be read.
    pub reads_whole: bool,
    /// The step's own seed, if it has one.
    pub seed: Option<u64>,
    /// The step's own device, if it has one.
    pub device: Option<String>,
    /// The number of further tries after a failure.
    pub retries: u32,
    /// The seconds after which the step is stopped.
    pub timeout: Option<f64>,
    /// The resources that the step takes while it runs.
    pub needs: Needs,
    /// The places of the values of its parameters.
    pub param_places: BTreeMap<String, Place>,
    /// The axes of the sweep that the step depends on.
    pub axes: Axes,
    /// The study's seed of the step.
    pub study_seed: u64,
    /// The steps that its inputs refer to, by their names within the variant.
    pub sources: Vec<(String, usize)>,
    /// True if the step waits for itself, in which case `sources` is not complete.
    pub circular: bool,
}

impl Draft {
    /// The input ports; empty if they depend on parameters that are faulty.
    pub fn inputs(&self) -> &'static [Port] {
        inputs(self.entry, self.op.as_deref())
    }

    /// True if the ports are known.
    pub fn has_ports(&self) -> bool {
        self.op.is_some() || self.entry.is_some_and(|entry| !entry.open)
    }
}

fn inputs(entry: Option<&'static Entry>, op: Option<&dyn AnyOp>) -> &'static [Port] {
    op.map_or(entry.map_or(&[], |entry| entry.inputs), |op| op.inputs())
}

/// The output ports, and true if there are further ones that are not known.
fn outputs(entry: Option<&'static Entry>, op: Option<&dyn AnyOp>) -> (&'static [Port], bool) {
    let Some(op) = op else { return (entry.map_or(&[], |entry| entry.outputs), false) };
    match scan::listed_columns(&op.sources()) {
        None => (op.outputs(), false),
        Some(None) => (op.outputs(), true),
        Some(Some(columns)) => (op.outputs_with(&columns), false),
    }
}

/// One input of a step.
pub struct StepInput {
    /// The input port; none if the op is not known, or if the port is faulty.
    pub port: Option<&'static Port>,
    /// The reference: `step`, `step@instance` or either with `.port`; `step@*` if the port takes
    /// several inputs.
    pub reference: String,
    /// The label of the input, if the port takes several.
    pub label: Option<Key>,
    /// The node in the file where the reference is written.
    pub node: Node,
}

/// Reads one step.
pub fn read(cx: &mut Context, table: &'static [Entry], instance: Instance) -> Draft {
    let Instance { name, base, key, fields, axes, seed: study_seed, sources, circular } = instance;
    let field = |name: &str| fields.iter().find(|(key, _)| key.name == name);
    let op_node = field("op").map(|(_, node)| node);
    let entry = find_op(cx, table, &key, field("op"), &fields);
    let given: Vec<&(Key, Node)> = fields.iter().filter(|(key, _)| !is_setting(key)).collect();
    let (op, mut param_places) = match (entry, op_node) {
        (Some(entry), Some(op)) => params::read(cx, entry, &key, op, &given),
        _ => (None, BTreeMap::new()),
    };
    if let Some((_, node)) = field("device") {
        param_places.insert("device".to_owned(), node.place(&node.span));
    }
    // The ports of an open op with faulty parameters are not known.
    let named = entry.filter(|entry| !entry.open || op.is_some());
    let ports = named.map(|entry| (entry, inputs(Some(entry), op.as_deref())));
    let before = cx.diagnostics.len();
    let reads = reads(cx, &base, &key, ports, field("in"));
    let (outputs, has_hidden_outputs) = outputs(entry, op.as_deref());
    let reads_whole =
        cx.diagnostics.len() == before && field("in").is_none_or(|(_, node)| !node.is_faulty());
    Draft {
        seed: field("seed").and_then(|(_, node)| seed(cx, node)),
        device: field("device").and_then(|(_, node)| device(cx, node)),
        retries: field("retries").and_then(|(_, node)| retries(cx, node)).unwrap_or(0),
        timeout: field("timeout").and_then(|(_, node)| timeout(cx, node)),
        needs: field("resources").map(|(_, node)| resources::read(cx, node)).unwrap_or_default(),
        name,
        base,
        key,
        entry,
        op,
        outputs,
        has_hidden_outputs,
        reads,
        reads_whole,
        param_places,
        axes,
        study_seed,
        sources,
        circular,
    }
}

fn is_setting(key: &Key) -> bool {
    STEP_KEYS.iter().any(|(setting, _)| *setting == key.name)
}

fn find_op(
    cx: &mut Context,
    table: &'static [Entry],
    step: &Key,
    field: Option<&(Key, Node)>,
    fields: &[(Key, Node)],
) -> Option<&'static Entry> {
    let names: Vec<&str> = table.iter().map(|entry| entry.name).collect();
    let Some((key, node)) = field else {
        let mut error =
            Diagnostic::error("spec::no_op", format!("step {} has no `op`", quote(&step.name)))
                .at_key(step, "what does this step do?");
        // The op may be written as `type: kmeans`, or `op` may be misspelt.
        let means_op = |(key, node): &&(Key, Node)| {
            !is_setting(key)
                && (suggest::closest(&key.name, ["op"]).is_some()
                    || node.text().is_some_and(|text| names.contains(&text)))
        };
        if let Some((key, _)) = fields.iter().find(means_op) {
            error = error.label(key.span.clone(), "should this be `op`?");
        }
        let near = suggest::closest(&step.name, names.iter().copied());
        cx.push(error.help(near.map_or_else(
            || "add `op: NAME`; `engine ops` lists the names".to_owned(),
            |near| format!("add `op: {near}`, or another of those that `engine ops` lists"),
        )));
        return None;
    };
    let name = match &node.value {
        Value::Faulty => return None,
        Value::Text(name) => name,
        _ => {
            let error = Diagnostic::error("spec::no_op", "`op` must be the name of an op");
            let remark = format!("this is {}", node.describe());
            let error = if node.span.is_empty() {
                error.at_key(key, remark)
            } else {
                error.at(node, remark)
            };
            cx.push(error.help("`engine ops` lists the names"));
            return None;
        }
    };
    let entry = table.iter().find(|entry| entry.name == name);
    if entry.is_none() {
        let near = suggest::closest(name, names.iter().copied());
        cx.push(
            Diagnostic::error("spec::unknown_op", format!("there is no op {}", quote(name)))
                .at(node, "unknown")
                .help(near.map_or_else(
                    || "`engine ops` lists all ops".to_owned(),
                    |near| format!("did you mean {}?", quote(near)),
                )),
        );
    }
    entry
}

fn reads(
    cx: &mut Context,
    name: &str,
    step: &Key,
    ports: Option<(&'static Entry, &'static [Port])>,
    field: Option<&(Key, Node)>,
) -> Vec<StepInput> {
    let Some((key, node)) = field else { return Vec::new() };
    if let Some((entry, [])) = ports {
        let help = match entry.open {
            true => "name the input where it is used: `{in.NAME}`",
            false => "remove `in`: this op brings data into the pipeline",
        };
        cx.push(
            Diagnostic::error("spec::no_input", format!("`{}` reads no step", entry.name))
                .at_key(key, "so it takes no `in`")
                .help(help),
        );
        return Vec::new();
    }
    let wrong = |error: Diagnostic| {
        let example = ports.map_or("STEP", |(_, ports)| ports[0].name);
        error.help(format!("write `in: STEP`, or name the ports: `in: {{ {example}: STEP }}`"))
    };
    match &node.value {
        Value::Faulty => Vec::new(),
        Value::Text(text) if !text.is_empty() => vec![StepInput {
            port: ports.map(|(_, ports)| &ports[0]),
            reference: text.clone(),
            label: None,
            node: node.clone(),
        }],
        Value::Map(entries) if !entries.is_empty() => {
            let mut reads = Vec::new();
            for (key, node) in entries {
                let port = ports.and_then(|ports| find_port(cx, name, ports, key));
                match &node.value {
                    Value::Faulty => {}
                    Value::Text(text) if !text.is_empty() => {
                        let (reference, node) = (text.clone(), node.clone());
                        reads.push(StepInput { port, reference, label: None, node });
                    }
                    Value::Map(labels) if port.is_some_and(|port| port.variadic) => {
                        reads.extend(labelled(cx, port, labels));
                    }
                    _ if port.is_some_and(|port| port.variadic) => {
                        cx.push(several(key, node));
                    }
                    _ => {
                        let message = format!("{} must be the name of a step", quote(&key.name));
                        let remark = format!("this is {}", node.describe());
                        let error = Diagnostic::error("spec::input", message);
                        cx.push(if node.span.is_empty() {
                            error.at_key(key, "this has no value")
                        } else {
                            error.at(node, remark)
                        });
                    }
                }
            }
            reads
        }
        Value::List(_) if ports.is_some_and(|(_, ports)| ports[0].variadic) => {
            cx.push(several(key, node));
            Vec::new()
        }
        Value::List(_) => {
            let message = format!("`in` of {} must be one step or a map", quote(&step.name));
            cx.push(wrong(
                Diagnostic::error("spec::input", message)
                    .at(node, "a list does not say which is which"),
            ));
            Vec::new()
        }
        _ => {
            let message = format!("`in` of {} must be the name of a step", quote(&step.name));
            let remark = format!("this is {}", node.describe());
            cx.push(wrong(Diagnostic::error("spec::input", message).at_key(key, remark)));
            Vec::new()
        }
    }
}

/// Reads the inputs of a port under the labels of the author.
fn labelled(
    cx: &mut Context,
    port: Option<&'static Port>,
    labels: &[(Key, Node)],
) -> Vec<StepInput> {
    let mut reads = Vec::new();
    for (key, node) in labels {
        if !expand::fits_a_name(&key.name) {
            let message = format!("{} cannot be a label", quote(&key.name));
            let error =
                Diagnostic::error("spec::input", message).at_key(key, "names rows of the result");
            cx.push(error.help("a label is a word of letters, digits, `_`, `-`, `.`"));
        } else if let Some(text) = node.text().filter(|text| !text.is_empty()) {
            let (reference, label) = (text.to_owned(), Some(key.clone()));
            reads.push(StepInput { port, reference, label, node: node.clone() });
        } else if !node.is_faulty() {
            let message = format!("{} must be the name of a step", quote(&key.name));
            let remark = format!("this is {}", node.describe_or_empty());
            cx.push(Diagnostic::error("spec::input", message).at_key(key, remark));
        }
    }
    reads
}

/// A diagnostic: the port takes several steps, and how they are written.
fn several(key: &Key, node: &Node) -> Diagnostic {
    let message = format!("{} takes several steps, each under a label", quote(&key.name));
    let remark = format!("this is {}", node.describe_or_empty());
    Diagnostic::error("spec::input", message).at_key(key, remark).help(format!(
        "write `{0}: STEP@*` for all instances of a `for`, or `{0}: {{ LABEL: STEP, LABEL: STEP }}`",
        key.name
    ))
}

fn find_port(
    cx: &mut Context,
    step: &str,
    (entry, ports): (&Entry, &'static [Port]),
    key: &Key,
) -> Option<&'static Port> {
    let port = ports.iter().find(|port| port.name == key.name);
    if port.is_none() {
        let names: Vec<&str> = ports.iter().map(|port| port.name).collect();
        let message = format!("`{}` has no input port {}", entry.name, quote(&key.name));
        let remark = format!("unknown to step {}", quote(step));
        cx.push(
            Diagnostic::error("spec::unknown_port", message)
                .at_key(key, remark)
                .maybe_help(suggest::help(&key.name, &names, "its input ports are")),
        );
    }
    port
}
