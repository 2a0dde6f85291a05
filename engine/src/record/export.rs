//! Exports artifacts as files for other tools.

use cache::{
    Artifact, Column, Data, Digest, Kind, Store, Table, atomic_file::write_atomic, parquet,
    picture::Picture, store::plain,
};
use npyz::WriterBuilder;
use std::{fs, path::Path};

/// Writes an artifact in the format of the file's extension. `laps` are the seconds between the
/// states that the artifact's step saved.
///
/// # Errors
/// Returns a sentence if the format cannot hold the artifact or the file cannot be written.
pub fn write(
    store: &Store,
    digest: &Digest,
    artifact: &Artifact,
    laps: &[f64],
    to: &Path,
) -> Result<(), String> {
    let ending =
        to.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    let io = |error: std::io::Error| format!("cannot write `{}`: {}", to.display(), plain(&error));
    to.parent().map_or(Ok(()), fs::create_dir_all).map_err(io)?;
    if let Some(picture) = Picture::of(artifact).filter(|_| ending != "parquet") {
        let own = picture.format.ending();
        return match ending == own {
            true => write_atomic(to, &picture.bytes).map_err(io),
            false => Err(unnamed(to, &format!(".{own}, as its program drew it, or .parquet"))),
        };
    }
    let timed = with_seconds(artifact, laps);
    let bytes = match (&timed.as_ref().unwrap_or(artifact).data, ending.as_str()) {
        (Data::Table(table), "parquet") if timed.is_some() => {
            let mut bytes = Vec::new();
            parquet::write(&mut bytes, artifact, table)?;
            bytes
        }
        (Data::Table(_), "parquet") | (Data::Tensors(_), "safetensors") => {
            let object = store.object_path(digest).ok_or("the object has left the store")?;
            return fs::copy(object, to).map(drop).map_err(io);
        }
        (Data::Table(table), "csv") => csv(table)?,
        (Data::Table(table), "npy") => npy(table)?,
        (Data::Tensors(_), "onnx") => {
            ops::encoder_as_onnx(artifact).map_err(|error| error.message)?
        }
        (Data::Table(_), _) => return Err(unnamed(to, ".parquet, .csv or .npy")),
        (Data::Tensors(_), _) => return Err(unnamed(to, ".safetensors, or .onnx for an encoder")),
    };
    write_atomic(to, &bytes).map_err(io)
}

/// Adds a column `seconds` to a history: the duration of each row. Only the record of the run has
/// it, because a result holds no times, so that its bytes repeat. Rows of an earlier training that
/// this one continued have NaN.
fn with_seconds(artifact: &Artifact, laps: &[f64]) -> Option<Artifact> {
    let table = artifact.as_table().filter(|_| artifact.kind == Kind::History)?;
    let before = table.rows().checked_sub(laps.len())?;
    if laps.is_empty() || table.column("seconds").is_some() {
        return None;
    }
    let seconds = std::iter::repeat_n(f64::NAN, before).chain(laps.iter().copied()).collect();
    let table = table.clone().with_reals("seconds", seconds);
    Some(Artifact { data: Data::Table(table), ..artifact.clone() })
}

fn unnamed(to: &Path, endings: &str) -> String {
    format!("`{}` names no format that fits: end it in {endings}", to.display())
}

/// Writes comma-separated values; an array column `features` becomes `features_0`, `features_1`, …
fn csv(table: &Table) -> Result<Vec<u8>, String> {
    let error = |error: csv::Error| error.to_string();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = table.columns().flat_map(|(name, column)| match column {
        Column::Array(array) => (0..array.width()).map(|index| format!("{name}_{index}")).collect(),
        _ => vec![name.to_owned()],
    });
    writer.write_record(names).map_err(error)?;
    for row in 0..table.rows() {
        let fields = table.columns().flat_map(|(_, column)| match column {
            Column::Text(values) => vec![values[row].clone()],
            Column::Int(values) => vec![values[row].to_string()],
            Column::Real(values) => vec![values[row].to_string()],
            Column::Array(array) => array.row(row).iter().map(f32::to_string).collect(),
        });
        writer.write_record(fields).map_err(error)?;
    }
    writer.into_inner().map_err(|error| error.to_string())
}

/// Writes NumPy's format: the array column, or the only column of numbers.
fn npy(table: &Table) -> Result<Vec<u8>, String> {
    let array = table.columns().find_map(|(_, column)| match column {
        Column::Array(array) => Some(array),
        _ => None,
    });
    if let Some(array) = array {
        let shape: Vec<u64> = std::iter::once(array.rows())
            .chain(array.shape().iter().copied())
            .map(|axis| axis as u64)
            .collect();
        return npy_bytes(&shape, array.values().iter().copied());
    }
    let rows = [table.rows() as u64];
    let numeric: Vec<_> =
        table.columns().filter(|(_, column)| !matches!(column, Column::Text(_))).collect();
    match numeric.as_slice() {
        [(_, Column::Int(values))] => npy_bytes(&rows, values.iter().copied()),
        [(_, Column::Real(values))] => npy_bytes(&rows, values.iter().copied()),
        _ => Err(
            "an .npy file holds one array of numbers, which this is not; write .parquet or .csv"
                .to_owned(),
        ),
    }
}

fn npy_bytes<T: npyz::Serialize + npyz::AutoSerialize>(
    shape: &[u64],
    values: impl Iterator<Item = T>,
) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes);
    options
        .begin_nd()
        .and_then(|mut writer| {
            writer.extend(values)?;
            writer.finish()
        })
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_history_has_seconds_and_only_where_they_are_known() {
        let table = Table::new().with_ints("epoch", vec![1, 2, 3]);
        let history = Artifact::table(Kind::History, table.clone());
        let seconds = |artifact: &Artifact, laps: &[f64]| {
            let timed = with_seconds(artifact, laps)?;
            Some(timed.as_table()?.reals("seconds")?.to_vec())
        };
        assert_eq!(seconds(&history, &[0.5, 0.25, 0.75]), Some(vec![0.5, 0.25, 0.75]));
        let resumed = seconds(&history, &[0.5]).expect("the last row was made now");
        assert!(resumed[0].is_nan() && resumed[1].is_nan() && resumed[2] == 0.5);
        for laps in [&[][..], &[1.0; 4]] {
            assert_eq!(seconds(&history, laps), None);
        }
        assert_eq!(seconds(&Artifact::table(Kind::Labels, table), &[1.0; 3]), None);
    }
}
