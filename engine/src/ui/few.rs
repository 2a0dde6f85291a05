//! Selects the diagnostics that are shown.

use super::diagnostic::{Diagnostic, Severity};

/// The most diagnostics of one pipeline that are shown; the others are only counted.
const MAX_SHOWN: usize = 50;

/// The diagnostics to show, in their order; errors are chosen before warnings. A line counts the
/// others.
pub fn few(diagnostics: &[Diagnostic]) -> (Vec<Diagnostic>, Option<String>) {
    let mut chosen: Vec<usize> = (0..diagnostics.len()).collect();
    chosen.sort_by_key(|at| diagnostics[*at].severity);
    let hidden = chosen.split_off(chosen.len().min(MAX_SHOWN));
    chosen.sort_unstable();
    let errors = hidden.iter().filter(|at| diagnostics[**at].severity == Severity::Error).count();
    let counted = |count: usize, name: &str| match count {
        0 => None,
        1 => Some(format!("1 more {name}")),
        _ => Some(format!("{count} more {name}s")),
    };
    let rest = [counted(errors, "error"), counted(hidden.len() - errors, "warning")];
    let rest: Vec<String> = rest.into_iter().flatten().collect();
    let rest = (!rest.is_empty()).then(|| format!("and {}", rest.join(" and ")));
    (chosen.into_iter().map(|at| diagnostics[at].clone()).collect(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_faults_some_are_shown_and_all_errors_before_warnings() {
        let mut diagnostics = vec![Diagnostic::warning("spec::test", "odd"); 60];
        diagnostics.extend(vec![Diagnostic::error("spec::test", "wrong"); 45]);
        let (shown, rest) = few(&diagnostics);
        let errors = shown.iter().filter(|error| error.severity == Severity::Error).count();
        assert_eq!((shown.len(), errors), (50, 45));
        assert_eq!(rest.as_deref(), Some("and 55 more warnings"));
        assert_eq!(few(&diagnostics[..50]).1, None);
        diagnostics.extend(vec![Diagnostic::error("spec::test", "wrong"); 6]);
        assert_eq!(few(&diagnostics).1.as_deref(), Some("and 1 more error and 60 more warnings"));
    }
}
