//! Diagnostics of a pipeline: message, place and help; and how they are drawn.

use crate::{
    model::{SourceText, Span},
    ui::{
        events::DIAGNOSTIC,
        few::few,
        located::{self, place_of},
        visible::visible,
    },
};
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, MietteError,
    NamedSource, Report, Severity as MietteSeverity, SourceCode, SourceSpan, SpanContents,
    ThemeCharacters, ThemeStyles,
};
use std::{borrow::Cow, fmt, io::IsTerminal, sync::Arc};
use tracing::{error, warn};

/// The severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The pipeline cannot be run.
    Error,
    /// The pipeline can be run, but is probably not what was intended.
    Warning,
}

/// One error or warning about a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// A code to search for, such as `spec::unknown_op`.
    pub code: &'static str,
    /// The severity.
    pub severity: Severity,
    /// The message: a lower-case sentence without a full stop, with names in backticks.
    pub message: String,
    /// The places in the pipeline file, the main one first, each with a short remark.
    pub labels: Vec<(Span, String)>,
    /// The advice to the user.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error, which must be corrected before the pipeline can run.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            labels: Vec::new(),
            help: None,
        }
    }

    /// A warning.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds a place.
    #[must_use]
    pub fn label(mut self, span: Span, remark: impl Into<String>) -> Self {
        self.labels.push((span, remark.into()));
        self
    }

    /// Adds advice to the user.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds advice to the user, if there is some.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// The start of the main place; diagnostics without a place come first.
    fn place(&self) -> usize {
        self.labels.first().map_or(0, |(span, _)| span.start)
    }
}

/// All diagnostics of one pipeline.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// The text that the places refer to.
    pub source: Arc<SourceText>,
    /// The diagnostics, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Sorts diagnostics in the order of the file and keeps each once, whatever the number of
    /// variants that have it.
    pub fn new(source: Arc<SourceText>, mut diagnostics: Vec<Diagnostic>) -> Self {
        let mut seen = std::collections::HashSet::new();
        diagnostics.retain(|diagnostic| {
            let spans: Vec<Span> = diagnostic.labels.iter().map(|(span, _)| span.clone()).collect();
            seen.insert((diagnostic.code, diagnostic.message.clone(), spans))
        });
        diagnostics.sort_by_key(Diagnostic::place);
        Self { source, diagnostics }
    }

    /// The number of errors among the diagnostics.
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, rest) = few(&self.diagnostics);
        f.write_str(&render(&self.source, &shown, &RenderStyle::plain(80)))?;
        rest.map_or(Ok(()), |rest| write!(f, "\n{rest}\n"))
    }
}

impl std::error::Error for Diagnostics {}

/// The style in which diagnostics are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenderStyle {
    /// True for colours and for lines outside of ASCII.
    pub fancy: bool,
    /// The width in columns.
    pub width: usize,
}

impl RenderStyle {
    /// A style in ASCII without colours.
    pub fn plain(width: usize) -> Self {
        Self { fancy: false, width }
    }

    /// The style for standard error: fancy on a terminal unless `NO_COLOR` is set.
    pub fn for_stderr() -> Self {
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let columns = std::env::var("COLUMNS").ok().and_then(|value| value.parse().ok());
        let width = columns
            .or_else(|| terminal_size::terminal_size_of(std::io::stderr()).map(|(w, _)| w.0.into()))
            .unwrap_or(80);
        Self { fancy: std::io::stderr().is_terminal() && !quiet, width: width.clamp(40, 120) }
    }
}

/// The length in bytes of the longest line of a pipeline file that is shown whole.
const MAX_LINE: usize = 400;

/// Draws diagnostics one after the other, each with the lines that it is about.
pub fn render(source: &SourceText, diagnostics: &[Diagnostic], style: &RenderStyle) -> String {
    if !source.included.is_empty() {
        let own = diagnostics.iter().map(|diagnostic| located::in_own_file(source, diagnostic));
        let drawn = own.map(|(file, diagnostic)| render(&file, &[diagnostic], style));
        return drawn.collect::<Vec<_>>().join("\n");
    }
    if let Cow::Owned(text) = visible(&source.text)
        && text != source.text
    {
        let shown = SourceText::new(source.path.clone(), text);
        let diagnostics: Vec<_> =
            diagnostics.iter().map(|diagnostic| shifted(diagnostic, &source.text)).collect();
        return render(&shown, &diagnostics, style);
    }
    let theme = if style.fancy {
        GraphicalTheme { characters: ThemeCharacters::unicode(), styles: ThemeStyles::ansi() }
    } else {
        GraphicalTheme { characters: ThemeCharacters::ascii(), styles: ThemeStyles::none() }
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(style.width)
        .with_links(false)
        .with_context_lines(1)
        .with_break_words(true)
        .tab_width(4);
    let mut out = String::new();
    for diagnostic in diagnostics {
        let severity = match diagnostic.severity {
            Severity::Error => MietteSeverity::Error,
            Severity::Warning => MietteSeverity::Warning,
        };
        let message = visible(&diagnostic.message);
        let mut drawn =
            MietteDiagnostic::new(&*message).with_code(diagnostic.code).with_severity(severity);
        drawn.help = diagnostic.help.as_deref().map(|help| visible(help).into_owned());
        let mut labels = diagnostic.labels.clone();
        for (span, remark) in &mut labels {
            *span = on_one_line(&source.text, span);
            *remark = visible(remark).into_owned();
        }
        let shown = labels.iter().all(|(span, _)| line_around(&source.text, span) <= MAX_LINE);
        let report = if shown && !labels.is_empty() {
            drawn.labels = Some(
                labels
                    .into_iter()
                    .enumerate()
                    .map(|(at, (span, remark))| labelled(at == 0, remark, span))
                    .collect(),
            );
            let name = visible(&source.path.display().to_string()).into_owned();
            Report::new(drawn)
                .with_source_code(NamedSource::new(name, WholeLines(source.text.clone())))
        } else {
            if let Some((span, remark)) = labels.first() {
                let line = source.text[..span.start].matches('\n').count() + 1;
                let place = format!(" ({}:{line}: {remark})", source.path.display());
                drawn.message.push_str(&visible(&place));
            }
            Report::new(drawn)
        };
        if !out.is_empty() {
            out.push('\n');
        }
        let start = out.len();
        if handler.render_report(&mut out, report.as_ref()).is_err() {
            out.truncate(start);
            out.push_str(&message);
        }
        let end = out.trim_end().len();
        out.truncate(end);
        out.push('\n');
    }
    out
}

/// A diagnostic whose places are moved to the text as it is shown.
fn shifted(diagnostic: &Diagnostic, text: &str) -> Diagnostic {
    let shown = |at: usize| visible(&text[..text.floor_char_boundary(at)]).len();
    let mut diagnostic = diagnostic.clone();
    diagnostic.labels.iter_mut().for_each(|(span, _)| *span = shown(span.start)..shown(span.end));
    diagnostic
}

/// Reports diagnostics as events. The first carries the drawing of all, since they are about one
/// text.
pub fn report_all(source: &SourceText, diagnostics: &[Diagnostic]) {
    if diagnostics.is_empty() {
        return;
    }
    let (diagnostics, rest) = few(diagnostics);
    let mut drawn =
        Some(render(source, &diagnostics, &RenderStyle::for_stderr()).trim_end().to_owned());
    for diagnostic in &diagnostics {
        let (own, located) = located::in_own_file(source, diagnostic);
        let file = own.path.display().to_string();
        let place = located.labels.first().map(|(span, _)| place_of(&own.text, span));
        let (line, column) = place.unzip();
        let (drawn, help) = (drawn.take(), diagnostic.help.as_deref());
        let (drawn, code, message) = (drawn.as_deref(), diagnostic.code, &*diagnostic.message);
        match diagnostic.severity {
            Severity::Error => {
                error!(target: DIAGNOSTIC, drawn, code, file, line, column, help, message);
            }
            Severity::Warning => {
                warn!(target: DIAGNOSTIC, drawn, code, file, line, column, help, message);
            }
        }
    }
    let Some(message) = rest.as_deref() else { return };
    let drawn = format!("\n{message}");
    match diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        true => error!(target: DIAGNOSTIC, drawn, message),
        false => warn!(target: DIAGNOSTIC, drawn, message),
    }
}

/// A text that shows the lines of a place whole, and no lines around them.
struct WholeLines(String);

impl SourceCode for WholeLines {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        _after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let text = &self.0;
        let (mut start, mut end) = (span.offset(), span.offset() + span.len());
        if before > 0 && end <= text.len() {
            start = text[..start].rfind('\n').map_or(0, |at| at + 1);
            end = text[end..].find('\n').map_or(text.len(), |length| end + length);
        }
        text.read_span(&(start..end).into(), 0, 0)
    }
}

fn labelled(primary: bool, remark: String, span: Span) -> LabeledSpan {
    let remark = Some(remark).filter(|remark| !remark.is_empty());
    if primary {
        LabeledSpan::new_primary_with_span(remark, span)
    } else {
        LabeledSpan::new_with_span(remark, span)
    }
}

/// The part of a span on its first line, at character boundaries, so that a long block does not
/// fill the screen.
fn on_one_line(text: &str, span: &Span) -> Span {
    let bound = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, end) = (bound(span.start), bound(span.end.max(span.start)));
    let line = text[start..end].find('\n').map_or(end, |length| start + length);
    start..start + text[start..line].trim_end().len()
}

/// The length in bytes of the line that a span starts on.
fn line_around(text: &str, span: &Span) -> usize {
    let before = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let after = text[span.start..].find('\n').map_or(text.len(), |length| span.start + length);
    after - before
}

/// Puts a user's text in backticks, on one line, shortened when it is long.
pub fn quote(text: &str) -> String {
    const MAX_CHARACTERS: usize = 40;
    let mut shown: String =
        text.chars().take(MAX_CHARACTERS).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_CHARACTERS).is_some() {
        shown.push('…');
    }
    // Characters that are escaped only in Rust literals are shown as they were written.
    format!("`{}`", shown.replace("\\'", "'").replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// Joins names in backticks: "`a`, `b` and `c`", or "… or `c`".
pub fn listed<S: AsRef<str>>(names: &[S], last: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| quote(name.as_ref())).collect();
    match quoted.split_last() {
        None => "none".to_owned(),
        Some((only, [])) => only.clone(),
        Some((end, rest)) => format!("{} {last} {end}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> SourceText {
        SourceText::new("a.yaml".into(), text.to_owned())
    }

    #[test]
    fn spans_beyond_the_text_or_inside_a_character_are_harmless() {
        let source = source("name: \u{e9}\n");
        for span in [0..500, 7..7, 7..8, 300..301, Span { start: 8, end: 2 }] {
            let diagnostic = Diagnostic::error("spec::test", "odd").label(span, "here");
            assert!(render(&source, &[diagnostic], &RenderStyle::plain(60)).contains("odd"));
        }
    }

    #[test]
    fn places_stay_where_text_is_spelled_out() {
        let text = "name: a\u{1b}[31m\u{202e}b\nsteps: { x: y }\n";
        let diagnostic =
            Diagnostic::error("spec::test", "odd \u{9b}1m").label(26..27, "\u{1b}c").help("\u{7}");
        let shown = render(&source(text), &[diagnostic], &RenderStyle::plain(80));
        assert!(shown.contains("odd \\u009b1m") && shown.contains("\\u001bc"), "{shown}");
        let marked = shown.lines().position(|line| line.contains("x: y")).expect("the line");
        let column = |line: &str, what| line.find(what).expect("its place");
        let (line, below) = (shown.lines().nth(marked), shown.lines().nth(marked + 1));
        let (line, below) = (line.expect("a line"), below.expect("a line below"));
        // The mark is below the first letter of the place, which is the second of `steps`.
        assert_eq!(column(line, "x: y"), column(below, "|"), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{9b}', '\u{7}', '\u{202e}']));
    }

    #[test]
    fn a_very_long_line_is_not_shown() {
        let source = source(&format!("name: {}\n", "x".repeat(10_000)));
        let diagnostic = Diagnostic::error("spec::test", "odd").label(6..10_006, "here");
        assert!(render(&source, &[diagnostic], &RenderStyle::plain(60)).len() < 300);
    }

    #[test]
    fn plain_is_ascii_for_ascii() {
        let diagnostic = Diagnostic::error("spec::test", "odd").label(0..4, "here").help("do this");
        let shown = render(&source("name: a\n"), &[diagnostic], &RenderStyle::plain(60));
        assert!(shown.is_ascii(), "{shown}");
    }

    #[test]
    fn long_and_odd_texts_are_quoted_on_one_line() {
        assert_eq!(quote("a\nb"), "`a\\nb`");
        assert_eq!(quote("it's"), "`it's`");
        assert_eq!(quote(&"x".repeat(50)), format!("`{}…`", "x".repeat(40)));
        assert_eq!(listed(&["a", "b", "c"], "or"), "`a`, `b` or `c`");
    }
}
