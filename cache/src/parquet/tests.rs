//! Tests that written tables are read back and that damage gives an error.

use super::*;
use crate::interchange;
use proptest::prelude::*;
use std::path::Path;

fn artifact(rows: usize, shape: &[usize]) -> (Artifact, Table) {
    let numbers = |count: usize| (0..count).map(|at| at as f32 * 0.5 - 7.0).collect();
    let table = Table::new()
        .with_text("clip_id", (0..rows).map(|row| format!("clip {}", row % 100)))
        .with_array("features", shape, numbers(rows * shape.iter().product::<usize>()))
        .with_ints("frames", (0..rows as i64).collect())
        .with_array("more", [1], numbers(rows));
    (Artifact::table(Kind::Matrix, table.clone()).with_meta("unit", "dB"), table)
}

fn bytes(artifact: &Artifact, table: &Table) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, artifact, table).expect("an ordinary table");
    bytes
}

fn with_file<T>(bytes: &[u8], read: impl FnOnce(&File, &Path) -> T) -> T {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("room for a file");
    read(&File::open(file.path()).expect("a file"), file.path())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Sizes around the limits of pages and row groups.
    #[test]
    fn what_is_written_is_read_alike_with_and_without_decoding(
        rows in prop::sample::select(vec![0, 1, 511, 512, 513, 1_300]),
        shape in prop::sample::select(
            vec![vec![1], vec![2], vec![64], vec![65], vec![7, 9], vec![300, 3]]),
    ) {
        let (artifact, table) = artifact(rows, &shape);
        with_file(&bytes(&artifact, &table), |file, path| {
            let opened = OpenedFile::new(file).expect("a length");
            let metadata = opened.metadata().expect("a footer");
            let quick = wide::read(&opened, &metadata, "features", shape.iter().product());
            prop_assert_eq!(quick.as_deref(), table.array("features").map(Array::values));
            prop_assert_eq!(read(file), Ok(artifact));
            let foreign = interchange::read(path).expect("a table");
            let numbers = |table: &Table| table.array("features").map(|array| array.values().to_vec());
            prop_assert_eq!(numbers(&foreign), numbers(&table));
            prop_assert_eq!(foreign.ints("frames"), table.ints("frames"));
            Ok(())
        })?;
    }

    #[test]
    fn damage_is_an_error_or_shows_in_the_digest(
        changes in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 1..4),
        kept in 0.5..1.5_f64,
    ) {
        let (artifact, table) = artifact(600, &[5]);
        let mut damaged = bytes(&artifact, &table);
        damaged.truncate((damaged.len() as f64 * kept) as usize);
        for (place, value) in changes {
            // Mostly near the end of the file, which holds the footer.
            let at = ((1.0 - place.powi(3)) * damaged.len() as f64) as usize;
            let at = at.min(damaged.len() - 1);
            damaged[at] = value;
        }
        if let Ok(read) = with_file(&damaged, |file, _| read(file)) {
            prop_assert_eq!(read.digest() == artifact.digest(), read == artifact);
        }
    }
}
