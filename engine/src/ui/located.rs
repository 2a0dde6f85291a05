//! The file of a diagnostic, where a pipeline includes others.

use super::diagnostic::Diagnostic;
use crate::model::{SourceText, Span};

/// The file of a diagnostic alone, with the diagnostic at its place there. What the diagnostic says of other
/// files is described in words.
pub fn in_own_file(source: &SourceText, error: &Diagnostic) -> (SourceText, Diagnostic) {
    let first = error.labels.first().map_or(0, |(span, _)| span.start);
    let (path, range) = source.file_at(first);
    let file = SourceText::new(path.to_owned(), source.text[range.clone()].to_owned());
    let (mut local, mut elsewhere) = (error.clone(), Vec::new());
    local.labels.clear();
    for (span, remark) in &error.labels {
        if range.contains(&span.start) || (span.start == range.end && span.start == first) {
            let within = |at: usize| at.clamp(range.start, range.end) - range.start;
            local.labels.push((within(span.start)..within(span.end), remark.clone()));
            continue;
        }
        let (path, other) = source.file_at(span.start);
        let (line, _) = place_of(&source.text[other.clone()], &(span.start - other.start..0));
        let remark = if remark.is_empty() { "see there" } else { remark };
        elsewhere.push(format!("`{}`, line {line}: {remark}", path.display()));
    }
    if !elsewhere.is_empty() {
        let all = error.help.iter().cloned().chain(elsewhere);
        local.help = Some(all.collect::<Vec<_>>().join("\n"));
    }
    (file, local)
}

/// The line and the column of the start of a span, from 1; columns count characters.
pub fn place_of(text: &str, span: &Span) -> (usize, usize) {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let before = &text[..start];
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line..].chars().count() + 1)
}
