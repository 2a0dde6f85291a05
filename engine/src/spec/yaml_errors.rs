//! Diagnostics of YAML errors, in words for authors of pipelines.

use super::yaml_slip;
use crate::{model::Span, ui::diagnostic::Diagnostic};
use granit_parser::{ErrorKind as E, ScanError};

/// The diagnostic for the text at the place where the parser stopped.
pub fn explain(text: &str, error: &ScanError) -> Diagnostic {
    let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
    let line = line_of(text, at);
    let written = &text[line.clone()];
    let (code, message, remark, help) = words(error.kind());
    let mut place = place(text, at);
    let mut diagnostic = Diagnostic::error(code, message).help(help);

    // The parser stops where the text no longer fits; often a common mistake on that line is the
    // cause.
    if written.trim_start_matches([' ', '-']).starts_with('\t') || indent_has_tab(written) {
        let tab = line.start + written.find('\t').unwrap_or(0);
        return Diagnostic::error("spec::tab", "a tab stands where only spaces may")
            .label(tab..tab + 1, "a tab")
            .help("indent with spaces: two for each level");
    }
    if let Some(bare) = bare_variable(written) {
        place = line.start + bare.start..line.start + bare.end;
        let variable = &text[place.clone()];
        return Diagnostic::error("spec::yaml", "a variable within braces needs quotes")
            .label(place, "YAML reads this brace as the start of a map")
            .help(format!("write \"{variable}\""));
    }
    if is_of_lines(error.kind())
        && let Some(slip) = yaml_slip::find(text, at)
    {
        return slip;
    }
    if let Some(bare) = bare_star(written) {
        place = line.start + bare.start..line.start + bare.end;
        diagnostic = Diagnostic::error("spec::yaml", "a name with `*` needs quotes here")
            .help("YAML reads a leading `*` as a reference to an anchor");
    }
    diagnostic.label(place, remark)
}

/// True if indentation or a colon may be the cause.
fn is_of_lines(kind: &E) -> bool {
    matches!(
        kind,
        E::SimpleKeyExpected
            | E::InvalidSimpleKey
            | E::ExpectedBlockMappingKey
            | E::UnexpectedEofBlockMapping
            | E::MappingValueNotAllowed
            | E::InvalidColonPlacement
            | E::MappingKeyNotAllowed
            | E::InvalidIndentation
            | E::ExpectedBlockSequenceEntry
            | E::BlockSequenceEntryNotAllowed
    )
}

type Words = (&'static str, &'static str, &'static str, &'static str);

fn words(kind: &E) -> Words {
    const YAML: &str = "spec::yaml";
    match kind {
        E::TabNotAllowed
        | E::TabInBlockIndentation
        | E::TabInIndentation
        | E::TabAtBlockScalarStart
        | E::TabInPlainScalar => (
            "spec::tab",
            "a tab stands where only spaces may",
            "a tab",
            "indent with spaces: two for each level",
        ),
        E::RecursionLimitExceeded => (
            "spec::too_deep",
            "lists and maps are nested too deeply",
            "one level too many",
            "is a closing bracket missing?",
        ),
        E::UnexpectedEofFlowMapping
        | E::UnexpectedEofImplicitFlowMapping
        | E::UnclosedFlowCollection { open: '{' } => {
            (YAML, "a `{` is never closed", "the file ends before its `}`", "add the missing `}`")
        }
        E::UnexpectedEofFlowSequence | E::UnclosedFlowCollection { .. } => {
            (YAML, "a `[` is never closed", "the file ends before its `]`", "add the missing `]`")
        }
        E::ExpectedFlowMappingSeparator => (
            YAML,
            "this does not fit into the `{ … }` around it",
            "a `,` or the closing `}` is missing before this",
            "write entries as `name: value` (with a space after the colon), separated by commas",
        ),
        E::ExpectedFlowSequenceSeparator => (
            YAML,
            "this does not fit into the `[ … ]` around it",
            "a `,` or the closing `]` is missing before this",
            "separate items with commas",
        ),
        E::MisplacedFlowCollectionEnd => (
            YAML,
            "a bracket is closed that was never opened",
            "no bracket is open here",
            "remove it, or add the opening one",
        ),
        E::MismatchedFlowCollectionEnd { open: '{', .. } => (
            YAML,
            "the wrong bracket is closed",
            "a `{` is still open here, so `}` must come first",
            "close brackets in the order in which they were opened, last one first",
        ),
        E::MismatchedFlowCollectionEnd { .. } => (
            YAML,
            "the wrong bracket is closed",
            "a `[` is still open here, so `]` must come first",
            "close brackets in the order in which they were opened, last one first",
        ),
        E::UnclosedQuotedScalar => (
            YAML,
            "a quote is never closed",
            "the text that began before this has no end",
            "add the missing quote; within '…' an apostrophe is written twice",
        ),
        E::SimpleKeyExpected
        | E::InvalidSimpleKey
        | E::ExpectedBlockMappingKey
        | E::UnexpectedEofBlockMapping => (
            YAML,
            "a `name: value` is expected here",
            "not a `name: value`",
            "put a colon and a space after the name, and check that the line is indented like \
             those above it",
        ),
        E::MappingValueNotAllowed | E::InvalidColonPlacement | E::MappingKeyNotAllowed => (
            YAML,
            "a second `:` on this line cannot be understood",
            "this colon",
            "put the value in quotes if the colon belongs to it, or write `{ … }` around a map",
        ),
        E::InvalidIndentation | E::ExpectedBlockSequenceEntry | E::BlockSequenceEntryNotAllowed => {
            (
                YAML,
                "the indentation does not fit the lines above",
                "this line begins at a column of its own",
                "entries of one map or list begin at the same column",
            )
        }
        E::UnexpectedCharacter { .. } => (
            YAML,
            "this character cannot stand here",
            "this character",
            "put the text in quotes, and write a control character as an escape in them: \"\\x9b\"",
        ),
        E::UnknownQuotedScalarEscape | E::InvalidQuotedScalarHexEscape => (
            YAML,
            "this backslash sequence is unknown",
            "within \"…\" a backslash has a meaning",
            "use '…' instead, where a backslash is only a backslash, or `/` in paths",
        ),
        _ => (
            YAML,
            "this is not valid YAML",
            "not understood from here on",
            "check colons, commas, brackets and quotes on this line and the one above",
        ),
    }
}

fn line_of(text: &str, at: usize) -> Span {
    let start = text[..at].rfind('\n').map_or(0, |before| before + 1);
    let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
    start..end
}

/// One character at a place; the character before it at the end of the text.
fn place(text: &str, at: usize) -> Span {
    match text[at..].chars().next() {
        Some(next) if next != '\n' && next != '\r' => at..at + next.len_utf8(),
        _ => {
            let last = text[..at].trim_end().char_indices().next_back();
            last.map_or(0..0, |(start, last)| start..start + last.len_utf8())
        }
    }
}

fn indent_has_tab(line: &str) -> bool {
    line.chars().take_while(|letter| letter.is_whitespace()).any(|letter| letter == '\t')
}

/// The place of `${x}` as the unquoted beginning of a value within braces.
fn bare_variable(line: &str) -> Option<Span> {
    for (start, _) in line.match_indices("${") {
        let before = line[..start].trim_end();
        let quotes = before.matches('"').count() % 2 + before.matches('\'').count() % 2;
        if quotes == 0 && before.contains('{') {
            let end = line[start..].find('}').map_or(line.len(), |length| start + length + 1);
            return Some(start..end);
        }
    }
    None
}

/// The place of `*` alone at the beginning of a value.
fn bare_star(line: &str) -> Option<Span> {
    let at = line.find(": *").map(|at| at + 2)?;
    let next = line[at + 1..].chars().next();
    next.is_none_or(|next| !next.is_alphanumeric()).then_some(at..at + 1)
}
