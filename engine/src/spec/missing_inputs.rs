//! Reports inputs that a step lacks.

use super::{
    context::Context,
    link::{Link, fitting, kinds},
    steps::Draft,
};
use crate::ui::diagnostic::{Diagnostic, listed, quote};
use ops::Port;

/// Reports a port that takes several inputs and has only one.
pub fn few_inputs(cx: &mut Context, drafts: &[Draft], draft: &Draft, links: &[Link]) {
    for port in draft.inputs().iter().filter(|port| port.variadic) {
        let mut own = links.iter().filter(|link| link.input.is_some_and(|it| it.name == port.name));
        let (Some(link), None) = (own.next(), own.next()) else { continue };
        // The fault of this link is reported already.
        if link.output.is_none() {
            continue;
        }
        let message = format!(
            "{} of step {} takes two steps or more, and this is one",
            quote(port.name),
            quote(&draft.base)
        );
        let error = Diagnostic::error("spec::input", message).at(&link.node, "one step");
        let base = drafts[link.step].base.split('@').next().unwrap_or_default();
        let help = match drafts[link.step].base.contains('@') && link.label.is_none() {
            true => format!("write `{}: {base}@*` for all instances of {}", port.name, quote(base)),
            false => format!("write `{}: {{ {base}: {base}, LABEL: STEP }}`", port.name),
        };
        cx.push(error.help(help));
    }
}

/// Reports required inputs that are not connected.
pub fn missing_inputs(cx: &mut Context, drafts: &[Draft], draft: &Draft) {
    let ports = draft.inputs();
    let Some(entry) = draft.entry.filter(|_| draft.reads_whole) else { return };
    let given = |port: &Port| {
        draft.reads.iter().any(|read| read.port.is_some_and(|read| read.name == port.name))
    };
    let missing: Vec<&Port> = ports.iter().filter(|port| !port.optional && !given(port)).collect();
    if missing.is_empty() {
        return;
    }
    let names: Vec<&str> = missing.iter().map(|port| port.name).collect();
    let needed: Vec<String> = missing
        .iter()
        .map(|port| format!("`{}` ({}): {}", port.name, kinds(port.kinds), port.doc))
        .collect();
    let explains = cx.explains();
    let example = |port: &Port| {
        let fitting = if explains { fitting(drafts, draft, port.kinds) } else { Vec::new() };
        fitting.last().cloned().unwrap_or_else(|| "STEP".to_owned())
    };
    let mut required = ports.iter().filter(|port| !port.optional);
    let only = match (required.next(), required.next()) {
        // A bare step goes to the first port.
        (Some(port), None) if port.name == ports[0].name => Some(port),
        _ => None,
    };
    let help = if let Some(port) = only.filter(|_| draft.reads.is_empty()) {
        format!("add `in: {}`", example(port))
    } else {
        let required = ports.iter().filter(|port| !port.optional);
        let entries: Vec<String> = required
            .map(|port| {
                let read = draft
                    .reads
                    .iter()
                    .find(|it| it.port.is_some_and(|given| given.name == port.name));
                let reference = read.map_or_else(|| example(port), |read| read.reference.clone());
                format!("{}: {reference}", port.name)
            })
            .collect();
        format!("write `in: {{ {} }}`", entries.join(", "))
    };
    let message = format!("step {} lacks the input {}", quote(&draft.base), listed(&names, "and"));
    cx.push(
        Diagnostic::error("spec::missing_input", message)
            .at_key(&draft.key, format!("`{}` reads {}", entry.name, needed.join("; ")))
            .help(help),
    );
}
