//! Warns of steps that have learned from rows that are held out for testing.

use super::{context::Context, link::Link, steps::Draft};
use crate::ui::diagnostic::{Diagnostic, quote};
use cache::Kind;
use foldhash::{HashSet, HashSetExt as _};
use ops::Port;
use std::collections::BTreeSet;

/// The origins of the rows of a step.
#[derive(Clone, Default)]
struct Rows {
    /// The steps that divided them, and whether these are the rows that were held out.
    parts: BTreeSet<(usize, bool)>,
    /// The steps that learned from all rows of their inputs.
    learned: BTreeSet<usize>,
    /// The steps without inputs.
    sources: BTreeSet<usize>,
}

/// True if a connection brings a fitted model that is applied.
fn is_model(link: &Link) -> bool {
    link.input.is_some_and(|port| port.optional && port.kinds == [Kind::Model])
}

/// Warns of each step that learned from rows before these were divided, and of models that are applied
/// to rows that they were fitted on. All variants and instances of a step are named once.
pub fn warn(cx: &mut Context, drafts: &[Draft], links: &[Vec<Link>], order: &[usize]) {
    let divides = |draft: &Draft| draft.entry.is_some_and(|entry| entry.split.is_some());
    if !drafts.iter().any(divides) && !links.iter().flatten().any(is_model) {
        return;
    }
    let mut all: Vec<Rows> = vec![Rows::default(); drafts.len()];
    let mut reported = HashSet::new();
    let name = |at: usize| drafts[at].key.name.as_str();
    for &at in order {
        let mut rows = Rows::default();
        let given = || links[at].iter().filter(|link| !is_model(link));
        for link in given() {
            let other = &all[link.step];
            rows.parts.extend(&other.parts);
            rows.learned.extend(&other.learned);
            rows.sources.extend(&other.sources);
            let Some(is_test) = is_held_out(&drafts[link.step], link.output) else { continue };
            rows.parts.insert((link.step, is_test));
            let learned = other.learned.iter().filter(|_| is_test);
            for learner in learned.copied() {
                if reported.insert((name(learner), name(link.step))) {
                    cx.push(learned_before(&drafts[learner], name(link.step)));
                }
            }
        }
        if links[at].is_empty() {
            rows.sources.insert(at);
        }
        let model = links[at].iter().find(|link| is_model(link));
        if let Some(link) = model {
            let maker = fitted_by(links, link.step);
            let fitted = &all[maker];
            let shared = fitted.sources.intersection(&rows.sources).next().is_some();
            let is_leak = |&&(split, is_test): &&(usize, bool)| {
                is_test && shared && !fitted.parts.contains(&(split, false))
            };
            let split = rows.parts.iter().find(is_leak).map(|(split, _)| *split);
            let same = || {
                let reads = |at: usize| {
                    let first = links[at].iter().find(|link| !is_model(link))?;
                    Some((first.step, first.output?.name))
                };
                reads(at).is_some() && reads(at) == reads(maker)
            };
            if (split.is_some() || same()) && reported.insert((name(at), name(maker))) {
                cx.push(applied_to_its_own(name(at), name(maker), split.map(name), link));
            }
        } else if drafts[at].op.as_ref().is_some_and(|op| op.learns()) {
            rows.learned.insert(at);
        }
        all[at] = rows;
    }
}

/// True if an output holds the rows of a split that are held out; `None` if it is of no split.
fn is_held_out(draft: &Draft, output: Option<&Port>) -> Option<bool> {
    let [train, test] = draft.entry?.split?;
    let name = output?.name;
    (name == train || name == test).then_some(name == test)
}

/// The step that fitted the model of a step: one that applies a model hands it on.
fn fitted_by(links: &[Vec<Link>], step: usize) -> usize {
    match links[step].iter().find(|link| is_model(link)) {
        Some(link) => fitted_by(links, link.step),
        None => step,
    }
}

fn learned_before(learner: &Draft, split: &str) -> Diagnostic {
    let (name, split) = (quote(&learner.key.name), quote(split));
    let message = format!("step {name} learns from rows that {split} holds out afterwards");
    let applies = learner.inputs().iter().any(|port| port.optional && port.kinds == [Kind::Model]);
    let help = match applies {
        true => "divide the rows before it; fit it on the rows to fit on, and give its `model` to a second step for the \
             others".to_owned(),
        false => "what it makes of a row depends on all rows: use it after the rows are divided"
            .to_owned(),
    };
    Diagnostic::warning("spec::leak", message)
        .at_key(&learner.key, "before the rows are divided")
        .help(help)
}

fn applied_to_its_own(step: &str, maker: &str, split: Option<&str>, link: &Link) -> Diagnostic {
    let (step, maker) = (quote(step), quote(maker));
    let message = match split {
        Some(split) => format!(
            "step {step} applies the model of {maker} to rows that {} holds out, but {maker} was fitted on them",
            quote(split)
        ),
        None => format!(
            "step {step} applies the model of {maker} to the very rows that it was fitted on"
        ),
    };
    let help = match split {
        Some(split) => format!("fit it on the other rows of the same {}", quote(split)),
        None => format!("read the output of {maker} instead, or apply it to other rows"),
    };
    Diagnostic::warning("spec::leak", message).at(&link.node, "fitted on these rows").help(help)
}
