//! Inputs that no one should give, by kind.

use super::{artifact, features, values};
use cache::{Artifact, Digest, Kind, Table};

/// Inputs of a kind that are unusual or wrong.
pub fn odd(kind: Kind, rows: usize) -> Vec<(&'static str, Artifact)> {
    let empty = Artifact::table(kind, Table::new());
    let tensors = Artifact::tensors(kind, cache::Tensors::new());
    let mut all = vec![("no columns", empty), ("tensors", tensors)];
    if kind != Kind::Model {
        all.extend([("no rows", Artifact::table(kind, no_rows(&artifact(kind, 3))))]);
    }
    let ids = || Table::new().with_text("clip_id", (0..rows).map(|row| format!("c{row}")));
    match kind {
        Kind::Matrix | Kind::Spectrogram => {
            let shape = artifact(kind, 1).shape().row.expect("a shape");
            let width: usize = shape.iter().product();
            let whole = values(rows, width);
            let with = |at: usize, value| {
                let mut values = whole.clone();
                values[at] = value;
                features(kind, shape.clone(), values)
            };
            let all_of = |value: &dyn Fn(usize) -> f32| {
                features(kind, shape.clone(), (0..whole.len()).map(value).collect())
            };
            let narrow = |shape: Vec<usize>| features(kind, shape, values(rows, 1));
            all.extend([
                ("one row", features(kind, shape.clone(), values(1, width))),
                ("two rows", features(kind, shape.clone(), values(2, width))),
                ("one column", narrow(vec![1])),
                ("one band and frame", narrow(vec![1, 1])),
                ("three axes", features(kind, vec![1, 1, width], whole.clone())),
                ("NaN", with(width + 1, f32::NAN)),
                ("infinity", with(0, f32::INFINITY)),
                ("minus infinity", with(whole.len() - 1, f32::NEG_INFINITY)),
                ("one huge value", with(3, f32::MAX)),
                ("zeros", all_of(&|_| 0.0)),
                ("equal rows", all_of(&|at| (at % width) as f32)),
                ("pairs of equal rows", all_of(&|at| whole[at % width + at / width / 2 * width])),
                ("huge values", all_of(&|at| if at % 7 % 2 == 0 { f32::MAX } else { f32::MIN })),
                ("tiny values", all_of(&|at| f32::from_bits((at % 13) as u32))),
                (
                    "without ids",
                    Artifact::table(
                        kind,
                        Table::new().with_array("features", shape.clone(), whole.clone()),
                    ),
                ),
                ("without features", Artifact::table(kind, ids())),
            ]);
        }
        Kind::Labels => {
            let labels = |label: &dyn Fn(usize) -> String| {
                Artifact::table(kind, ids().with_text("label", (0..rows).map(label)))
            };
            let numbers = |label: &dyn Fn(usize) -> i64| {
                Artifact::table(kind, ids().with_ints("label", (0..rows).map(label).collect()))
            };
            all.extend([
                ("one label", labels(&|_| "x".to_owned())),
                ("a label a clip", labels(&|row| row.to_string())),
                ("empty labels", labels(&|_| String::new())),
                ("extreme numbers", numbers(&|row| [i64::MIN, i64::MAX, -1][row % 3])),
                ("fewer clips", artifact(kind, rows / 2)),
                ("more clips", artifact(kind, 2 * rows)),
                ("without labels", Artifact::table(kind, ids())),
                (
                    "real labels",
                    Artifact::table(kind, ids().with_reals("label", vec![f64::NAN; rows])),
                ),
            ]);
        }
        Kind::Clips => {
            let audio = |audio: &str| {
                Artifact::table(kind, ids().with_text("audio", (0..rows).map(|_| audio)))
            };
            all.extend([
                ("one row", artifact(kind, 1)),
                ("no audio", Artifact::table(kind, ids())),
                ("nonsense", audio("nonsense")),
                ("an unknown file", audio(&format!("file:{}", Digest::of(b"x")))),
                ("an unknown entry", audio(&format!("zip:{}/a.wav", Digest::of(b"x")))),
                (
                    "the last numbers",
                    audio(&format!("synth:{}/{}/{}", u64::MAX, u32::MAX, u32::MAX)),
                ),
            ]);
        }
        _ => {}
    }
    all
}

/// The columns of an artifact without their rows, as far as they are of a table of clips.
fn no_rows(artifact: &Artifact) -> Table {
    let none = || std::iter::empty::<String>();
    let columns = artifact.as_table().into_iter().flat_map(Table::columns);
    columns.fold(Table::new(), |table, (name, column)| match column {
        cache::Column::Text(_) => table.with_text(name, none()),
        cache::Column::Int(_) => table.with_ints(name, Vec::new()),
        cache::Column::Real(_) => table.with_reals(name, Vec::new()),
        cache::Column::Array(array) => table.with_array(name, array.shape(), Vec::new()),
    })
}
