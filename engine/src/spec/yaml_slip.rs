//! Common mistakes that a YAML parser notices only later: a missing colon, a missing space after a
//! colon, a line with a wrong indentation. They are found from the lines around the place where the
//! parser stopped.

use crate::{
    model::Span,
    ui::diagnostic::{Diagnostic, quote},
};
use std::collections::BTreeSet;

/// The diagnostic of a mistake on the line of a place, or on the line above it.
pub fn find(text: &str, at: usize) -> Option<Diagnostic> {
    let lines: Vec<Line> = lines(text);
    let own = lines.iter().rposition(|line| line.span.start <= at)?;
    colon_in(&lines[own], true)
        .or_else(|| indentation(&lines[..=own]))
        .or_else(|| {
            let above = own.checked_sub(1)?;
            let may_be = lines[own].indent >= lines[above].indent && is_entry(&lines[..=above]);
            may_be.then(|| colon_in(&lines[above], false))?
        })
        .map(|error| Diagnostic { code: "spec::yaml", ..error })
}

/// A line that contains more than spaces and a comment.
struct Line<'t> {
    /// The place of the line, without the comment at its end.
    span: Span,
    /// The number of spaces before the text.
    indent: usize,
    /// The text of the line, without the dashes of a list.
    words: &'t str,
    /// The column at which `words` begin.
    column: usize,
}

impl Line<'_> {
    /// True if the entries of the line are on the lines below it.
    fn opens(&self) -> bool {
        self.words.is_empty() || self.words.ends_with(':')
    }

    fn has_colon(&self) -> bool {
        self.words.contains(": ") || self.words.ends_with(':')
    }

    /// The place of the first word.
    fn word(&self) -> Option<Span> {
        let is_part = |letter: char| letter.is_alphanumeric() || "_-.".contains(letter);
        let length = self.words.find(|letter| !is_part(letter)).unwrap_or(self.words.len());
        let start = self.span.start + self.column;
        (length > 0).then_some(start..start + length)
    }
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let mut at = 0;
    let lines = text.split_inclusive('\n').filter_map(|line| {
        let start = at;
        at += line.len();
        let line = match line.find(" #") {
            Some(comment) => &line[..comment],
            None => line,
        };
        let line = line.trim_end();
        let rest = line.trim_start_matches(' ');
        if rest.is_empty() || rest.starts_with('#') || ["---", "..."].contains(&rest) {
            return None;
        }
        let mut words = rest;
        while let Some(item) = words.strip_prefix("- ") {
            words = item.trim_start_matches(' ');
        }
        let words = if words == "-" { "" } else { words };
        let indent = line.len() - rest.len();
        let column = line.len() - words.len();
        Some(Line { span: start..start + line.len(), indent, words, column })
    });
    lines.collect()
}

/// Finds a missing colon on a line, or a missing space after it. The line where the parser stopped
/// may have another colon; the line above it has none.
fn colon_in(line: &Line<'_>, is_own: bool) -> Option<Diagnostic> {
    let word = line.word()?;
    let name = &line.words[..word.len()];
    let rest = &line.words[word.len()..];
    if rest.starts_with(":{") || rest.starts_with(":[") {
        let place = word.end..word.end + 1;
        return Some(
            Diagnostic::error("", format!("a space is missing after the colon of {}", quote(name)))
                .label(place, "this colon")
                .help(format!("write `{name}: …`")),
        );
    }
    let opens_map = rest.trim_start_matches(' ').starts_with(['{', '[']) && is_own;
    // An item of a list may be a word.
    let is_item = line.column != line.indent;
    if opens_map || !(line.has_colon() || is_item) {
        return Some(
            Diagnostic::error("", format!("a colon is missing after {}", quote(name)))
                .label(word, "a `:` belongs behind this")
                .help(format!("write `{name}: …`, with a space after the colon")),
        );
    }
    None
}

/// True if the last of some lines is at the place of a map's entry and does not continue a text.
fn is_entry(lines: &[Line<'_>]) -> bool {
    let [before @ .., line] = lines else { return false };
    before.last().is_none_or(|above| {
        let is_beside = above.indent >= line.indent && (above.has_colon() || is_entry(before));
        above.opens() || is_beside
    })
}

/// Finds a wrong indentation: the last of some lines begins at a column of no line above it.
fn indentation(lines: &[Line<'_>]) -> Option<Diagnostic> {
    let [before @ .., line] = lines else { return None };
    let above = before.last()?;
    let mut levels = BTreeSet::new();
    let mut least = usize::MAX;
    for line in before.iter().rev() {
        // A level is closed by a later line with less indentation.
        levels.extend([line.indent, line.column].into_iter().filter(|level| *level < least));
        least = least.min(line.indent);
    }
    let goes_in = line.indent > above.column && (above.opens() || !above.has_colon());
    if levels.contains(&line.indent) || goes_in {
        return None;
    }
    let nearest = |mut levels: Vec<usize>| {
        levels.retain(|level| *level > 0);
        levels
    };
    let inner = levels.iter().copied().find(|level| *level > line.indent);
    let outer = levels.iter().copied().rfind(|level| *level < line.indent);
    let near = nearest(inner.into_iter().chain(outer).collect());
    let others = match near[..] {
        [] => "with none".to_owned(),
        [one] => format!("with {one}"),
        [inner, outer, ..] => format!("with {inner} or {outer}"),
    };
    let own = spaces(line.indent);
    let start = line.span.start;
    let message = format!("this line begins with {own}, and those above it {others}");
    Some(
        Diagnostic::error("", message)
            .label(start..start + line.indent.max(1), own)
            .help("entries of one map or list begin at the same column"),
    )
}

fn spaces(count: usize) -> String {
    match count {
        0 => "no space".to_owned(),
        1 => "1 space".to_owned(),
        many => format!("{many} spaces"),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        model::SourceText,
        spec::{context::Context, yaml},
    };
    use std::sync::Arc;

    /// The message for a text, and the part of the text that is shown.
    fn error(text: &str) -> (String, String) {
        let source = SourceText::new("a.yaml".into(), text.to_owned());
        let mut cx = Context::new(Arc::new(source));
        assert!(yaml::parse(&mut cx).is_none(), "{text}");
        let found = &cx.diagnostics[0];
        (found.message.clone(), text[found.labels[0].0.clone()].to_owned())
    }

    #[test]
    fn a_missing_colon_is_blamed_where_it_is_missing() {
        for (text, word) in [
            ("name: a\nsteps:\n  clips\n    op: x\n    path: y\n", "clips"),
            ("name: a\nsteps:\n  clips:\n    op x\n    path: y\n", "op"),
            ("name: a\nsteps:\n  clips:\n    op: x\n    path y\n  mel:\n    op: z\n", "path"),
            ("name: a\nsteps\n  clips: { op: x }\n", "steps"),
            ("name a\nsteps:\n  clips: { op: x }\n", "name"),
            ("name: a\nsteps:\n  clips: { op: x }\n  mel { op: y, in: z }\n", "mel"),
            ("name: a\nsteps:\n  größe\n    op: x\n", "größe"),
            ("a:\n  - b: 1\n    c\n    d: 2\n", "c"),
        ] {
            let expected = (format!("a colon is missing after `{word}`"), word.to_owned());
            assert_eq!(error(text), expected, "{text}");
        }
        let (message, place) = error("name: a\nsteps:\n  clips:{ op: x, path: y }\n");
        assert_eq!(message, "a space is missing after the colon of `clips`");
        assert_eq!(place, ":");
    }

    #[test]
    fn a_second_colon_is_blamed_where_none_is_missing() {
        for text in [
            "a: b: c\n",
            "text: a study: of two\nb: 1\n",
            "a: one\n   two\n   three: four\n",
            "a: one\n   two\n   three\n   four: five\n",
            "a: |\n  one\n  two\nb: c: d\n",
            "a:\n  - one\n  - b: c: d\n",
        ] {
            assert!(error(text).0.starts_with("a second `:`"), "{text}: {:?}", error(text));
        }
    }

    #[test]
    fn a_column_of_its_own_is_counted() {
        for (text, message) in [
            ("s:\n  c:\n    op: x\n   path: y\n", "3 spaces, and those above it with 4 or 2"),
            ("s:\n  c: { op: x }\n   m: { op: y }\n", "3 spaces, and those above it with 2"),
            ("s:\n   c: { op: x }\n  m: { op: y }\n", "2 spaces, and those above it with 3"),
            ("s:\n  c:\n    op: x\n     path: y\n", "5 spaces, and those above it with 4"),
            ("n: a\n s:\n  c: x\n", "1 space, and those above it with none"),
            ("t:\n    - { r: a }\n   - { r: b }\n", "3 spaces, and those above it with 4"),
        ] {
            let expected = format!("this line begins with {message}");
            assert_eq!(error(text).0, expected, "{text}");
            assert!(error(text).1.trim().is_empty(), "{text}");
        }
    }
}
