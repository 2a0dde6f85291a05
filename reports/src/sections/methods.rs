//! The methods in prose, to be pasted into a paper: ops, versions, parameters, and what they follow.

use crate::{
    document::{Block, Text},
    quantities::{count, listed},
    scores::shown,
};
use cache::{Record, record::Method};

/// The most uses of an op, and the most steps of a use, that are listed.
const MAX_USES_AND_STEPS: [usize; 2] = [6, 4];

/// The methods as a list under a sentence, and their references; empty for a record that does not know
/// them.
pub fn prose(record: &Record) -> Vec<Block> {
    if record.methods.is_empty() {
        return Vec::new();
    }
    let seeds = match &record.sweep {
        Some(sweep) if sweep.seeds.len() > 1 => {
            let seeds: Vec<String> = sweep.seeds.iter().map(ToString::to_string).collect();
            format!(
                " with the seeds {}",
                listed(&seeds.iter().map(String::as_str).collect::<Vec<_>>())
            )
        }
        _ => String::new(),
    };
    let opening = format!(
        "All numbers were computed by the engine {}{seeds}, by the ops below in this order. Parameters that are not named are \
         the defaults of that version of an op. Random numbers are drawn from counters, so the same seeds give the same \
         numbers again.",
        record.engine
    );
    let points = record.methods.iter().enumerate().map(|(at, method)| point(at, method)).collect();
    let sources = record.methods.iter().enumerate();
    let sources = sources.filter(|(_, method)| !method.source.is_empty());
    let sources = sources
        .map(|(at, method)| {
            Text::from(format!("[{}] ", at + 1)).code(&method.op).plain(": ").marked(&method.source)
        })
        .collect();
    vec![
        Block::Paragraph(opening.into()),
        Block::List(points),
        Block::Paragraph("What the ops follow, and with what they are tested to agree:".into()),
        Block::List(sources),
    ]
}

/// The section of the report, folded away.
pub fn blocks(record: &Record) -> Vec<Block> {
    let prose = prose(record);
    if prose.is_empty() {
        return prose;
    }
    let summary = Text::from("The methods in prose, as in ")
        .code("methods.md")
        .plain(" and ")
        .code("methods.tex")
        .plain(", for a paper");
    vec![Block::Heading("Methods".to_owned()), Block::Details(summary, prose)]
}

fn point(at: usize, method: &Method) -> Text {
    let mut text = Text::new()
        .code(&method.op)
        .plain(format!(" (version {}) [{}]: ", method.version, at + 1))
        .marked(&method.summary);
    for (steps, params) in method.uses.iter().take(MAX_USES_AND_STEPS[0]) {
        text = text.plain(" ");
        for (at, step) in steps.iter().take(MAX_USES_AND_STEPS[1]).enumerate() {
            text = if at > 0 { text.plain(", ") } else { text }.code(step);
        }
        let more = steps.len().saturating_sub(MAX_USES_AND_STEPS[1]);
        if more > 0 {
            text = text.plain(format!(" and {}", count(more, "other step")));
        }
        let params: Vec<String> =
            params.iter().map(|(name, value)| format!("{name} = {}", shown(value))).collect();
        text = text.plain(match &params[..] {
            [] => ": defaults.".to_owned(),
            params => format!(": {}.", params.join(", ")),
        });
    }
    let more = method.uses.len().saturating_sub(MAX_USES_AND_STEPS[0]);
    if more > 0 {
        text =
            text.plain(format!(" {} are in the table of steps.", count(more, "further setting")));
    }
    text
}
