//! Names and labels come from outside: nothing in them may act as Markdown, HTML or LaTeX.

/// Text in which no character acts as Markdown or HTML.
pub fn markdown(text: &str) -> String {
    replaced(text, |out, letter| match letter {
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '&' => out.push_str("&amp;"),
        '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '$' | '~' | '!' => {
            out.push('\\');
            out.push(letter);
        }
        _ => out.push(letter),
    })
}

/// Text as inline code of Markdown, whatever backticks and bars are in it.
pub fn markdown_code(text: &str) -> String {
    let shown = visible(text);
    let longest = shown.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if longest > 0 { " " } else { "" };
    format!("{fence}{pad}{}{pad}{fence}", shown.replace('|', "\\|"))
}

/// Text in which no character acts as HTML, in an element or a quoted attribute.
pub fn html(text: &str) -> String {
    replaced(text, |out, letter| match letter {
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '&' => out.push_str("&amp;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        _ => out.push(letter),
    })
}

/// Text in which no character acts as LaTeX.
pub fn latex(text: &str) -> String {
    replaced(text, |out, letter| match letter {
        '\\' => out.push_str("\\textbackslash{}"),
        '~' => out.push_str("\\textasciitilde{}"),
        '^' => out.push_str("\\textasciicircum{}"),
        '<' => out.push_str("\\textless{}"),
        '>' => out.push_str("\\textgreater{}"),
        '|' => out.push_str("\\textbar{}"),
        '`' => out.push_str("\\textasciigrave{}"),
        '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
            out.push('\\');
            out.push(letter);
        }
        // What pdfTeX has no letter for in text.
        '↑' => out.push_str("$\\uparrow$"),
        '↓' => out.push_str("$\\downarrow$"),
        'β' => out.push_str("$\\beta$"),
        '×' => out.push_str("$\\times$"),
        '±' => out.push_str("$\\pm$"),
        '≥' => out.push_str("$\\geq$"),
        '≤' => out.push_str("$\\leq$"),
        '−' => out.push_str("$-$"),
        _ => out.push(letter),
    })
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
pub fn visible(text: &str) -> String {
    replaced(text, |out, letter| out.push(letter))
}

fn replaced(text: &str, push: impl Fn(&mut String, char)) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, letter| {
        if acts_unseen(letter) {
            out.push('\u{fffd}')
        } else {
            push(&mut out, letter)
        }
        out
    })
}

fn acts_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts() {
        assert_eq!(markdown("<script>a|b`$x"), "&lt;script&gt;a\\|b\\`\\$x");
        assert_eq!(markdown("<b> *take* 1"), "&lt;b&gt; \\*take\\* 1");
        assert_eq!(markdown("a\nb\u{202e}c"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(markdown_code("a`b``c|d"), "``` a`b``c\\|d ```");
        assert_eq!(markdown_code("plain.wav"), "`plain.wav`");
        assert_eq!(html("<i a='1'>\"&\u{202e}"), "&lt;i a=&#39;1&#39;&gt;&quot;&amp;\u{fffd}");
        assert_eq!(
            latex("50% of $x_1^2$ \\input{a}"),
            "50\\% of \\$x\\_1\\textasciicircum{}2\\$ \\textbackslash{}input\\{a\\}"
        );
        assert_eq!(address("a b/c\"(1).wav"), "a%20b/c%22%281%29.wav");
        assert_eq!(address("javascript:alert(1)"), "javascript%3Aalert%281%29");
    }
}
