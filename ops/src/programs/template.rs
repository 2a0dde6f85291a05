//! Placeholders in the arguments of a program: `{in.NAME}`, `{out.NAME}`, `{param.NAME}` and
//! `{seed}`.

/// A part of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Literal text, including braces that are no placeholder.
    Text(&'a str),
    /// `{in.NAME}`
    Input(&'a str),
    /// `{out.NAME}`
    Output(&'a str),
    /// `{param.NAME}`
    Param(&'a str),
    /// `{seed}`
    Seed,
}

/// The parts of an argument, in order.
pub fn parts(argument: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut text, mut from) = (0, 0);
    while let Some(open) = argument[from..].find('{').map(|at| from + at) {
        from = open + 1;
        let Some(close) = argument[from..].find('}').map(|at| from + at) else { break };
        let Some(place) = place(&argument[from..close]) else { continue };
        if text < open {
            parts.push(Part::Text(&argument[text..open]));
        }
        parts.push(place);
        (text, from) = (close + 1, close + 1);
    }
    if text < argument.len() {
        parts.push(Part::Text(&argument[text..]));
    }
    parts
}

fn place(inner: &str) -> Option<Part<'_>> {
    if inner == "seed" {
        return Some(Part::Seed);
    }
    let (what, name) = inner.split_once('.')?;
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if name.is_empty() || !name.chars().all(fits) {
        return None;
    }
    match what {
        "in" => Some(Part::Input(name)),
        "out" => Some(Part::Output(name)),
        "param" => Some(Part::Param(name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Part::{Input, Output, Param, Seed, Text};
    use proptest::prelude::*;

    #[test]
    fn places_stand_anywhere_in_an_argument() {
        assert_eq!(parts("{in.x}"), [Input("x")]);
        assert_eq!(parts("--to={out.y_1}.old"), [Text("--to="), Output("y_1"), Text(".old")]);
        assert_eq!(parts("{param.k}{seed}"), [Param("k"), Seed]);
        assert_eq!(parts("é{in.x}"), [Text("é"), Input("x")]);
        assert_eq!(parts("{{in.x}}"), [Text("{"), Input("x"), Text("}")]);
    }

    #[test]
    fn other_braces_are_text() {
        for text in ["{print $1}", "{in.}", "{in.a b}", "{seed", "}{", "{on.x}", "{in}", "{}"] {
            assert_eq!(parts(text), [Text(text)]);
        }
        assert_eq!(parts(""), []);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "[{}.a-c seedinoutparm]{0,40}") {
            let spelt = parts(&text).into_iter().map(|part| match part {
                Text(text) => text.to_owned(),
                Input(name) => format!("{{in.{name}}}"),
                Output(name) => format!("{{out.{name}}}"),
                Param(name) => format!("{{param.{name}}}"),
                Seed => "{seed}".to_owned(),
            });
            prop_assert_eq!(spelt.collect::<String>(), text);
        }
    }
}
