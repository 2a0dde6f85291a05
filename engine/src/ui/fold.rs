//! Fits text to the width of the terminal.

use std::os::fd::AsFd;

/// The columns of standard output, as [`width_of`] finds them.
pub fn width() -> usize {
    width_of(std::io::stdout())
}

/// The columns of a stream, standard output or standard error, at most 100; 80 where they are not
/// known.
pub fn width_of(stream: impl AsFd) -> usize {
    let stated = std::env::var("COLUMNS").ok().and_then(|value| value.parse().ok());
    let seen = || terminal_size::terminal_size_of(stream).map(|(width, _)| width.0.into());
    stated.or_else(seen).unwrap_or(80).clamp(40, 100)
}

/// Folds a paragraph behind a head to a width: its further lines begin below the paragraph. A word
/// that is longer than a line stays whole.
pub fn paragraph(head: &str, text: &str, width: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() {
        return format!("{}\n", head.trim_end());
    }
    let indent = " ".repeat(head.chars().count());
    let options = textwrap::Options::new(width)
        .initial_indent(head)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit);
    format!("{}\n", textwrap::fill(&words.join(" "), options).trim_end())
}

#[cfg(test)]
mod tests {
    use super::paragraph;

    #[test]
    fn lines_are_folded_between_words() {
        assert_eq!(paragraph("a  ", "one two three", 11), "a  one two\n   three\n");
        assert_eq!(paragraph("  ", "unbreakable word", 6), "  unbreakable\n  word\n");
        assert_eq!(paragraph("hit  ", "", 20), "hit\n");
    }
}
