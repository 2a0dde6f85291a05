//! Reads the section `report:`.

use super::{
    cells::Varied,
    columns::{self, unknown_metric},
    context::Context,
    expand, figure_settings, figures,
    link::{self, Names},
    node::{Key, Node, Value},
    paper,
    steps::Draft,
    vars::Variables,
};
use crate::{
    model::{ReportSpec, RowSpec, Search},
    ui::{
        diagnostic::{Diagnostic, quote},
        suggest,
    },
};
use cache::{Kind, metric::Direction, record::Published};
use std::collections::BTreeMap;

/// The keys of `report:` and their documentation.
pub const REPORT_KEYS: &[(&str, &str)] = &[
    ("question", "The question of the study; it opens the report."),
    ("table", "Rows of the main table, in this order."),
    ("columns", "Its columns: metrics of the rows' scores, and `STEP.METRIC` of other steps."),
    ("paper", "The origin of the published values of the rows: `source`, `clips`."),
    (
        "test",
        "The test by which rows are compared over seeds: `t` (Student, the default) or `wilcoxon`.",
    ),
    (
        "companions",
        "`true` adds the stability of the clusters over seeds, and baselines: a Gaussian null reference and shuffled features.",
    ),
    (
        "uncertainty",
        "What numbers have intervals over: `seeds`, `recordings`, or `both`, the default; recordings where the labels \
         name them.",
    ),
    ("figures", "Figures, in this order."),
    (
        "style",
        "The size, the text, the colours and the names of all figures, unless one says otherwise.",
    ),
    ("audio", "True if a click on a clip plays it, where it is a file; true if not given."),
];

/// The keys of a row and their documentation.
pub const ROW_KEYS: &[(&str, &str)] = &[
    ("row", "The title of the row."),
    ("scores", "The step whose scores it shows; `step@*` makes a row for each instance."),
    ("reference", "The step with the scores of the Gaussian null reference."),
    ("paper", "Published values to show beside ours, by metric; `source` and `clips` say of what."),
    ("for", "Makes one row for each value, as in a step."),
];

/// Reads the section `report:`.
pub fn read(
    cx: &mut Context,
    vars: &mut Variables,
    section: Option<Node>,
    drafts: &[Draft],
    varied: &Varied<'_>,
) -> ReportSpec {
    let mut report = ReportSpec::default();
    let entries = match section {
        None | Some(Node { value: Value::Null, .. }) => return report,
        Some(Node { value: Value::Map(entries), .. }) => entries,
        Some(node) => {
            cx.push(
                Diagnostic::error(
                    "spec::report",
                    "`report` must be a map with `question` or `table`",
                )
                .at(&node, format!("this is {}", node.describe())),
            );
            return report;
        }
    };
    let (mut columns, mut whole, mut style) = (None, Published::default(), None);
    for (key, node) in entries {
        match key.name.as_str() {
            "columns" => columns = Some((key, node)),
            "paper" => {
                let node = vars.fill(cx, &node, &[]);
                whole = paper::read(cx, &key, &node, paper::ValuesOf::Table).1;
            }
            "question" => report.question = text(cx, vars, &key, &node, &[]),
            "table" => report.table = table(cx, vars, &key, &node, drafts, varied),
            "test" => {
                report.wilcoxon = choice(cx, vars, &key, &node, &["t", "wilcoxon"]) == Some(1)
            }
            // The companion steps were added before.
            "companions" => drop(choice(cx, vars, &key, &node, &["false", "true"])),
            "uncertainty" => {
                let choices = ["both", "recordings", "seeds"];
                report.only_recordings = choice(cx, vars, &key, &node, &choices) == Some(1);
            }
            "figures" => report.figures = figures::read(cx, vars, &key, &node, drafts),
            "style" => style = figure_settings::style(cx, vars, &key, &node),
            "audio" => report.mute = !read_audio(cx, vars, &key, &node),
            _ => cx.push(unknown(&key, "`report` has no entry", REPORT_KEYS)),
        }
    }
    for row in report.table.iter_mut().filter(|row| !row.paper.is_empty()) {
        row.published.source = row.published.source.take().or_else(|| whole.source.clone());
        row.published.clips = row.published.clips.or(whole.clips);
    }
    for figure in &mut report.figures {
        if reports::figures::kind(figure.figure).is_some_and(|kind| !kind.style().is_empty()) {
            figure_settings::add_style(&mut figure.options, style.iter().flatten());
        }
    }
    if let Some((key, node)) = columns {
        report.columns = columns::read(cx, vars, (&key, &node), drafts, &mut report.table);
    }
    report
}

fn unknown(key: &Key, message: &str, known: &[(&str, &str)]) -> Diagnostic {
    let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    Diagnostic::error("spec::unknown_entry", format!("{message} {}", quote(&key.name)))
        .at_key(key, "unknown")
        .maybe_help(suggest::help(&key.name, &known, "the entries are"))
}

/// The index of the choice that is written.
fn choice(
    cx: &mut Context,
    vars: &mut Variables,
    key: &Key,
    node: &Node,
    choices: &[&str],
) -> Option<usize> {
    let node = vars.fill(cx, node, &[]);
    let written = node.plain();
    let found = choices.iter().position(|choice| Some(*choice) == written.as_deref());
    if found.is_none() && !node.is_faulty() {
        let choices = crate::ui::diagnostic::listed(choices, "or");
        let message = format!("{} must be {choices}, not {}", quote(&key.name), node.describe());
        cx.push(Diagnostic::error("spec::report", message).at_key(key, "this"));
    }
    found
}

/// Reads `audio`: true if clips can be played.
fn read_audio(cx: &mut Context, vars: &mut Variables, key: &Key, node: &Node) -> bool {
    let node = vars.fill(cx, node, &[]);
    match node.value {
        Value::Bool(audio) => audio,
        Value::Faulty => true,
        _ => {
            let message = format!("`audio` must be `true` or `false`, not {}", node.describe());
            cx.push(Diagnostic::error("spec::report", message).at_key(key, "this"));
            true
        }
    }
}

/// Reads a text of the file and fills in its variables.
pub fn text(
    cx: &mut Context,
    vars: &mut Variables,
    key: &Key,
    node: &Node,
    local: &[(Key, Node)],
) -> Option<String> {
    let node = vars.fill(cx, node, local);
    match node.plain() {
        Some(text) if !text.trim().is_empty() => Some(text),
        _ if node.is_faulty() => None,
        _ => {
            let message = format!("{} must be a text, not {}", quote(&key.name), node.describe());
            cx.push(Diagnostic::error("spec::text", message).at_key(key, "this"));
            None
        }
    }
}

fn table(
    cx: &mut Context,
    vars: &mut Variables,
    key: &Key,
    node: &Node,
    drafts: &[Draft],
    varied: &Varied<'_>,
) -> Vec<RowSpec> {
    let Value::List(rows) = &node.value else {
        cx.push(
            Diagnostic::error("spec::report", "`table` must be a list of rows")
                .at_key(key, format!("this holds {}", node.describe()))
                .help("write `- { row: \"PCA + K-Means\", scores: STEP }`, one on each line"),
        );
        return Vec::new();
    };
    let names = Names::new(drafts);
    let mut table = Vec::new();
    for row in rows {
        let Value::Map(fields) = &row.value else {
            cx.push(
                Diagnostic::error("spec::report", "a row must be a map")
                    .at(row, format!("this is {}", row.describe()))
                    .help("write `- { row: \"PCA + K-Means\", scores: STEP }`"),
            );
            continue;
        };
        for (key, _) in fields {
            if !ROW_KEYS.iter().any(|(name, _)| *name == key.name) {
                cx.push(unknown(key, "a row has no entry", ROW_KEYS));
            }
        }
        for local in expand::points(cx, vars, fields) {
            read_row(cx, vars, row, fields, &local, (&names, varied), &mut table);
        }
    }
    table
}

fn read_row<'d>(
    cx: &mut Context,
    vars: &mut Variables,
    row: &Node,
    fields: &[(Key, Node)],
    local: &[(Key, Node)],
    (names, varied): (&Names<'d>, &Varied<'_>),
    table: &mut Vec<RowSpec>,
) {
    let field = |name: &str| fields.iter().find(|(key, _)| key.name == name);
    // The title is the same at all points: a parameter that varies stands in it by its name.
    let title = field("row").and_then(|(key, node)| {
        text(cx, vars, key, node, &[local, &varied.sweep.variables()[..]].concat())
    });
    let paper = field("paper").map(|(key, node)| (key, vars.fill(cx, node, local)));
    let Some((key, node)) = field("scores") else {
        let near = fields.iter().any(|(key, _)| {
            suggest::closest(&key.name, ["scores"]).is_some() || key.name == "metrics"
        });
        if !near {
            cx.push(
                Diagnostic::error("spec::report", "a row has no `scores`")
                    .label(row.span.clone(), "which step does it show?")
                    .help("add `scores: STEP`, a step that gives scores"),
            );
        }
        return;
    };
    let node = vars.fill(cx, node, local);
    let Some(shown) = step_name(cx, key, &node) else { return };
    let reference = field("reference").and_then(|(key, node)| {
        let node = vars.fill(cx, node, local);
        let name = step_name(cx, key, &node)?.to_owned();
        let (at, port) = find(cx, names, &name, &node)?;
        scores_port(cx, names, at, port, &node).map(|_| at)
    });
    let mut read_paper = None;
    let mut push = |cx: &mut Context, at: usize, port: Option<&str>, title: String| {
        if let Some(output) = scores_port(cx, names, at, port, &node) {
            let (paper, published) =
                read_paper.get_or_insert_with(|| match (&paper, names.step(at).entry) {
                    (Some((key, node)), Some(entry)) => {
                        paper::read(cx, key, node, paper::ValuesOf::Row(entry))
                    }
                    _ => Default::default(),
                });
            let one = shown.contains('{').then_some(at);
            let base = (names.step(at).base.as_str(), one);
            for cell in varied.cells(names, base, reference) {
                table.push(RowSpec {
                    title: title.clone(),
                    scores: cell.scores,
                    output,
                    reference: cell.reference,
                    paper: paper.clone(),
                    published: published.clone(),
                    others: BTreeMap::new(),
                    companion: cell.companion,
                    point: cell.point,
                    seed: cell.seed,
                    span: node.span.clone(),
                });
            }
        }
    };
    // `scores@*` is a row for each instance.
    let all = shown.strip_suffix("@*").map(|base| names.instance_names(base)).unwrap_or_default();
    if all.is_empty() {
        let Some((at, port)) = find(cx, names, shown, &node) else { return };
        push(cx, at, port, title.unwrap_or_else(|| names.step(at).base.clone()));
        return;
    }
    for name in all {
        let Ok((at, _)) = names.find(name) else { continue };
        let instance = name.split_once('@').map_or("", |(_, instance)| instance);
        let own = instance.to_owned();
        push(cx, at, None, title.as_ref().map_or(own, |title| format!("{title} ({instance})")));
    }
}

/// The objective of a sweep, with the steps at each of its points.
pub fn objective(cx: &mut Context, drafts: &[Draft], varied: &Varied<'_>) -> Option<Search> {
    let search = varied.sweep.search.as_ref()?;
    let (step, node) = &search.step;
    let names = Names::new(drafts);
    let (at, port) = find(cx, &names, step, node)?;
    scores_port(cx, &names, at, port, node)?;
    let unknown = names.step(at).entry.and_then(|entry| unknown_metric(&search.metric, entry));
    if let Some(error) = unknown {
        cx.push(error.at(node, "unknown"));
        return None;
    }
    let measures = names.step(at).entry.map_or(&[][..], |entry| entry.metrics);
    let own = measures.iter().find(|measure| measure.name == search.metric);
    let own = own.and_then(|measure| measure.direction).or(search.scored);
    if let (Some(written), Some(own)) = (search.direction, own)
        && written != own
    {
        let [written, own] = [written, own].map(|direction| match direction {
            Direction::Maximize => ["maximizes", "greater"],
            Direction::Minimize => ["minimizes", "smaller"],
        });
        let message = format!(
            "the objective {} `{step}.{}`, of which {} values are better",
            written[0], search.metric, own[1]
        );
        let help = "without `direction` the search looks for the better values";
        cx.push(Diagnostic::warning("spec::direction", message).at(node, "this metric").help(help));
    }
    let points = varied.steps_at_points(&names.step(at).base);
    let objective = format!("{step}.{}", search.metric);
    let (metric, more, resource) = (search.metric.clone(), search.more, search.resource.clone());
    Some(Search { objective, metric, points, more, resource })
}

/// The text of an entry that names a step.
fn step_name<'n>(cx: &mut Context, key: &Key, node: &'n Node) -> Option<&'n str> {
    let name = node.text();
    if name.is_none() && !node.is_faulty() {
        let message =
            format!("{} must be the name of a step, not {}", quote(&key.name), node.describe());
        cx.push(Diagnostic::error("spec::report", message).at_key(key, "this"));
    }
    name
}

/// The step of this name, and the port if one is named.
fn find<'n>(
    cx: &mut Context,
    names: &Names<'_>,
    name: &'n str,
    node: &Node,
) -> Option<(usize, Option<&'n str>)> {
    match names.find(name) {
        Ok(found) => Some(found),
        Err((message, help)) => {
            let error = Diagnostic::error("spec::unknown_step", message).at(node, "shown here");
            cx.push(error.maybe_help(help));
            None
        }
    }
}

/// The output port of a step that gives scores.
pub fn scores_port(
    cx: &mut Context,
    names: &Names<'_>,
    at: usize,
    port: Option<&str>,
    node: &Node,
) -> Option<&'static str> {
    let step = names.step(at);
    let entry = step.entry?;
    let output = match port {
        Some(_) => Some(link::output(cx, step, entry, port, node)?),
        None => step.outputs.iter().find(|port| port.kinds.contains(&Kind::Scores)),
    };
    let output = output.filter(|port| port.kinds.contains(&Kind::Scores));
    if output.is_none() && step.has_ports() {
        let message = format!(
            "scores belong here, but step {} (`{}`) gives {}",
            quote(&step.base),
            entry.name,
            step.outputs.first().map_or_else(String::new, |port| link::kinds(port.kinds))
        );
        let fitting = names.with_scores();
        let help = match &fitting[..] {
            [] => "no step gives scores: add one that rates the clusters".to_owned(),
            names => format!("what fits: {}", crate::ui::diagnostic::listed(names, "or")),
        };
        cx.push(
            Diagnostic::error("spec::kind", message)
                .at(node, "gives no scores")
                .at_key(&step.key, "made here")
                .help(help),
        );
    }
    output.map(|port| port.name)
}
