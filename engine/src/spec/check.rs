//! Checks the connections between steps: kinds, and shapes as far as they are known before a run.

use super::{
    context::Context,
    link::{self, Link},
    steps::Draft,
};
use crate::ui::diagnostic::{Diagnostic, quote};
use cache::{Kind, Shape};
use ops::OpError;

/// Checks every step in order; returns the shapes of outputs as far as they are known.
pub fn check(
    cx: &mut Context,
    drafts: &[Draft],
    links: &[Vec<Link>],
    order: &[usize],
) -> Vec<Option<Vec<Shape>>> {
    let mut shapes: Vec<Option<Vec<Shape>>> = vec![None; drafts.len()];
    for &at in order {
        let draft = &drafts[at];
        let mut fits = draft.reads_whole;
        let ports = draft.inputs();
        let mut inputs: Vec<Option<Shape>> = vec![None; ports.len()];
        for link in &links[at] {
            let (Some(input), Some(output)) = (link.input, link.output) else {
                fits = false;
                continue;
            };
            let made = drafts[link.step].outputs;
            let known = shapes[link.step].as_ref().and_then(|shapes| {
                let port = made.iter().position(|port| port.name == output.name)?;
                shapes.get(port).cloned()
            });
            let possible: Vec<Kind> = match &known {
                Some(shape) => vec![shape.kind],
                None => output.kinds.to_vec(),
            };
            if !possible.iter().any(|kind| input.kinds.contains(kind)) {
                let fitting = match cx.explains() {
                    true => link::fitting(drafts, draft, input.kinds),
                    false => Vec::new(),
                };
                cx.push(mismatch(drafts, draft, link, input, (&possible, &fitting)));
                fits = false;
                continue;
            }
            let shape = known.or_else(|| match possible[..] {
                [kind] => Some(Shape::of(kind)),
                _ => None,
            });
            fits &= shape.is_some();
            if let Some(port) = ports.iter().position(|port| port.name == input.name) {
                inputs[port] = shape;
            }
        }
        let whole = ports.iter().zip(&inputs).all(|(port, shape)| port.optional || shape.is_some());
        let Some(op) = draft.op.as_ref().filter(|_| fits && whole) else { continue };
        match op.check(&inputs) {
            Ok(found) => {
                shapes[at] = Some(found);
                for warning in op.warnings(&inputs) {
                    let code = "spec::parameters";
                    cx.push(placed(
                        draft,
                        Diagnostic::warning(code, &*warning.message),
                        warning.clone(),
                    ));
                }
            }
            Err(error) => {
                let diagnostic = Diagnostic::error("spec::unfit", &*error.message);
                cx.push(placed(draft, diagnostic, error));
            }
        }
    }
    shapes
}

fn mismatch(
    drafts: &[Draft],
    reader: &Draft,
    link: &Link,
    input: &ops::Port,
    (given, fitting): (&[Kind], &[String]),
) -> Diagnostic {
    let source = &drafts[link.step];
    let entry = source.entry.expect("a step with ports has an op");
    let made = source.outputs;
    let other = made.iter().find(|port| port.kinds.iter().any(|kind| input.kinds.contains(kind)));
    let help = match other {
        Some(port) if port.name == made[0].name => format!("write `{}`", source.base),
        Some(port) => format!("write `{}.{}`", source.base, port.name),
        None if fitting.is_empty() => {
            format!("no step before this one gives {}", link::kinds(input.kinds))
        }
        None => {
            let quoted: Vec<String> = fitting.iter().take(6).map(|name| quote(name)).collect();
            format!("what fits: {}", quoted.join(", "))
        }
    };
    let gives: Vec<&str> = given.iter().map(|kind| with_article(*kind)).collect();
    let takes: Vec<&str> = input.kinds.iter().map(|kind| with_article(*kind)).collect();
    let written = link.node.text().unwrap_or(&source.base);
    let message = format!(
        "`{}` of step {} takes {}, but {} gives {}",
        input.name,
        quote(&reader.base),
        takes.join(" or "),
        quote(written),
        gives.join(" or ")
    );
    Diagnostic::error("spec::kind", message)
        .at(&link.node, format!("gives {}", gives.join(" or ")))
        .at_key(&source.key, format!("made here by `{}`", entry.name))
        .help(help)
}

fn with_article(kind: Kind) -> &'static str {
    match kind {
        Kind::Clips => "clips",
        Kind::Spectrogram => "a spectrogram",
        Kind::Matrix => "a matrix",
        Kind::Labels => "labels",
        Kind::Model => "a model",
        Kind::Scores => "scores",
        Kind::History => "a history",
        Kind::Diagnostics => "diagnostics",
        Kind::Linkage => "a linkage",
        Kind::Skipped => "a list of skipped files",
        Kind::Composition => "a composition",
        Kind::Silhouettes => "silhouettes",
        Kind::Findings => "findings",
        Kind::Agreement => "an agreement",
        Kind::Census => "a census",
        Kind::Resamples => "resamples",
        Kind::Confounds => "confounds",
        Kind::Selection => "a selection",
        Kind::Picture => "a picture",
    }
}

/// Places a diagnostic at the parameter that it is about, or else at its step.
fn placed(draft: &Draft, diagnostic: Diagnostic, error: OpError) -> Diagnostic {
    let step = quote(&draft.name);
    let place = error.param.and_then(|param| draft.param_places.get(param));
    match place {
        Some(place) => diagnostic.at_place(place, format!("in step {step}")),
        None => diagnostic.at_key(&draft.key, format!("in step {step}")),
    }
    .maybe_help(error.help)
}
