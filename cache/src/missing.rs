//! The rule for missing values in a table from another program, common to all readers.
//!
//! A text cell, in CSV and in Parquet, is missing if it is one of [`MISSING`] without the white
//! space around it. A Parquet cell is also missing if it is null, and a number if it is NaN. The
//! consequences:
//!
//! - `clip_id`, a path and a feature are required: a row without one is an error that names the
//!   row.
//! - A clip without a `group` is a recording of its own, named as the clip ([`groups`]).
//! - A clip without a `label` is unlabelled: its label is the empty text. It is clustered as others
//!   are, and scores and figures that compare with labels leave it out. A list of recordings must
//!   label all of them.

/// Texts that mean "no value": those of pandas' `read_csv`.
pub const MISSING: &[&str] = &[
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// True if a text cell is missing.
pub fn is_missing(cell: &str) -> bool {
    MISSING.contains(&cell.trim())
}

/// The label of a clip that a clusterer put into no cluster, as scikit-learn writes it.
pub const NOISE: &str = "-1";

/// True if the name of a cluster means noise, that is no cluster.
pub fn is_noise(cluster: &str) -> bool {
    cluster == NOISE || cluster.trim().is_empty()
}

/// The group of each clip: its own name where none is given. `None` if no clip has one.
pub fn groups(ids: &[String], groups: &[String]) -> Option<Vec<String>> {
    if groups.iter().all(|group| is_missing(group)) {
        return None;
    }
    let own = |(id, group): (&String, &String)| {
        if is_missing(group) { id.clone() } else { group.clone() }
    };
    Some(ids.iter().zip(groups).map(own).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_and_what_pandas_takes_for_it() {
        for cell in ["", "  ", "NaN", " nan ", "NA", "None", "null", "<NA>"] {
            assert!(is_missing(cell), "`{cell}`");
        }
        for cell in ["0", "none", "na", "-", "x", "Nan"] {
            assert!(!is_missing(cell), "`{cell}`");
        }
    }

    #[test]
    fn a_clip_without_a_group_is_one_of_its_own() {
        let text = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let ids = text(&["a", "b", "c"]);
        assert_eq!(groups(&ids, &text(&["", "s1", "NA"])), Some(text(&["a", "s1", "c"])));
        assert_eq!(groups(&ids, &text(&["", " ", "nan"])), None);
    }
}
