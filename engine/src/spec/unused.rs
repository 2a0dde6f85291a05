//! Steps whose results nobody would see.

use super::{context::Context, link::Link, steps::Draft};
use crate::{
    fault::{Fault, quote},
    pipeline::ReportSpec,
};
use cache::Kind;
use std::collections::HashSet;

/// Warns of steps that no step reads and no row shows.
///
/// Without a table the last steps are what the pipeline is for; then only steps that end in
/// something other than scores, where others end in scores, are worth a warning.
pub fn warn(cx: &mut Context, drafts: &[Draft], links: &[Vec<Link>], report: &ReportSpec) {
    let table = &report.table;
    let mut used: HashSet<usize> = links.iter().flatten().map(|link| link.step).collect();
    used.extend(table.iter().flat_map(|row| [Some(row.scores), row.reference]).flatten());
    used.extend(
        report.figures.iter().flat_map(|figure| figure.inputs.values().flatten()).map(|it| it.0),
    );
    let scores = |at: usize| {
        drafts[at].outputs().first().is_some_and(|port| port.kinds.contains(&Kind::Scores))
    };
    // The report shows findings without being asked.
    let tells = |at: &usize| {
        let mut outputs = drafts[*at].entry.iter().flat_map(|entry| entry.outputs);
        outputs.any(|port| port.kinds.contains(&Kind::Findings))
    };
    used.extend((0..drafts.len()).filter(tells));
    let ends: Vec<usize> = (0..drafts.len()).filter(|at| !used.contains(at)).collect();
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
            Fault::warning("spec::unused_step", message)
                .at_key(&draft.key, "its result would not be seen")
                .help(help),
        );
    }
}
