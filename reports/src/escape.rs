//! Names and labels come from outside: nothing in them may act as Markdown, HTML or LaTeX.

use std::fmt::{self, Display};

/// Text to be written so that nothing in it acts: each stretch as it is, letters that act replaced.
pub struct Escaped<'t> {
    text: &'t str,
    /// What stands in for a letter; none if it does not act.
    instead: fn(char) -> Option<&'static str>,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = 0;
        for (at, letter) in self.text.char_indices() {
            let instead = match acts_unseen(letter) {
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

/// Text in which no character acts as Markdown or HTML.
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

/// Text as inline code of Markdown, whatever backticks and bars are in it.
pub fn markdown_code(text: &str) -> String {
    let shown = Escaped { text, instead: |letter| (letter == '|').then_some("\\|") };
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if longest > 0 { " " } else { "" };
    format!("{fence}{pad}{shown}{pad}{fence}")
}

/// Text in which no character acts as HTML, in an element or a quoted attribute.
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

/// Text in which no character acts as LaTeX.
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
            // What pdfTeX has no letter for in text.
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

/// A relative address: every byte that could act is written as its number.
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

/// The address of a file: nothing in its name leads to a part of a page.
pub fn path(name: &str) -> String {
    address(name).replace('#', "%23")
}

/// Text without what acts unseen: line ends, control characters, marks that turn its direction.
pub fn visible(text: &str) -> Escaped<'_> {
    Escaped { text, instead: |_| None }
}

pub fn acts_unseen(letter: char) -> bool {
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
