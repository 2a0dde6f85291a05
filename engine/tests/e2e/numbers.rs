//! The numbers of the table in full, as CSV and as Parquet.

use crate::{scores::SWEPT, study::Study, tones};
use cache::Column;

/// The cells of `results.csv`, with its head.
pub fn csv_cells(study: &Study) -> Vec<Vec<String>> {
    let text = study.read("runs/small/latest/results.csv");
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let cells = |row: csv::StringRecord| row.iter().map(str::to_owned).collect();
    reader.records().map(|row| cells(row.expect("a row"))).collect()
}

/// The cells of `results.parquet`, as the CSV would write them.
pub fn parquet_cells(study: &Study) -> Vec<Vec<String>> {
    let path = study.path("runs/small/latest/results.parquet");
    let table = cache::interchange::read(&path).expect("a table");
    let cell = |column: &Column, row: usize| match column {
        Column::Text(texts) => texts[row].clone(),
        Column::Int(numbers) => numbers[row].to_string(),
        Column::Real(numbers) if numbers[row].is_nan() => String::new(),
        Column::Real(numbers) => numbers[row].to_string(),
        other => panic!("a column of another type: {other:?}"),
    };
    let columns: Vec<_> = table.columns().collect();
    let head = columns.iter().map(|(name, _)| name.to_string()).collect();
    let rows = (0..table.rows()).map(|row| columns.iter().map(|(_, it)| cell(it, row)).collect());
    std::iter::once(head).chain(rows).collect()
}

/// Seeds are whole numbers of 64 bits without a sign.
#[test]
fn the_largest_seeds_are_written_as_they_are() {
    for (seeds, written) in [
        ("[3, 18446744073709551615]", ["3", "18446744073709551615"]),
        (
            "[9223372036854775807, 9223372036854775808]",
            ["9223372036854775807", "9223372036854775808"],
        ),
    ] {
        let study = Study::new().pipeline(&SWEPT.replace("[3, 5]", seeds));
        tones::fill(&study, 4);
        let said = study.run();
        assert_eq!(said.code, 0, "{}", said.stderr);
        let cells = csv_cells(&study);
        assert_eq!(parquet_cells(&study), cells);
        let kmeans = cells.iter().filter(|row| row[0] == "K-Means" && row[2] == "ari");
        let found: Vec<&str> = kmeans.map(|row| row[8].as_str()).collect();
        assert_eq!(found, [written, written].concat(), "{cells:?}");
        for seed in written {
            assert!(study.engine(&["show", "--report"]).stdout.contains(seed));
        }
    }
}

/// A point is not a row: several rows may show the same one, and some show none.
#[test]
fn the_points_to_choose_from_are_counted_and_not_the_rows() {
    let twice = SWEPT.replace(
        "    - { row: Ward, scores: ward }\n",
        "    - { row: Ward, scores: ward }\n    - { row: Once more, scores: kmeans }\n",
    );
    let study = Study::new().pipeline(&twice);
    tones::fill(&study, 4);
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let report = study.read("runs/small/latest/report.md");
    assert!(report.contains("best of 2 points by its agreement with the labels"), "{report}");
    let mut alone = Study::new().pipeline(&twice);
    alone.edit("[2, 4]", "[2]");
    tones::fill(&alone, 4);
    assert_eq!(alone.run().code, 0);
    assert!(!alone.read("runs/small/latest/report.md").contains("Whoever picks"), "one point");
}
