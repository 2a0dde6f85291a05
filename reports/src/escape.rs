//! Names and labels come from outside: nothing in them may act as Markdown or HTML.

/// Text in which no character acts as Markdown or HTML.
///
/// ```
/// assert_eq!(reports::escape_markdown("<b> *take* 1"), "&lt;b&gt; \\*take\\* 1");
/// ```
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '$' | '~' | '!' => {
                out.push('\\');
                out.push(letter);
            }
            _ if acts_unseen(letter) => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
    out
}

/// Text as inline code, whatever backticks and bars are in it.
pub fn code(text: &str) -> String {
    let shown: String =
        text.chars().map(|letter| if acts_unseen(letter) { '\u{fffd}' } else { letter }).collect();
    let longest = shown.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if longest > 0 { " " } else { "" };
    format!("{fence}{pad}{}{pad}{fence}", shown.replace('|', "\\|"))
}

/// Line ends, control characters and marks that turn the direction of text.
fn acts_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts() {
        assert_eq!(markdown("<script>a|b`$x"), "&lt;script&gt;a\\|b\\`\\$x");
        assert_eq!(markdown("a\nb\u{202e}c"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(code("a`b``c|d"), "``` a`b``c\\|d ```");
        assert_eq!(code("plain.wav"), "`plain.wav`");
    }
}
