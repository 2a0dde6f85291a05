//! Assigns roles to the columns of an external table: the name of a clip, its label, its group, a
//! feature, or an index that counts rows. An ambiguous column is refused, since a label among the
//! features would reveal the classes.

use super::matrix::{Matrix, Named};
use cache::{
    cells::{Cells, ColumnType, SizeLimit, Values},
    csv::CsvTable,
    interchange::ExternalTable,
};
use std::collections::HashSet;

/// The number of diagnostics that a message lists.
const LISTED: usize = 10;

/// Common names of label columns in other programs.
const LIKE_LABELS: &[&str] = &[
    "labels",
    "class",
    "classes",
    "classid",
    "labelid",
    "target",
    "targets",
    "category",
    "genre",
    "instrument",
    "species",
    "cluster",
    "truth",
    "groundtruth",
    "ytrue",
    "groups",
    "artist",
    "speaker",
];

/// Common names of columns that name or count rows.
const LIKE_IDS: &[&str] = &[
    "", "id", "ids", "index", "idx", "row", "rows", "no", "nr", "number", "key", "#", "uid",
    "clip", "track", "file",
];

/// The positions of columns by role.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub clip_id: Option<usize>,
    pub label: Option<usize>,
    pub group: Option<usize>,
    pub features: Vec<usize>,
}

impl Columns {
    /// Determines the roles of the columns of a table; `notes` receives the assumptions that were
    /// made.
    ///
    /// # Errors
    /// The end of a sentence about the file: the columns that are missing or ambiguous.
    pub(super) fn of(
        table: &ExternalTable,
        asked: &Matrix,
        notes: &mut Vec<String>,
    ) -> Result<Self, String> {
        let names = table.names();
        let mut seen = HashSet::new();
        let mut named = names.iter().filter(|name| !name.is_empty());
        if let Some(twice) = named.find(|name| !seen.insert(name.as_str())) {
            return Err(format!("has the column `{twice}` twice"));
        }
        let listed = asked.features.as_deref().map(|asked| chosen(&names, asked)).transpose()?;
        let mut role = |role: &str, asked: &Option<String>| match asked {
            Some(name) => place(&names, name).map(Some),
            None => by_role(&names, role, listed.as_deref().unwrap_or_default(), notes),
        };
        let clip_id = role("clip_id", &asked.clip_id)?;
        let label = role("label", &asked.label)?;
        let group = role("group", &asked.group)?;
        let features = match listed {
            Some(listed) => listed,
            None => others(table, &names, &[clip_id, label, group], notes)?,
        };
        if features.is_empty() {
            return Err("has no column of features".to_owned());
        }
        Ok(Self { clip_id, label, group, features })
    }
}

/// A name in lower case, without spaces, underscores and hyphens.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|it| !matches!(it, ' ' | '_' | '-'));
    letters.flat_map(char::to_lowercase).collect()
}

/// The position of the column of a given name: an exact match, or else the only one that differs in
/// case and separators.
fn place(names: &[String], name: &str) -> Result<usize, String> {
    if let Some(at) = names.iter().position(|own| own == name) {
        return Ok(at);
    }
    let mut alike = (0..names.len()).filter(|&at| plain(&names[at]) == plain(name));
    match (alike.next(), alike.next()) {
        (Some(at), None) => Ok(at),
        _ => {
            let shown: Vec<_> = names.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
            let more = match names.len().saturating_sub(LISTED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            Err(format!("has no column `{name}`, only {}{more}", shown.join(", ")))
        }
    }
}

/// The columns of a list of names, in its order.
fn chosen(names: &[String], asked: &[String]) -> Result<Vec<usize>, String> {
    let mut places = Vec::new();
    let mut seen = HashSet::new();
    for name in asked {
        let exact = place(names, name);
        let found = match (exact, name.strip_suffix('*')) {
            (Ok(at), _) => vec![at],
            (Err(_), Some(start)) => {
                let own: Vec<_> =
                    (0..names.len()).filter(|&at| names[at].starts_with(start)).collect();
                if own.is_empty() {
                    return Err(format!("has no column that begins with `{start}`"));
                }
                own
            }
            (Err(error), None) => return Err(error),
        };
        places.extend(found.into_iter().filter(|at| seen.insert(*at)));
    }
    Ok(places)
}

/// The column whose name indicates a role, unless it is listed among the features.
fn by_role(
    names: &[String],
    role: &str,
    listed: &[usize],
    notes: &mut Vec<String>,
) -> Result<Option<usize>, String> {
    let found: Vec<_> = (0..names.len())
        .filter(|at| plain(&names[*at]) == plain(role) && !listed.contains(at))
        .collect();
    match found[..] {
        [] => Ok(None),
        [at] => {
            if names[at] != role {
                notes.push(format!("the column `{}` is taken as `{role}`", names[at]));
            }
            Ok(Some(at))
        }
        _ => {
            let found: Vec<_> = found.iter().map(|&at| format!("`{}`", names[at])).collect();
            Err(format!(
                "has several columns for `{role}`: {}; say which one it is, as in `{role}: {}`",
                found.join(", "),
                found[0].trim_matches('`')
            ))
        }
    }
}

/// All columns without a role that are not an index.
fn others(
    table: &ExternalTable,
    names: &[String],
    roles: &[Option<usize>],
    notes: &mut Vec<String>,
) -> Result<Vec<usize>, String> {
    let (mut features, mut faults) = (Vec::new(), Vec::new());
    for (at, name) in names.iter().enumerate().filter(|(at, _)| !roles.contains(&Some(*at))) {
        if table.is_index(at) {
            let named =
                if name.is_empty() { "without a name".to_owned() } else { format!("`{name}`") };
            notes.push(format!("the column {named} is an index of pandas, not a feature"));
            continue;
        }
        if name.is_empty() {
            // A comma at the end of each line makes a column without a name and values.
            let is_empty = match table {
                ExternalTable::Csv(csv) => csv.text(at).missing.len() == csv.rows(),
                _ => table.holds(at) == Some(ColumnType::Other("null".to_owned())),
            };
            if !is_empty {
                faults.push(format!(
                    "has values in column {at}, which has no name: give it one, or name the `features`"
                ));
            }
            continue;
        }
        match table.holds(at) {
            Some(ColumnType::Other(kind)) => {
                faults.push(format!("has a {kind} in column `{name}`, which should be a feature"));
            }
            Some(ColumnType::Text) => {
                faults.push(format!("has text in column `{name}`, which should be a feature"));
            }
            _ => features.push(at),
        }
    }
    if faults.is_empty() { Ok(features) } else { Err(together(&faults)) }
}

fn together(faults: &[String]) -> String {
    let mut text = faults[..faults.len().min(LISTED)].join("; ");
    if faults.len() > LISTED {
        text.push_str(&format!("; and {} more", faults.len() - LISTED));
    }
    text
}

/// Reads columns as numbers. Unless `is_said` is set, columns that look like an index or like
/// labels are refused.
///
/// # Errors
/// The end of a sentence about the file, which names all refused columns.
pub(super) fn read(
    table: &ExternalTable,
    features: &[usize],
    is_said: bool,
    room: &mut SizeLimit,
) -> Result<Vec<Named>, String> {
    let names = table.names();
    let (mut read, mut faults) = (Vec::with_capacity(features.len()), Vec::new());
    for &at in features {
        let cells = match table.numbers(at, room) {
            Ok(cells) => cells,
            Err(error) => {
                faults.push(error);
                continue;
            }
        };
        match doubt(&names[at], &cells).filter(|_| !is_said) {
            Some(doubt) => faults.push(doubt),
            None => read.push((format!("column `{}`", names[at]), cells)),
        }
    }
    if faults.is_empty() { Ok(read) } else { Err(together(&faults)) }
}

/// The reason why a column of whole numbers may not be a feature.
fn doubt(name: &str, cells: &Cells) -> Option<String> {
    let keys: Vec<u64> = match &cells.values {
        Values::Whole(values) => values.iter().map(|&value| value as u64).collect(),
        Values::Real(values) if values.iter().all(|value| value.fract() == 0.0) => {
            values.iter().map(|value| value.to_bits()).collect()
        }
        _ => return None,
    };
    let short = plain(name);
    let rows = keys.len();
    let different = keys.into_iter().collect::<HashSet<_>>().len();
    let ends = ["_id", " id", "-id", "Id", "ID", "_index", "_no", "_nr"];
    let is_like_id = LIKE_IDS.contains(&short.as_str())
        || short.starts_with("level0")
        || ends.iter().any(|end| name.ends_with(end));
    if is_like_id && different == rows && rows > 1 {
        return Some(format!(
            "has another whole number in each row of column `{name}`, which may name clips or count them: \
             say `clip_id: {name}`, or name the `features`"
        ));
    }
    if LIKE_LABELS.contains(&short.as_str()) && different < rows {
        return Some(format!(
            "has {different} whole numbers in column `{name}`, which may be labels: say `label: {name}`, or \
             name the `features`"
        ));
    }
    None
}

/// Determines if the first line of a table is a header, and separates it from the rows.
///
/// # Errors
/// When the parameters do not say it and the first line could be either.
pub(super) fn headed(
    table: CsvTable,
    header: Option<bool>,
    notes: &mut Vec<String>,
) -> Result<CsvTable, String> {
    match header
        .map_or_else(|| first_line(table.names()), |is| if is { Line::Header } else { Line::Row })
    {
        Line::Header => Ok(table),
        Line::Row => {
            if header.is_none() {
                notes.push(
                    "the first line holds numbers, so it is a row, and columns are named 0, 1, 2 and so on"
                        .to_owned(),
                );
            }
            Ok(table.without_header())
        }
        Line::Unclear => {
            let shown: Vec<_> =
                table.names().iter().take(4).map(|name| format!("`{name}`")).collect();
            Err(format!(
                "begins with a line that may be names or numbers ({}): say `header: true` or `header: false`",
                shown.join(", ")
            ))
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Header,
    Row,
    Unclear,
}

/// Classifies the first line of a file.
fn first_line(cells: &[String]) -> Line {
    let number = |cell: &String| cell.parse::<f64>().ok();
    let numbers: Vec<(&String, f64)> =
        cells.iter().filter_map(|cell| Some((cell, number(cell)?))).collect();
    if numbers.is_empty() {
        return Line::Header;
    }
    // A column name is unique, has no sign and few digits.
    let is_value = |cell: &str, value: f64| {
        let places = cell.split_once('.').map_or(0, |(_, places)| places.len());
        value.is_sign_negative()
            || !value.is_finite()
            || places > 2
            || cell.contains(['e', 'E', '+'])
    };
    let mut seen = HashSet::new();
    let twice = numbers.iter().any(|(cell, _)| !seen.insert(cell.as_str()));
    if twice || numbers.iter().any(|(cell, value)| is_value(cell, *value)) {
        return Line::Row;
    }
    // pandas numbers columns without names.
    let counts = |from: f64| {
        numbers.iter().zip(0_u32..).all(|((_, value), at)| *value == from + f64::from(at))
    };
    let is_counting = counts(0.0) || counts(1.0);
    let roles = ["clipid", "label", "group"];
    let has_role = cells.iter().any(|cell| roles.contains(&plain(cell).as_str()));
    let has_blank = cells.iter().any(String::is_empty);
    match (is_counting && (has_blank || cells.len() > 2)) || has_role {
        true => Line::Header,
        false => Line::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_names_or_counts_or_holds_numbers() {
        let of = |line: &str| first_line(&line.split(',').map(str::to_owned).collect::<Vec<_>>());
        for line in ["f1,f2", "x", "", ",0,1,2", "0,1,2,3", "1,2,3", "31.5,63,125,label", "a,1"] {
            assert_ne!(of(line), Line::Row, "{line}");
        }
        for line in ["f1,f2", ",0,1", "0,1,2,3", "63,125,Label"] {
            assert_eq!(of(line), Line::Header, "{line}");
        }
        for line in ["0.123456,1", "-1,2", "1e-3,4", "5,5", "nan,1", "0.1234,cel"] {
            assert_eq!(of(line), Line::Row, "{line}");
        }
        for line in ["31.5,63,125", "0", "2019,2020", "0,1", "a,7"] {
            assert_eq!(of(line), Line::Unclear, "{line}");
        }
    }
}
