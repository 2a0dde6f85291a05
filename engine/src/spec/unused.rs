//! Warns of parts without effect: steps whose results nobody would see, and axes that change no
//! step.

use super::{
    context::Context,
    expand_variants::{Axes, Instance},
    link::Link,
    node::Node,
    steps::Draft,
    sweep::{Sweep, Target, error},
};
use crate::{
    model::ReportSpec,
    ui::diagnostic::{Diagnostic, listed, quote},
};
use cache::Kind;
use foldhash::HashSet;

/// Warns of steps that no step reads and no row shows.
///
/// Without a table the last steps are the results of the pipeline. A warning is then given only if
/// some of them give scores, for those that do not.
pub fn warn(cx: &mut Context, drafts: &[Draft], links: &[Vec<Link>], report: &ReportSpec) {
    let table = &report.table;
    let mut used: HashSet<usize> = links.iter().flatten().map(|link| link.step).collect();
    used.extend(
        table.iter().flat_map(|row| [Some(row.scores), row.reference, row.companion]).flatten(),
    );
    used.extend(table.iter().flat_map(|row| row.others.values()));
    used.extend(
        report.figures.iter().flat_map(|figure| figure.inputs.values().flatten()).map(|it| it.0),
    );
    let scores = |at: usize| {
        drafts[at].outputs.first().is_some_and(|port| port.kinds.contains(&Kind::Scores))
    };
    // The report always shows these.
    let tells = |at: &usize| {
        let mut outputs = drafts[*at].outputs.iter();
        let shown = [Kind::Findings, Kind::Agreement, Kind::Resamples, Kind::Selection];
        outputs.any(|port| shown.iter().any(|kind| port.kinds.contains(kind)))
    };
    used.extend((0..drafts.len()).filter(tells));
    // A figure shows one seed of a step: the others are not unused.
    let seen: HashSet<&str> = used.iter().map(|at| drafts[*at].base.as_str()).collect();
    let is_end = |at: &usize| !seen.contains(drafts[*at].base.as_str());
    let ends: Vec<usize> = (0..drafts.len()).filter(is_end).collect();
    let some_scores = ends.iter().any(|&at| scores(at));
    for at in ends {
        let draft = &drafts[at];
        let name = &draft.base;
        if table.is_empty() && (scores(at) || !some_scores) {
            continue;
        }
        let help = if scores(at) {
            format!(
                "add `- {{ row: \"…\", scores: {name} }}` to `report.table`, or delete the step"
            )
        } else {
            format!("read it in another step with `in: {name}`, or delete it")
        };
        let message = if scores(at) && !table.is_empty() {
            format!("no row of the report shows {}", quote(name))
        } else {
            format!("nothing reads step {}", quote(name))
        };
        cx.push(
            Diagnostic::warning("spec::unused_step", message)
                .at_key(&draft.key, "its result would not be seen")
                .help(help),
        );
    }
}

/// Reports axes that change no step.
pub fn warn_of_axes(
    cx: &mut Context,
    sweep: &Sweep,
    instances: &[Instance],
    seeds: (&[u64], Option<&Node>),
) {
    // There are no instances after a fault that is reported already.
    if instances.is_empty() {
        return;
    }
    let used = instances.iter().fold(Axes::default(), |used, it| used.union(it.axes));
    for axis in (0..sweep.axes.len()).filter(|at| !used.has(*at)).map(|at| &sweep.axes[at]) {
        let key = &axis.key;
        let (message, help) = match &axis.target {
            Target::Variable(name) => (
                format!("no step reads the variable {}", quote(name)),
                format!("write `${{{name}}}` in a step, or remove it from the sweep"),
            ),
            Target::Parameter { step, .. } => {
                let base = step.split('@').next().unwrap_or(step);
                let mut names: Vec<&str> = Vec::new();
                for instance in instances.iter().filter(|it| it.key.name == base) {
                    if !names.contains(&instance.base.as_str()) {
                        names.push(&instance.base);
                    }
                }
                names.truncate(8);
                (
                    format!("there is no step {}", quote(step)),
                    format!("write {}", listed(&names, "or")),
                )
            }
        };
        cx.push(error(message).at_key(key, "this varies nothing").help(help));
    }
    if let (seeds @ [_, _, ..], Some(node)) = seeds
        && !used.has(sweep.axes.len())
    {
        let message =
            format!("no step draws random numbers, so {} seeds give the same", seeds.len());
        cx.push(
            Diagnostic::warning("spec::seed", message)
                .at(node, "one seed is enough")
                .help("a step with a `seed` of its own does not follow these"),
        );
    }
}
