//! The reference of ops, made from the documentation of each op.

use crate::{
    spec::param_schema::Schema,
    ui::fold::{self, paragraph},
};
use ops::{Entry, Port};
use serde_json::Value as Json;

/// Lists every op on a line: its name, its ports, and a summary.
pub fn list() -> String {
    list_of(ops::OPS)
}

/// The same list for another table of ops.
pub fn list_of(table: &[Entry]) -> String {
    let longest = table.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let (mut out, width) = (String::new(), fold::width());
    for entry in table {
        let (inputs, outputs) = (names(entry.inputs), names(entry.outputs));
        let flow = if entry.open {
            "ports as its parameters name them".to_owned()
        } else if inputs.is_empty() {
            outputs
        } else {
            format!("{inputs} -> {outputs}")
        };
        let summary = summary(entry.schema());
        out.push_str(&paragraph(&format!("{:longest$}  ", entry.name), &summary, width));
        out.push_str(&paragraph(&format!("{:longest$}  ", ""), &flow, width));
    }
    out.push_str("\n`engine ops NAME` describes one of them.\n");
    out
}

fn names(ports: &[Port]) -> String {
    let mark = |port: &Port| if port.optional { "?" } else { "" };
    let names: Vec<String> =
        ports.iter().map(|port| format!("{}{}", port.name, mark(port))).collect();
    names.join(", ")
}

/// The first sentence of an op's documentation.
pub fn summary(schema: &Json) -> String {
    let doc = Schema::new(schema).doc().unwrap_or_default();
    let end = doc.find(". ").map_or(doc.len(), |at| at + 1);
    doc[..end].to_owned()
}

/// The page of one op: documentation, ports, parameters and an example.
pub fn page(entry: &Entry) -> String {
    let root = entry.schema();
    let schema = Schema::new(root);
    let doc = root.get("description").and_then(Json::as_str).unwrap_or("(not documented)");
    let mut out = format!("{}\n\n{}", entry.name, fold_paragraphs(doc.trim()));
    if entry.open {
        out.push_str("\nInputs\n  as its parameters name them\n");
        out.push_str("\nOutputs\n  as its parameters name them\n");
    }
    ports(&mut out, "Inputs", entry.inputs);
    ports(&mut out, "Outputs", entry.outputs);
    out.push_str("\nParameters\n");
    let required = schema.required();
    for name in schema.properties() {
        let Some(property) = schema.property(name) else { continue };
        let default = match property.default_text() {
            Some(default) => format!("default {default}"),
            None if required.contains(&name) => "required".to_owned(),
            None => "optional".to_owned(),
        };
        let meaning = format!("{} ({default})", property.expected());
        out.push_str(&paragraph(&format!("  {name}: "), &meaning, fold::width()));
        if let Some(doc) = property.doc() {
            indented(&mut out, &doc);
        }
        for (choice, doc) in choices(&property) {
            indented(&mut out, &format!("{choice}: {doc}"));
        }
    }
    if schema.properties().is_empty() {
        out.push_str("  none\n");
    }
    out.push_str("\nIn a pipeline\n  ");
    out.push_str(&example(entry, &schema));
    out.push('\n');
    out
}

fn ports(out: &mut String, title: &str, ports: &[Port]) {
    if ports.is_empty() {
        return;
    }
    out.push_str(&format!("\n{title}\n"));
    for port in ports {
        let kinds: Vec<&str> = port.kinds.iter().map(|kind| kind.name()).collect();
        let optional = if port.optional { ", optional" } else { "" };
        let many = if port.variadic { ", two or more" } else { "" };
        out.push_str(&format!("  {} ({}{optional}{many})\n", port.name, kinds.join(" or ")));
        indented(out, port.doc);
    }
}

/// The documented choices of an enumeration, each with its documentation.
fn choices(schema: &Schema<'_>) -> Vec<(String, String)> {
    let options = schema.json().get("oneOf").and_then(Json::as_array);
    let one = |option: &Json| {
        let choice = option.get("const")?.as_str()?;
        let doc = option.get("description")?.as_str()?;
        Some((choice.to_owned(), doc.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    options.into_iter().flatten().filter_map(one).collect()
}

/// Folds each paragraph to the width. Lists keep their lines, and a block of code is shown indented, without its fences.
fn fold_paragraphs(doc: &str) -> String {
    let folded = doc.split("\n\n").map(|part| {
        if part.starts_with("```") {
            let code = part.lines().filter(|line| !line.starts_with("```"));
            return code.map(|line| format!("    {line}\n")).collect();
        }
        let kept = |line: &str| ["- ", "* ", "|", "  "].iter().any(|it| line.starts_with(it));
        let list = part.lines().any(kept);
        if list { format!("{part}\n") } else { paragraph("", part, fold::width()) }
    });
    folded.collect::<Vec<String>>().join("\n")
}

/// Appends a paragraph, indented below the line that it belongs to.
fn indented(out: &mut String, text: &str) {
    out.push_str(&paragraph("      ", text, fold::width()));
}

fn example_step(port: &Port) -> &'static str {
    if port.variadic { "STEP@*" } else { "STEP" }
}

/// An example step of this op, with its required inputs and parameters.
fn example(entry: &Entry, schema: &Schema<'_>) -> String {
    let needed: Vec<&Port> = entry.inputs.iter().filter(|port| !port.optional).collect();
    let mut fields = vec![format!("op: {}", entry.name)];
    match needed[..] {
        [] if entry.open => fields.push("in: { features: STEP }".to_owned()),
        [] => {}
        [_] if entry.inputs.first().is_some_and(|port| !port.optional) => {
            fields.push(format!("in: {}", example_step(needed[0])));
        }
        _ => {
            let ports: Vec<String> = needed
                .iter()
                .map(|port| format!("{}: {}", port.name, example_step(port)))
                .collect();
            fields.push(format!("in: {{ {} }}", ports.join(", ")));
        }
    }
    for name in schema.required() {
        let example = schema.property(name).map_or_else(|| "…".to_owned(), |it| it.example());
        fields.push(format!("{name}: {example}"));
    }
    format!("NAME: {{ {} }}", fields.join(", "))
}
