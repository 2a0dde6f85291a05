//! Makes text harmless to a terminal. File names, titles and the output of programs come from
//! anywhere, and a terminal obeys the control characters in them.

use std::{borrow::Cow, fmt::Write};

/// Returns the text with every character that acts on a terminal, or on the order of the text,
/// spelled as `\u001b`. JSON therefore stays the same JSON. Line ends and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    if text.as_bytes().iter().all(is_plain) || !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let ends_line = letter == '\r' && letters.peek() == Some(&'\n');
        if is_unsafe(letter) && !ends_line {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

/// True for controls of C0 and C1, for separators of lines and paragraphs, and for invisible
/// characters that change what is beside them: direction marks, tags, annotations.
fn is_unsafe(letter: char) -> bool {
    match letter {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' => true,
        '\u{e0000}'..='\u{e007f}' => true,
        _ => letter.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::visible;
    use std::borrow::Cow;

    #[test]
    fn what_acts_is_spelled_and_all_else_stays() {
        let fine = "größe 主成分 🎵 e\u{301} 👩\u{200d}🔬 \u{a0}\n\t|";
        assert!(matches!(visible(fine), Cow::Borrowed(it) if it == fine));
        let osc = "a\u{1b}]52;c;aGk=\u{7}b";
        assert_eq!(visible(osc), "a\\u001b]52;c;aGk=\\u0007b");
        assert_eq!(visible("\u{9b}31m \r \u{7f}"), "\\u009b31m \\u000d \\u007f");
        assert_eq!(visible("\u{202e}gnp.wav\u{2028}"), "\\u202egnp.wav\\u2028");
        assert_eq!(visible("\u{e0041}"), "\\udb40\\udc41");
    }

    #[test]
    fn json_stays_the_same_json() {
        let hostile: String = (0..=0x2_ffff).filter_map(char::from_u32).collect();
        let json = serde_json::to_string(&hostile).expect("text is JSON");
        let shown = visible(&json);
        assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), hostile);
        assert_eq!(visible(&shown), shown);
        assert_eq!(visible("a\r\nb\r"), "a\r\nb\\u000d");
    }
}
