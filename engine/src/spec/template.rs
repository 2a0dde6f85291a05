//! Texts with variables in them: `${name}`, `${env:NAME:-default}`, and `$${` for a plain `${`.

/// A part of a text with variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'t> {
    /// Plain text.
    Text(&'t str),
    /// A variable `${name}`.
    Variable {
        /// The name.
        name: &'t str,
        /// The variable with its braces.
        whole: &'t str,
    },
    /// An environment variable `${env:NAME}` or `${env:NAME:-default}`.
    Environment {
        /// The name.
        name: &'t str,
        /// The value to use if the variable is not set.
        default: Option<&'t str>,
        /// The variable with its braces.
        whole: &'t str,
    },
}

/// Splits a text into its parts.
///
/// # Errors
/// Returns the `${` that is not closed, or the variable without a name.
pub fn parts(text: &str) -> Result<Vec<Part<'_>>, &str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            // In `$${` the first `$` only marks the rest as plain text.
            parts.push(Part::Text(&rest[..at - 1]));
            parts.push(Part::Text("${"));
            rest = &rest[at + 2..];
            continue;
        }
        parts.push(Part::Text(&rest[..at]));
        let end = rest[at..].find('}').map(|length| at + length + 1).ok_or(&rest[at..])?;
        let whole = &rest[at..end];
        let inside = whole[2..whole.len() - 1].trim();
        let part = match inside.strip_prefix("env:") {
            Some(inside) => match inside.split_once(":-") {
                Some((name, default)) => {
                    Part::Environment { name: name.trim(), default: Some(default), whole }
                }
                None => Part::Environment { name: inside.trim(), default: None, whole },
            },
            None => Part::Variable { name: inside, whole },
        };
        if let Part::Variable { name: "", .. } | Part::Environment { name: "", .. } = part {
            return Err(whole);
        }
        parts.push(part);
        rest = &rest[end..];
    }
    parts.push(Part::Text(rest));
    parts.retain(|part| *part != Part::Text(""));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::{Part::*, parts};

    #[test]
    fn takes_texts_apart() {
        let x = Variable { name: "x", whole: "${x}" };
        assert_eq!(parts("a${x}b"), Ok(vec![Text("a"), x, Text("b")]));
        assert_eq!(parts("${x}"), Ok(vec![x]));
        assert_eq!(parts("$${x}"), Ok(vec![Text("${"), Text("x}")]));
        assert_eq!(parts("$x {y}"), Ok(vec![Text("$x {y}")]));
        let env = |default, whole| Environment { name: "A", default, whole };
        assert_eq!(parts("${env:A}"), Ok(vec![env(None, "${env:A}")]));
        assert_eq!(parts("${env:A:-b/c}"), Ok(vec![env(Some("b/c"), "${env:A:-b/c}")]));
        assert_eq!(parts("${env:A:-}"), Ok(vec![env(Some(""), "${env:A:-}")]));
        for bad in ["${", "${}", "${ }", "a ${x", "${env:}", "${env::-b}"] {
            assert!(parts(bad).is_err(), "{bad}");
        }
    }
}
