//! Applies `--set NAME=VALUE`: changes of the tree from the command line.

use super::{
    context::Context,
    node::{Key, Node, Origin, Value},
    scalar, yaml,
};
use crate::{
    model::SourceText,
    ui::{
        diagnostic::{Diagnostic, quote},
        suggest,
    },
};
use std::{rc::Rc, str::FromStr, sync::Arc};

/// One option `--set NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The name of a variable, `step.parameter`, `seeds` or `sweep.grid.step.parameter`; with a
    /// leading `+` a variable is added.
    pub name: String,
    /// The value, as YAML on one line.
    pub value: String,
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or("write NAME=VALUE, such as `data=recordings` or `pca.components=16`")?;
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        if name.trim_start_matches('+').is_empty() {
            return Err("there is no name before the `=`".to_owned());
        }
        Ok(Self { name, value })
    }
}

/// Puts the values of the options into the tree.
pub fn apply(cx: &mut Context, root: &mut Node, overrides: &[Override]) {
    for change in overrides {
        let option = format!("{}={}", change.name, change.value);
        let name = change.name.trim_start_matches('+');
        let Some(value) = value_of(cx, &change.value, &option) else { continue };
        let add = change.name.starts_with('+');
        let done = match name.split_once('.') {
            Some(("sweep", rest)) if !names(root, "steps").iter().any(|step| step == "sweep") => {
                set_sweep(root, rest, value, &option)
            }
            Some((step, parameter)) => set_parameter(root, step, parameter, value, &option),
            None => set_variable(root, name, value, &option, add),
        };
        let done = done.and_then(|()| not_swept(root, name, &option));
        if let Err(error) = done {
            cx.push(error);
        }
    }
}

/// Parses a value. Lists, maps and quoted texts are YAML; anything else is one scalar, whatever it
/// contains.
fn value_of(cx: &mut Context, text: &str, option: &str) -> Option<Node> {
    let mut node = if text.starts_with(['[', '{', '"', '\'']) {
        let source = SourceText::new("--set".into(), text.to_owned());
        let mut inner = Context::new(Arc::new(source));
        let node = yaml::parse(&mut inner);
        for error in inner.diagnostics {
            let message = format!("{} in `--set {option}`", error.message);
            cx.push(Diagnostic { labels: Vec::new(), message, ..error });
        }
        node?
    } else {
        Node { raw: Some(text.into()), ..Node::new(scalar::resolve(text), 0..0) }
    };
    mark(&mut node, &Rc::new(Origin::Set(option.to_owned())));
    Some(node)
}

fn mark(node: &mut Node, origin: &Rc<Origin>) {
    node.origin = Some(origin.clone());
    node.span = 0..0;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| mark(item, origin)),
        Value::Map(entries) => entries.iter_mut().for_each(|(key, item)| {
            key.origin = Some(origin.clone());
            key.span = 0..0;
            mark(item, origin);
        }),
        _ => {}
    }
}

/// Gives all nodes of a tree from elsewhere a place in the file.
fn place(node: &mut Node, span: &crate::model::Span) {
    node.span = span.clone();
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| place(item, span)),
        Value::Map(entries) => entries.iter_mut().for_each(|(key, item)| {
            key.span = span.clone();
            place(item, span);
        }),
        _ => {}
    }
}

fn entries<'n>(root: &'n mut Node, section: &str) -> Option<&'n mut Vec<(Key, Node)>> {
    let Value::Map(top) = &mut root.value else { return None };
    let (_, node) = top.iter_mut().find(|(key, _)| key.name == section)?;
    match &mut node.value {
        Value::Map(entries) => Some(entries),
        _ => None,
    }
}

fn names(root: &mut Node, section: &str) -> Vec<String> {
    let found = entries(root, section).map(|entries| &*entries).map_or(&[][..], Vec::as_slice);
    found.iter().map(|(key, _)| key.name.clone()).collect()
}

/// Replaces the entry of this name, or adds one.
fn put(entries: &mut Vec<(Key, Node)>, name: &str, mut node: Node) {
    if let Some((_, old)) = entries.iter_mut().find(|(key, _)| key.name == name) {
        place(&mut node, &old.span.clone());
        *old = node;
    } else {
        let origin = node.origin.clone();
        entries.push((Key { name: name.to_owned(), span: 0..0, origin }, node));
    }
}

/// The map below a key, which is added if it does not exist.
fn map_at<'n>(
    entries: &'n mut Vec<(Key, Node)>,
    name: &str,
    origin: &Rc<Origin>,
) -> Option<&'n mut Vec<(Key, Node)>> {
    if !entries.iter().any(|(key, _)| key.name == name) {
        let mut node = Node::new(Value::Map(Vec::new()), 0..0);
        node.origin = Some(origin.clone());
        put(entries, name, node);
    }
    let (_, node) = entries.iter_mut().find(|(key, _)| key.name == name)?;
    match &mut node.value {
        Value::Map(entries) => Some(entries),
        _ => None,
    }
}

/// Sets `sweep.grid.vae.beta=[1, 4]`, or one entry of a sweep such as `sweep.list=[…]`.
fn set_sweep(root: &mut Node, path: &str, value: Node, option: &str) -> Result<(), Diagnostic> {
    let origin = Rc::new(Origin::Set(option.to_owned()));
    let Value::Map(top) = &mut root.value else { return Ok(()) };
    // A sweep that is not a map has a fault of its own, which is reported later.
    let Some(sweep) = map_at(top, "sweep", &origin) else { return Ok(()) };
    match path.split_once('.') {
        None => put(sweep, path, value),
        Some((entry, axis)) => {
            let Some(entries) = map_at(sweep, entry, &origin) else { return Ok(()) };
            match axis.strip_prefix("over.") {
                Some(axis) => {
                    let Some(over) = map_at(entries, "over", &origin) else { return Ok(()) };
                    put(over, axis, value);
                }
                None => put(entries, axis, value),
            }
        }
    }
    Ok(())
}

/// Returns an error if the sweep varies the name, because then the value would have no effect.
fn not_swept(root: &mut Node, name: &str, option: &str) -> Result<(), Diagnostic> {
    let Some(sweep) = entries(root, "sweep") else { return Ok(()) };
    let holds = |node: &Node| {
        let Value::Map(entries) = &node.value else { return None };
        entries.iter().find(|(key, _)| key.name == name).map(|(key, _)| key.clone())
    };
    for (entry, node) in sweep.iter() {
        let over = match &node.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == "over"),
            _ => None,
        };
        let path = if over.is_some() { format!("{}.over", entry.name) } else { entry.name.clone() };
        if let Some(key) = holds(over.map_or(node, |(_, node)| node)) {
            let message = format!("`--set {option}` has no effect: {} varies", quote(name));
            return Err(Diagnostic::error("spec::sweep", message)
                .at_key(&key, "the sweep sets it")
                .help(format!("set what it takes: `--set 'sweep.{path}.{name}=[…]'`")));
        }
    }
    Ok(())
}

fn set_variable(
    root: &mut Node,
    name: &str,
    value: Node,
    option: &str,
    add: bool,
) -> Result<(), Diagnostic> {
    if let Some(vars) = entries(root, "vars")
        && let Some((_, node)) = vars.iter_mut().find(|(key, _)| key.name == name)
    {
        let span = node.span.clone();
        *node = value;
        place(node, &span);
        return Ok(());
    }
    let Value::Map(top) = &mut root.value else { return Ok(()) };
    if name == "seeds" {
        put(top, name, value);
        return Ok(());
    }
    if add {
        let origin = Rc::new(Origin::Set(option.to_owned()));
        if let Some(vars) = map_at(top, "vars", &origin) {
            put(vars, name, value);
        }
        return Ok(());
    }
    let (vars, steps) = (names(root, "vars"), names(root, "steps"));
    let error = Diagnostic::error(
        "spec::unknown_variable",
        format!("`--set {option}`: there is no variable {}", quote(name)),
    );
    if steps.iter().any(|step| step == name) {
        return Err(error.help(format!(
            "`{name}` is a step; a parameter of it is set by `--set {name}.PARAMETER=VALUE`"
        )));
    }
    let known: Vec<&str> = vars.iter().map(String::as_str).collect();
    let help = suggest::help(name, &known, "the variables are");
    Err(error.help(help.unwrap_or_else(|| {
        "the pipeline has no `vars:`; a parameter is set by `--set STEP.PARAMETER=VALUE`".to_owned()
    })))
}

fn set_parameter(
    root: &mut Node,
    step: &str,
    parameter: &str,
    mut value: Node,
    option: &str,
) -> Result<(), Diagnostic> {
    let known = names(root, "steps");
    let found =
        entries(root, "steps").and_then(|steps| steps.iter_mut().find(|(key, _)| key.name == step));
    let Some((step_key, node)) = found else {
        let error = Diagnostic::error(
            "spec::unknown_step",
            format!("`--set {option}`: there is no step {}", quote(step)),
        );
        let base = step.split('@').next().unwrap_or(step);
        if base != step && known.iter().any(|name| name == base) {
            return Err(error.help(format!(
                "`--set {base}.{parameter}=VALUE` sets it for every instance of `{base}`"
            )));
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(error.maybe_help(suggest::help(step, &known, "the steps are")));
    };
    // A step that is not a map has a fault of its own, which is reported later.
    let Value::Map(fields) = &mut node.value else { return Ok(()) };
    if let Some((_, old)) = fields.iter_mut().find(|(key, _)| key.name == parameter) {
        place(&mut value, &old.span.clone());
        *old = value;
    } else {
        let span = step_key.span.clone();
        place(&mut value, &span);
        let origin = Some(Rc::new(Origin::Set(option.to_owned())));
        fields.push((Key { name: parameter.to_owned(), span, origin }, value));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_name_and_value() {
        let read = |text: &str| text.parse::<Override>();
        let change = read("vae.beta = 2=3").expect("a name and a value");
        assert_eq!((change.name.as_str(), change.value.as_str()), ("vae.beta", "2=3"));
        assert!(read("vae.beta").is_err() && read("=3").is_err() && read("+=3").is_err());
    }
}
