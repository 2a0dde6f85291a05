//! Suggestions ("did you mean"): the nearest of the names that are possible at a place.

use crate::ui::diagnostic::{listed, quote};

/// The name nearest to the written one, if it is near enough.
pub fn closest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.is_empty() || written.len() > 80 {
        return None;
    }
    let plain = |name: &str| name.to_lowercase().replace(['-', ' '], "_");
    let wanted = plain(written);
    let mut best: Option<(usize, &str)> = None;
    for name in names {
        let candidate = plain(name);
        let mut distance = strsim::damerau_levenshtein(&wanted, &candidate);
        // `clust` or `n_clusters` for `clusters`: a name within the other is near, whatever is
        // missing.
        let shorter = wanted.len().min(candidate.len());
        if shorter >= 3 && (candidate.contains(&wanted) || wanted.contains(&candidate)) {
            distance = distance.min(1);
        }
        let allowed = (wanted.chars().count().max(candidate.chars().count()) / 3).max(1);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, name));
        }
    }
    // A single letter is near to every other one, so it gives no suggestion.
    best.filter(|(distance, _)| written.chars().count() > 1 || *distance == 0).map(|(_, name)| name)
}

/// "did you mean `a`?", or else the possible names: "the variables are `a` and `b`".
pub fn help(written: &str, names: &[&str], these_are: &str) -> Option<String> {
    if let Some(name) = closest(written, names.iter().copied()) {
        return Some(format!("did you mean {}?", quote(name)));
    }
    match names.len() {
        0 => None,
        1 => Some(format!("there is only {}", quote(names[0]))),
        2..=24 => Some(format!("{these_are} {}", listed(names, "and"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["kmeans", "pca", "log_mel", "clusters"];
        let near =
            [("kmaens", "kmeans"), ("PCA", "pca"), ("log-mel", "log_mel"), ("mel", "log_mel")];
        for (written, name) in near {
            assert_eq!(closest(written, names), Some(name), "{written}");
        }
        assert_eq!(closest("n_clusters", names), Some("clusters"));
        for far in ["umap", "x", "", "something_else"] {
            assert_eq!(closest(far, names), None, "{far}");
        }
    }
}
