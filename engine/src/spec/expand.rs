//! Expands `for`: one instance of a step for each value.

use super::{
    context::Context,
    node::{Key, Node, Value},
    range,
    vars::{Local, Variables, is_name},
};
use crate::ui::diagnostic::{Diagnostic, quote};

/// The most instances of one step.
const MAX_INSTANCES: usize = 1000;

/// The instances of one step: their names, such as `groups@pca`, and their fields without `for`.
pub fn expand(
    cx: &mut Context,
    vars: &mut Variables,
    key: &Key,
    fields: &[(Key, Node)],
) -> Vec<(String, Vec<(Key, Node)>)> {
    let mut instances = Vec::new();
    for local in points(cx, vars, fields) {
        let mut filled = Vec::new();
        for (name, node) in fields.iter().filter(|(name, _)| name.name != "for") {
            filled.push((name.clone(), vars.fill(cx, node, &local)));
        }
        let name = match suffix(&local) {
            suffix if suffix.is_empty() => key.name.clone(),
            suffix => format!("{}@{suffix}", key.name),
        };
        instances.push((name, filled));
    }
    instances
}

fn suffix(local: &Local) -> String {
    let values: Vec<String> = local.iter().filter_map(|(_, value)| value.plain()).collect();
    values.join(",")
}

/// Every combination of the values of a `for` among the fields; one empty combination if there is
/// no `for`, and none if the `for` is faulty.
pub fn points(
    cx: &mut Context,
    vars: &mut Variables,
    fields: &[(Key, Node)],
) -> Vec<Vec<(Key, Node)>> {
    let Some((key, node)) = fields.iter().find(|(key, _)| key.name == "for") else {
        return vec![Vec::new()];
    };
    let Value::Map(variables) = &node.value else {
        cx.push(
            Diagnostic::error("spec::for", "`for` must be a map of a name to a list of values")
                .at_key(key, format!("this holds {}", node.describe()))
                .help("write `for: { x: [pca, vae] }` and `${x}` where the value belongs"),
        );
        return Vec::new();
    };
    let mut points = vec![Vec::new()];
    for (name, node) in variables {
        check_name(cx, vars, name);
        let values = values(cx, vars, "spec::for", name, node, "[pca, vae]");
        let Some(values) = values.filter(|values| are_distinct(cx, values)) else {
            return Vec::new();
        };
        if points.len() * values.len() > MAX_INSTANCES {
            cx.push(
                Diagnostic::error(
                    "spec::for",
                    format!("this `for` makes more than {MAX_INSTANCES} steps"),
                )
                .at_key(key, "too many combinations"),
            );
            return Vec::new();
        }
        points = points
            .iter()
            .flat_map(|point: &Vec<(Key, Node)>| {
                values.iter().map(|value| {
                    let mut longer = point.clone();
                    longer.push((name.clone(), value.clone()));
                    longer
                })
            })
            .collect();
    }
    points
}

fn check_name(cx: &mut Context, vars: &mut Variables, name: &Key) {
    if !is_name(&name.name) {
        let message = format!("{} cannot be the name of a variable", quote(&name.name));
        cx.push(
            Diagnostic::error("spec::name", message)
                .at_key(name, "letters, digits and `_` only, not beginning with a digit"),
        );
    } else if let Some(other) = vars.find(&name.name).cloned() {
        vars.mark_used(&name.name);
        cx.push(
            Diagnostic::error("spec::for", format!("{} has two meanings here", quote(&name.name)))
                .at_key(name, "a variable of this `for`")
                .label(other.span.clone(), "and a variable of the pipeline")
                .help("rename one of them"),
        );
    }
}

/// The values of a list or of a text such as `range(1,9)`, with variables filled in; at least one.
pub fn values(
    cx: &mut Context,
    vars: &mut Variables,
    code: &'static str,
    name: &Key,
    node: &Node,
    example: &str,
) -> Option<Vec<Node>> {
    let node = vars.fill(cx, node, &[]);
    let error = |message: String| Diagnostic::error(code, message);
    let values = match (range::expand(&node), node.value.clone()) {
        (Some(Ok(values)), _) | (None, Value::List(values)) => values,
        (Some(Err(message)), _) => {
            cx.push(
                error(message)
                    .at(&node, "not a range")
                    .help("write `range(1,9)`, `linspace(0,1,5)` or `logspace(-1,1,5)`"),
            );
            return None;
        }
        (None, Value::Faulty) => return None,
        (None, _) => {
            let message = format!("{} must be a list, not {}", quote(&name.name), node.describe());
            let remark = format!("expected a list such as `{example}`");
            let error = if node.span.is_empty() {
                error(message).at_key(name, remark)
            } else {
                error(message).at(&node, remark)
            };
            // Within `{ }` a comma ends a text: of `uniform(0, 1)` there is only `uniform(0`.
            let is_cut = node.text().is_some_and(|text| text.contains('(') && !text.contains(')'));
            let help =
                "put a range into quotes: without them, YAML ends it at its comma within braces";
            cx.push(error.maybe_help(is_cut.then(|| help.to_owned())));
            return None;
        }
    };
    if values.is_empty() {
        cx.push(error(format!("{} has no values", quote(&name.name))).at(&node, "an empty list"));
        return None;
    }
    Some(values)
}

/// True if the values of a `for` can name instances.
fn are_distinct(cx: &mut Context, values: &[Node]) -> bool {
    let mut seen: Vec<String> = Vec::new();
    for value in values {
        let problem = match value.plain() {
            _ if value.is_faulty() => return false,
            None => format!("{} cannot be part of a step's name", value.describe()),
            Some(text) if seen.contains(&text) => format!("{} is given twice", quote(&text)),
            Some(text) if !fits_a_name(&text) => {
                format!("{} cannot be part of a step's name", quote(&text))
            }
            Some(text) => {
                seen.push(text);
                continue;
            }
        };
        cx.push(
            Diagnostic::error("spec::for", problem)
                .at(value, "this value")
                .help("a value of a `for` is a number or a word of letters, digits, `_`, `-`, `.`"),
        );
        return false;
    }
    true
}

/// True if a text can follow the `@` of a name.
pub fn fits_a_name(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-+.".contains(letter))
}
