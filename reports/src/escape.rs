//! Escaping for Markdown, HTML and LaTeX. Names and labels come from other programs, so nothing in
//! them may act as markup.

use std::fmt::{self, Display};

/// Text that is escaped when it is written.
pub struct Escaped<'t> {
    text: &'t str,
    /// The replacement of a character; `None` if it needs none.
    instead: fn(char) -> Option<&'static str>,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = 0;
        for (at, letter) in self.text.char_indices() {
            let instead = match has_hidden_effect(letter) {
                true => Some("\u{fffd}"),
                false => (self.instead)(letter),
            };
            if let Some(instead) = instead {
                f.write_str(&self.text[written..at])?;
                f.write_str(instead)?;
                written = at + letter.len_utf8();
            }
        }
        f.write_str(&self.text[written..])
    }
}

/// Escapes every character with a meaning in Markdown or HTML.
pub fn markdown(text: &str) -> Escaped<'_> {
    let instead = |letter| {
        Some(match letter {
            '<' => "&lt;",
            '>' => "&gt;",
            '&' => "&amp;",
            '\\' => "\\\\",
            '`' => "\\`",
            '*' => "\\*",
            '_' => "\\_",
            '{' => "\\{",
            '}' => "\\}",
            '[' => "\\[",
            ']' => "\\]",
            '#' => "\\#",
            '|' => "\\|",
            '$' => "\\$",
            '~' => "\\~",
            '!' => "\\!",
            _ => return None,
        })
    };
    Escaped { text, instead }
}

/// Formats text as inline code of Markdown, whatever backticks and bars it contains.
pub fn markdown_code(text: &str) -> String {
    let shown = Escaped { text, instead: |letter| (letter == '|').then_some("\\|") };
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if longest > 0 { " " } else { "" };
    format!("{fence}{pad}{shown}{pad}{fence}")
}

/// Escapes text for HTML, in an element or a quoted attribute.
pub fn html(text: &str) -> Escaped<'_> {
    let instead = |letter| {
        Some(match letter {
            '<' => "&lt;",
            '>' => "&gt;",
            '&' => "&amp;",
            '"' => "&quot;",
            '\'' => "&#39;",
            _ => return None,
        })
    };
    Escaped { text, instead }
}

/// Escapes every character with a meaning in LaTeX.
pub fn latex(text: &str) -> Escaped<'_> {
    let instead = |letter| {
        Some(match letter {
            '\\' => "\\textbackslash{}",
            '~' => "\\textasciitilde{}",
            '^' => "\\textasciicircum{}",
            '<' => "\\textless{}",
            '>' => "\\textgreater{}",
            '|' => "\\textbar{}",
            '`' => "\\textasciigrave{}",
            '&' => "\\&",
            '%' => "\\%",
            '$' => "\\$",
            '#' => "\\#",
            '_' => "\\_",
            '{' => "\\{",
            '}' => "\\}",
            // Characters that pdfTeX does not have in text.
            '↑' => "$\\uparrow$",
            '↓' => "$\\downarrow$",
            'β' => "$\\beta$",
            '×' => "$\\times$",
            '±' => "$\\pm$",
            '≥' => "$\\geq$",
            '≤' => "$\\leq$",
            '−' => "$-$",
            _ => return None,
        })
    };
    Escaped { text, instead }
}

/// A relative address with every byte percent-encoded that has a meaning in an address.
pub fn address(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b'#' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

/// The address of a file, in which no character of the name starts a fragment.
pub fn path(name: &str) -> String {
    address(name).replace('#', "%23")
}

/// Replaces invisible characters with an effect: line breaks, control characters, marks of text
/// direction.
pub fn visible(text: &str) -> Escaped<'_> {
    Escaped { text, instead: |_| None }
}

pub fn has_hidden_effect(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts() {
        assert_eq!(markdown("<script>a|b`$x").to_string(), "&lt;script&gt;a\\|b\\`\\$x");
        assert_eq!(markdown("<b> *take* 1").to_string(), "&lt;b&gt; \\*take\\* 1");
        assert_eq!(markdown("a\nb\u{202e}c").to_string(), "a\u{fffd}b\u{fffd}c");
        assert_eq!(markdown_code("a`b``c|d"), "``` a`b``c\\|d ```");
        assert_eq!(markdown_code("plain.wav"), "`plain.wav`");
        assert_eq!(
            html("<i a='1'>\"&\u{202e}").to_string(),
            "&lt;i a=&#39;1&#39;&gt;&quot;&amp;\u{fffd}"
        );
        assert_eq!(
            latex("50% of $x_1^2$ \\input{a}").to_string(),
            "50\\% of \\$x\\_1\\textasciicircum{}2\\$ \\textbackslash{}input\\{a\\}"
        );
        assert_eq!(address("a b/c\"(1).wav"), "a%20b/c%22%281%29.wav");
        assert_eq!(address("javascript:alert(1)"), "javascript%3Aalert%281%29");
    }
}
