//! Which values of a table from outside are missing: the one rule of all readers.
//!
//! A cell of text, in CSV and in Parquet alike, is missing if it is one of [`MISSING`] once white
//! space around it is gone. A cell of Parquet is also missing if it is null, and a number if it is
//! NaN. What follows from it:
//!
//! - `clip_id`, a path and a feature must be there: a row without one is a fault that is named.
//! - A clip without a `group` is a recording of its own, named as the clip ([`groups`]).
//! - A clip without a `label` is unlabelled: its label is the empty text, it is clustered as others
//!   are, and scores and pictures that compare with labels leave it out. A list of recordings must
//!   label all of them.

/// Texts that mean "no value": those of pandas' `read_csv`.
pub const MISSING: &[&str] = &[
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// Whether a cell of text has no value.
pub fn is_missing(cell: &str) -> bool {
    MISSING.contains(&cell.trim())
}

/// The group of each clip: its own name where none is given. None at all if no clip has one.
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
