//! Converts the table of an external program to an artifact, with checks: the columns of its kind,
//! one row a clip, finite numbers.

use super::columns;
use crate::{audio::reference::AudioRef, measures};
use cache::{
    Artifact, Column, Kind, Table,
    metric::{self, Score},
    missing,
    picture::PictureFormat,
    rows,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// A kind of output of a program: one that is a table, or a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// Vectors: `clip_id` and numbers.
    Matrix,
    /// Images of the size of a spectrogram among the inputs: `clip_id` and one column of lists.
    Spectrogram,
    /// `clip_id`, `label` and perhaps `group`.
    Labels,
    /// Some of the clips among the inputs.
    Clips,
    /// `metric`, `value` and perhaps `note`; `title`, `direction` (`maximize` or `minimize`),
    /// `decimals`, `uses_labels` (0 or 1) and `shown` (0 or 1) say how a table shows and ranks it.
    Scores,
    /// Any columns, one row an epoch.
    History,
    /// Any columns, one row a component.
    Diagnostics,
    /// `left`, `right`, `distance` and `size`, as SciPy.
    Linkage,
    /// An SVG, which the report shows as a figure `picture`. Its path ends in `.svg`.
    Svg,
    /// A PNG, likewise.
    Png,
}

impl Made {
    /// The kind as a list for a port.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Made::Matrix => &[Kind::Matrix],
            Made::Spectrogram => &[Kind::Spectrogram],
            Made::Labels => &[Kind::Labels],
            Made::Clips => &[Kind::Clips],
            Made::Scores => &[Kind::Scores],
            Made::History => &[Kind::History],
            Made::Diagnostics => &[Kind::Diagnostics],
            Made::Linkage => &[Kind::Linkage],
            Made::Svg | Made::Png => &[Kind::Picture],
        }
    }

    /// The format, if it is a picture.
    pub fn picture(self) -> Option<PictureFormat> {
        match self {
            Made::Svg => Some(PictureFormat::Svg),
            Made::Png => Some(PictureFormat::Png),
            _ => None,
        }
    }
}

/// Advice for the user on the columns of a kind.
pub fn columns(kind: Kind) -> &'static str {
    match kind {
        Kind::Matrix => "write `clip_id` and columns of finite numbers, one row a clip",
        Kind::Spectrogram => {
            "write `clip_id` and one column of lists as long as those of the input"
        }
        Kind::Labels => "write `clip_id` and `label` (text or whole numbers), one row a clip",
        Kind::Clips => "write rows of the clips that the program was given, with all their columns",
        Kind::Scores => {
            "write `metric` (text) and `value` (numbers), and `note` where one is undefined"
        }
        Kind::Linkage => "write `left`, `right`, `distance` and `size`, one row a merge",
        _ => "write a table of at least one row",
    }
}

/// Converts the table of a program to an artifact of a kind. The clips must be those of the first
/// input that has any, and are put into its order.
///
/// # Errors
/// The end of a sentence about the table that describes the error.
pub fn artifact(kind: Kind, table: Table, inputs: &[&Artifact]) -> Result<Artifact, String> {
    if table.rows() == 0 {
        return Err("has no row".to_owned());
    }
    let known = inputs.iter().find_map(|input| input.as_table()?.text("clip_id"));
    match kind {
        Kind::Matrix => {
            let (ids, table) = in_order(table, known)?;
            let (width, values) = columns::features(&table)?;
            let table =
                Table::new().with_text("clip_id", ids).with_array("features", [width], values);
            finite(Artifact::table(kind, table))
        }
        Kind::Spectrogram => {
            let like = inputs.iter().find(|input| input.kind == Kind::Spectrogram);
            let like = like.and_then(|input| Some((input, input.shape().row?)));
            let (like, shape) = like.ok_or("has no size: no input is a spectrogram")?;
            let (ids, table) = in_order(table, known)?;
            let (width, values) = columns::features(&table)?;
            if width != shape.iter().product::<usize>() {
                return Err(format!("has {width} numbers a row, not {shape:?} as the input"));
            }
            let table =
                Table::new().with_text("clip_id", ids).with_array("features", shape, values);
            finite(Artifact { meta: like.meta.clone(), ..Artifact::table(kind, table) })
        }
        Kind::Labels => {
            let (ids, table) = in_order(table, known)?;
            let group = table.column("group").map(columns::text);
            let group = group.and_then(|group| missing::groups(&ids, &group));
            let mut labels = Table::new().with_text("clip_id", ids).with("label", labels(&table)?);
            if let Some(group) = group {
                labels = labels.with_text("group", group);
            }
            Ok(Artifact::table(kind, labels))
        }
        Kind::Clips => {
            let (_, table) = in_order(table, known)?;
            let audio = table.text("audio").ok_or("has no column `audio`")?;
            audio.iter().try_for_each(|audio| audio.parse::<AudioRef>().map(drop))?;
            for name in ["frames", "sample_rate", "channels"] {
                table.ints(name).ok_or_else(|| format!("has no whole numbers `{name}`"))?;
            }
            Ok(Artifact::table(kind, table))
        }
        Kind::Scores => scores(&table),
        Kind::Linkage => linkage(&table),
        _ => Ok(Artifact::table(kind, table)),
    }
}

/// The table with its clips in the order of `known`, and their names.
fn in_order(table: Table, known: Option<&[String]>) -> Result<(Vec<String>, Table), String> {
    let Some(known) = known else { return Ok((columns::ids(&table)?, table)) };
    if table.column("clip_id").is_none() {
        return match table.rows() == known.len() {
            true => Ok((known.to_vec(), table)),
            false => Err(format!(
                "has {} rows and no column `clip_id`, but the input has {} clips",
                table.rows(),
                known.len()
            )),
        };
    }
    let ids = columns::ids(&table)?;
    let places: HashMap<_, _> = known.iter().enumerate().map(|(at, id)| (id, at)).collect();
    let mut order = Vec::with_capacity(ids.len());
    for (row, id) in ids.iter().enumerate() {
        let place =
            places.get(id).ok_or_else(|| format!("has the clip `{id}`, which no input has"))?;
        order.push((*place, row));
    }
    if order.is_sorted() {
        return Ok((ids, table));
    }
    order.sort_unstable();
    let order: Vec<_> = order.into_iter().map(|(_, row)| row).collect();
    Ok((order.iter().map(|&row| ids[row].clone()).collect(), rows::select(&table, &order)))
}

fn finite(artifact: Artifact) -> Result<Artifact, String> {
    let (ids, features) = artifact
        .as_table()
        .and_then(|table| table.text("clip_id").zip(table.array("features")))
        .expect("it was made with these columns");
    match features.values().iter().position(|value| !value.is_finite()) {
        None => Ok(artifact),
        Some(at) => {
            let (row, column) = (at / features.width(), at % features.width());
            Err(format!("has {} in feature {column} of clip `{}`", features.values()[at], ids[row]))
        }
    }
}

/// The labels: text for classes, whole numbers for clusters.
fn labels(table: &Table) -> Result<Column, String> {
    match table.column("label") {
        Some(Column::Real(values)) if values.iter().all(|value| value.fract() == 0.0) => {
            Ok(Column::Int(values.iter().map(|&value| value as i64).collect()))
        }
        Some(column @ Column::Int(_)) => Ok(column.clone()),
        Some(Column::Text(values)) => {
            let label =
                |it: &String| if missing::is_missing(it) { String::new() } else { it.clone() };
            Ok(Column::Text(values.iter().map(label).collect()))
        }
        Some(_) => Err("has labels that are neither text nor whole numbers".to_owned()),
        None => Err("has no column `label`".to_owned()),
    }
}

fn reals(table: &Table, name: &str) -> Result<Vec<f64>, String> {
    match table.column(name) {
        Some(Column::Real(values)) => Ok(values.clone()),
        Some(Column::Int(values)) => Ok(values.iter().map(|&value| value as f64).collect()),
        _ => Err(format!("has no column of numbers `{name}`")),
    }
}

/// The scores, with the program's description of its metrics.
fn scores(table: &Table) -> Result<Artifact, String> {
    let mut scores = metric::scores(table, measures::known)?;
    let mut names = HashSet::new();
    for Score { metric, value, note } in &mut scores {
        if value.is_infinite() {
            return Err(format!("has {value} as `{}`", metric.name));
        }
        if !names.insert(metric.name.clone()) {
            return Err(format!("has the metric `{}` twice", metric.name));
        }
        if value.is_nan() && note.is_empty() {
            "the program gave no number".clone_into(note);
        }
    }
    let whole = metric::artifact(&scores);
    if metric::ABOUT.iter().any(|name| table.column(name).is_some()) {
        return Ok(whole);
    }
    let columns = whole.as_table().into_iter().flat_map(Table::columns);
    let plain = columns
        .filter(|(name, _)| !metric::ABOUT.contains(name))
        .fold(Table::new(), |table, (name, column)| table.with(name, column.clone()));
    Ok(Artifact::table(Kind::Scores, plain))
}

fn linkage(table: &Table) -> Result<Artifact, String> {
    let whole = |name| {
        let values = reals(table, name)?;
        if values.iter().any(|value| value.fract() != 0.0) {
            return Err(format!("has a `{name}` that is not a whole number"));
        }
        Ok(values.into_iter().map(|value| value as i64).collect())
    };
    let distances = reals(table, "distance")?;
    if distances.iter().any(|distance| !distance.is_finite()) {
        return Err("has a `distance` that is not finite".to_owned());
    }
    let table = Table::new()
        .with_ints("left", whole("left")?)
        .with_ints("right", whole("right")?)
        .with_reals("distance", distances)
        .with_ints("size", whole("size")?);
    Ok(Artifact::table(Kind::Linkage, table))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clips(kind: Kind) -> Artifact {
        let table = Table::new().with_text("clip_id", ["a", "b", "c"]);
        Artifact::table(kind, table.with_array("features", [1, 2], vec![0.0; 6]))
            .with_meta("unit", "dB")
    }

    /// Converts a table where the input has the clips `a`, `b` and `c`.
    fn made(kind: Kind, table: Table) -> Result<Artifact, String> {
        artifact(kind, table, &[&clips(Kind::Spectrogram)])
    }

    fn refused(kind: Kind, table: Table, reason: &str) {
        let error = made(kind, table).expect_err(reason);
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn a_matrix_is_of_numbers_and_in_the_order_of_the_clips() {
        let table = Table::new()
            .with_reals("z1", vec![3.0, 1.0])
            .with_text("clip_id", ["c", "a"])
            .with_ints("z2", vec![4, 2]);
        let matrix = made(Kind::Matrix, table).expect("a matrix");
        let expected = Table::new().with_text("clip_id", ["a", "c"]);
        let expected = expected.with_array("features", [2], vec![1.0, 2.0, 3.0, 4.0]);
        assert_eq!(matrix, Artifact::table(Kind::Matrix, expected));
        let bare = Table::new().with_reals("z", vec![1.0, 2.0, 3.0]);
        let matrix = made(Kind::Matrix, bare).expect("as many rows as clips");
        assert_eq!(
            matrix.as_table().and_then(|table| table.text("clip_id")).map(<[_]>::len),
            Some(3)
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let ids = |ids: &[&str]| Table::new().with_text("clip_id", ids.iter().copied());
        let bare = Table::new().with_reals("z", vec![1.0, 2.0]);
        refused(
            Kind::Matrix,
            bare,
            "has 2 rows and no column `clip_id`, but the input has 3 clips",
        );
        let other = ids(&["a", "x"]).with_reals("z", vec![1.0, 2.0]);
        refused(Kind::Matrix, other, "has the clip `x`, which no input has");
        let twice = ids(&["a", "a"]).with_reals("z", vec![1.0, 2.0]);
        refused(Kind::Matrix, twice, "has the clip `a` twice");
        let broken = ids(&["a", "b"]).with_reals("z", vec![1.0, f64::NAN]);
        refused(Kind::Matrix, broken, "has NaN in feature 0 of clip `b`");
        refused(Kind::Matrix, ids(&["a"]), "has no column of features");
        refused(Kind::Matrix, ids(&[]), "has no row");
        refused(Kind::Spectrogram, ids(&["a"]).with_reals("z", vec![1.0]), "has 1 numbers a row");
        refused(Kind::Labels, ids(&["a"]), "has no column `label`");
        let halves = ids(&["a"]).with_reals("label", vec![0.5]);
        refused(Kind::Labels, halves, "neither text nor whole numbers");
        refused(
            Kind::Clips,
            ids(&["a"]).with_text("audio", ["a.wav"]),
            "does not name a recording",
        );
        let endless =
            Table::new().with_text("metric", ["ari"]).with_reals("value", vec![f64::INFINITY]);
        refused(Kind::Scores, endless, "has inf as `ari`");
        refused(Kind::Linkage, ids(&["a"]), "has no column of numbers `distance`");
    }

    #[test]
    fn scores_keep_what_the_program_says_of_its_metrics() {
        let table = || Table::new().with_text("metric", ["ari", "own"]);
        let table = || table().with_reals("value", vec![0.5, 2.0]);
        let plain = made(Kind::Scores, table()).expect("scores");
        let names = |made: &Artifact| {
            let columns = made.as_table().into_iter().flat_map(Table::columns);
            columns.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&plain), ["metric", "value", "note"], "as ever");
        let told = table().with_text("direction", ["", "minimize"]);
        let told = made(Kind::Scores, told).expect("scores");
        let scores = told.as_table().map(|table| metric::scores(table, |_| None));
        let scores = scores.expect("a table").expect("scores");
        assert_eq!(scores[0].metric.heading(), "ARI ↑", "known by its name");
        assert_eq!(scores[1].metric.heading(), "own ↓");
        let wrong = table().with_text("direction", ["up", ""]);
        refused(Kind::Scores, wrong, "has the direction `up` for `ari`");
        let twice = Table::new().with_text("metric", ["a", "a"]);
        refused(Kind::Scores, twice.with_reals("value", vec![1.0, 2.0]), "the metric `a` twice");
    }

    #[test]
    fn labels_scores_and_images_keep_what_they_mean() {
        let labels = Table::new().with_reals("label", vec![1.0, 0.0, -1.0]);
        let labels = made(Kind::Labels, labels).expect("labels");
        let column = labels.as_table().and_then(|table| table.ints("label"));
        assert_eq!(column, Some(&[1, 0, -1][..]));
        let scores = Table::new().with_text("metric", ["a", "b"]);
        let scores = made(Kind::Scores, scores.with_reals("value", vec![f64::NAN, 1.0]));
        let scores = scores.expect("scores");
        let notes = scores.as_table().and_then(|table| table.text("note"));
        assert_eq!(notes, Some(&["the program gave no number".to_owned(), String::new()][..]));
        let images = Table::new().with_array("x", [2], vec![1.0; 6]);
        let images = made(Kind::Spectrogram, images).expect("images");
        assert_eq!(images.shape().row, Some(vec![1, 2]));
        assert_eq!(images.meta, clips(Kind::Spectrogram).meta);
    }
}
