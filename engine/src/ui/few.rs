//! Selects the diagnostics that are shown.

use super::diagnostic::{Diagnostic, Severity};

/// The most diagnostics of one pipeline that are shown; the others are only counted.
const MOST_SHOWN: usize = 50;

/// The diagnostics to show, in their order; errors are chosen before warnings. A line counts the
/// others.
pub fn few(faults: &[Diagnostic]) -> (Vec<Diagnostic>, Option<String>) {
    let mut chosen: Vec<usize> = (0..faults.len()).collect();
    chosen.sort_by_key(|at| faults[*at].severity);
    let hidden = chosen.split_off(chosen.len().min(MOST_SHOWN));
    chosen.sort_unstable();
    let errors = hidden.iter().filter(|at| faults[**at].severity == Severity::Error).count();
    let counted = |count: usize, name: &str| match count {
        0 => None,
        1 => Some(format!("1 more {name}")),
        _ => Some(format!("{count} more {name}s")),
    };
    let rest = [counted(errors, "error"), counted(hidden.len() - errors, "warning")];
    let rest: Vec<String> = rest.into_iter().flatten().collect();
    let rest = (!rest.is_empty()).then(|| format!("and {}", rest.join(" and ")));
    (chosen.into_iter().map(|at| faults[at].clone()).collect(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_faults_some_are_shown_and_all_errors_before_warnings() {
        let mut faults = vec![Diagnostic::warning("spec::test", "odd"); 60];
        faults.extend(vec![Diagnostic::error("spec::test", "wrong"); 45]);
        let (shown, rest) = few(&faults);
        let errors = shown.iter().filter(|fault| fault.severity == Severity::Error).count();
        assert_eq!((shown.len(), errors), (50, 45));
        assert_eq!(rest.as_deref(), Some("and 55 more warnings"));
        assert_eq!(few(&faults[..50]).1, None);
        faults.extend(vec![Diagnostic::error("spec::test", "wrong"); 6]);
        assert_eq!(few(&faults).1.as_deref(), Some("and 1 more error and 60 more warnings"));
    }
}
