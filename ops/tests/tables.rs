//! Tables that pandas, pyarrow and NumPy wrote: whole ones mean here what they mean there, and what is
//! odd about them is said; damaged ones are an error without a panic, and take no memory.

mod table_files;

use cache::{
    Artifact, Table,
    cells::{Cells, ColumnType, Numbers, SizeLimit, Values},
    csv::CsvTable,
    interchange::ExternalTable,
    parquet::ParquetTable,
};
use ops::math::numpy;
use serde_json::{Map, Value, json};
use table_files::{bytes, error, matrix, read, texts};

/// Columns of every file of the fixtures, as their own libraries read them.
fn expected() -> Map<String, Value> {
    serde_json::from_slice(&bytes("expected.json")).expect("a list of files")
}

/// A value of a table as the list of fixtures has it.
fn number(value: f64) -> Value {
    if value.is_nan() { Value::Null } else { json!(value) }
}

fn said(cells: &Cells) -> Vec<Value> {
    let row = |row: usize| match &cells.values {
        _ if cells.missing.contains(&row) => Value::Null,
        Values::Text(values) => json!(values[row]),
        Values::Whole(values) => json!(values[row]),
        Values::Real(values) => number(values[row]),
        Values::List(width, Numbers::Single(values)) => {
            values[row * width..][..*width].iter().map(|&value| number(value.into())).collect()
        }
        Values::List(width, Numbers::Double(values)) => {
            values[row * width..][..*width].iter().map(|&value| number(value)).collect()
        }
    };
    (0..cells.rows()).map(row).collect()
}

/// True if numbers are equal and everything else is the same.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        _ => one == other || one.as_f64().is_some_and(|it| Some(it) == other.as_f64()),
    }
}

#[test]
fn random_tables_hold_what_their_own_libraries_read() {
    let (mut columns, mut kinds) = (0, std::collections::BTreeSet::new());
    for (file, said_of) in &expected() {
        let room = || SizeLimit::of(0, None);
        let table = match file.rsplit('.').next() {
            Some("parquet") => ExternalTable::Parquet(ParquetTable::open(bytes(file)).expect(file)),
            Some("csv") => ExternalTable::Csv(CsvTable::read(&bytes(file)).expect(file)),
            _ => {
                let (rows, width, numbers) = numpy::read_matrix(&bytes(file)).expect(file);
                let values = Values::List(width, numbers);
                let found = said(&Cells { values, missing: Vec::new() });
                let wanted = said_of["values"]["values"].as_array().expect("rows");
                assert_eq!(rows, wanted.len(), "{file}");
                let wanted: Value = wanted.clone().into();
                assert!(alike(&Value::Array(found), &wanted), "{file}");
                continue;
            }
        };
        for (name, wanted) in said_of.as_object().expect("columns") {
            let at = table.names().iter().position(|own| own == name).expect(name);
            let holds = wanted["holds"].as_str().expect("what it holds");
            kinds.insert(holds.to_owned());
            columns += 1;
            let Some(values) = wanted["values"].as_array() else {
                assert_eq!(
                    table.holds(at),
                    Some(ColumnType::Other(holds.to_owned())),
                    "{file}, {name}"
                );
                let error = table.numbers(at, &mut room()).expect_err("no numbers");
                assert!(error.contains(name) && error.contains(holds), "{error}");
                continue;
            };
            let found = match holds {
                "text" => table.text(at, &mut room()),
                _ => table.numbers(at, &mut room()),
            };
            let found = said(&found.unwrap_or_else(|error| panic!("{file}, {name}: {error}")));
            assert!(
                alike(&Value::Array(found.clone()), &values.clone().into()),
                "{file}, {name}: {found:?} for {values:?}"
            );
        }
    }
    assert!(columns > 150 && kinds.len() >= 8, "{columns} columns of {kinds:?}");
}

fn features(outputs: &ops::Outputs) -> (Vec<f32>, usize) {
    let table = outputs.get("features").and_then(Artifact::as_table).expect("a table");
    let features = table.array("features").expect("features");
    (features.values().to_vec(), features.width())
}

fn labels(outputs: &ops::Outputs) -> &Table {
    outputs.get("labels").and_then(Artifact::as_table).expect("labels")
}

fn warning(outputs: &ops::Outputs, port: &str) -> String {
    let warning = outputs.get(port).and_then(|it| it.meta.get("warning")?.as_str());
    warning.unwrap_or_default().to_owned()
}

#[test]
fn an_index_is_no_feature_and_a_header_is_no_row() {
    let of =
        |name: &str, text: &str| features(&read(name, text.as_bytes(), json!({})).expect(text));
    let numbers = (vec![0.5, 1.0, 2.5, 3.0], 2);
    for text in [
        "f1,f2\n.5,1\n2.5,3\n",
        ",f1,f2\n7,.5,1\n3,2.5,3\n",
        "Unnamed: 0,f1,f2\n0,.5,1\n1,2.5,3\n",
        "f1,f2,\n.5,1,\n2.5,3,\n",
        "5.000e-01,1.000e+00\n2.5,3\n",
        "clip_id,f1,f2\n007,.5,1\n008,2.5,3\n",
        "Label,f1,f2,GROUP\n1,.5,1,a\n2,2.5,3,b\n",
        "f1, f2, \"label\"\n.5, 1, \"a, b\"\n2.5, 3, c\n".replace("\"a, b\"", "a").as_str(),
        ",0,1\n0,.5,1\n1,2.5,3\n",
    ] {
        assert_eq!(of("f.csv", text), numbers, "{text}");
    }
    let capital = read("f.csv", b"Clip ID,f1,LABEL\na,1,1\nb,2,0\n", json!({})).expect("labels");
    assert_eq!(texts(labels(&capital), "label"), ["1", "0"]);
    assert_eq!(texts(labels(&capital), "clip_id"), ["a", "b"]);
    assert!(warning(&capital, "features").contains("the column `LABEL` is taken as `label`"));
    let asked = json!({ "clip_id": "track_id", "label": "genre", "features": ["f*"] });
    let named = b"track_id,genre,when,f2,f1\n5,3,x,1,2\n6,4,y,3,4\n";
    let named = read("f.csv", named, asked).expect("features");
    assert_eq!(features(&named).0, [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(texts(labels(&named), "label"), ["3", "4"]);
    assert_eq!(texts(labels(&named), "clip_id"), ["5", "6"]);
    let headless = read("f.csv", b"1,2\n3,4\n", json!({ "header": false })).expect("two rows");
    assert_eq!(features(&headless).0, [1.0, 2.0, 3.0, 4.0]);
    let headed = read("f.csv", b"1,2\n3,4\n", json!({ "header": true })).expect("one row");
    assert_eq!(features(&headed).0, [3.0, 4.0]);
}

#[test]
fn what_may_be_an_index_or_a_label_is_refused() {
    let says = |text: &str, parts: &[&str]| {
        let error = error(read("f.csv", text.as_bytes(), json!({})));
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    };
    says("track_id,f\n7,1\n9,2\n", &["`track_id`", "`clip_id: track_id`", "features"]);
    says("index,f\n0,1\n1,2\n", &["`index`"]);
    says("class,f\n0,1\n1,2\n1,3\n", &["`class`", "`label: class`"]);
    says("class,index,f\n0,1,1\n1,2,2\n1,3,5\n", &["`class`", "`index`"]);
    says("label,Label,f\n0,1,1\n1,2,2\n", &["several columns for `label`", "`Label`"]);
    says("31.5,63,125\n1,2,3\n", &["`header: false`"]);
    says("f,,g\n1,2,3\n", &["values in column 1, which has no name"]);
    let nameless = error(matrix("nameless.parquet", json!({})));
    assert!(nameless.contains("values in column 0, which has no name"), "{nameless}");
    says("a,b\nx,1\n3,y\n", &["`x` in column `a` of line 2", "`y` in column `b` of line 3"]);
    let asked = |params: Value| error(read("f.csv", b"f,g\n1,2\n3,4\n", params));
    assert!(asked(json!({ "features": ["h"] })).contains("has no column `h`, only `f`, `g`"));
    assert!(asked(json!({ "label": "class" })).contains("has no column `class`"));
    assert!(asked(json!({ "features": ["x*"] })).contains("begins with `x`"));
}

#[test]
fn pandas_says_in_parquet_which_column_is_its_index() {
    for name in ["index_unnamed", "index_named", "index_text"] {
        let (values, width) = features(&matrix(&format!("{name}.parquet"), json!({})).expect(name));
        assert_eq!((values, width), (vec![0.5, 1.0, 1.5, 2.0, 2.5, 3.0], 2), "{name}");
    }
    let named = matrix("index_text.parquet", json!({ "clip_id": "track" })).expect("names");
    let table = named.get("features").and_then(Artifact::as_table).expect("a table");
    assert_eq!(texts(table, "clip_id"), ["t4", "t2", "t9"]);
}

#[test]
fn lists_of_one_length_are_features() {
    let nested = matrix("nested.parquet", json!({})).expect("features");
    assert_eq!(features(&nested), ([1.0, 2.0, 3.0, 4.0].repeat(2), 4));
    let ragged = error(matrix("ragged.parquet", json!({})));
    assert!(
        ragged.contains("column `x`: its lists have 1 and 2 numbers, not one length"),
        "{ragged}"
    );
    let empty = error(matrix("empty_lists.parquet", json!({})));
    assert!(empty.contains("column `x`: rows of 0 numbers"), "{empty}");
}

#[test]
fn a_missing_value_is_none() {
    let outputs = read("f.csv", b"f,label,group\n1,x,\n2,NA,s\n3, ,\n4,y,s\n", json!({}));
    let outputs = outputs.expect("features");
    assert_eq!(texts(labels(&outputs), "label"), ["x", "", "", "y"]);
    assert_eq!(texts(labels(&outputs), "group"), ["0", "s", "2", "s"]);
    assert!(warning(&outputs, "labels").starts_with("2 of 4 clips have no label"));
    let nulls = matrix("missing.parquet", json!({})).expect("features");
    assert_eq!(texts(labels(&nulls), "label"), ["1", "", "2"]);
    assert_eq!(texts(labels(&nulls), "group"), ["0", "s", "s"]);
    let error = |text: &str| error(read("f.csv", text.as_bytes(), json!({})));
    assert!(
        error("f,g\n1,\n,2\n")
            .contains("no value in column `f` of clip `1`; has no value in column `g`")
    );
    assert!(error("clip_id,f\na,1\n,2\nNaN,3\n").contains("no `clip_id` in row 2, nor in 1 more"));
    assert!(error("f\n1\n1e39\n").contains("1e39, beyond single precision"));
}

#[test]
fn values_that_merge_in_single_precision_are_named() {
    let of =
        |text: &str| warning(&read("f.csv", text.as_bytes(), json!({})).expect(text), "features");
    let merged = of("clip_id,t,u\na,1700000000,1\nb,1700000001,2\nc,1700009000,3\n");
    assert!(merged.contains("column `t`") && merged.contains("`a`, `b`;"), "{merged}");
    assert!(!merged.contains("`u`"), "{merged}");
    assert_eq!(of("t\n0.1\n0.10000000001\n7\n"), "");
    // Nanoseconds, which are equal in double precision too.
    let merged = of("t\n1700000000000000001\n1700000000000000002\n1700000000000000003\n");
    assert!(merged.contains("column `t`") && merged.contains("`0`, `1`, `2`;"), "{merged}");
    let offset = matrix("offset.npy", json!({})).expect("numbers");
    assert!(warning(&offset, "features").contains("number 1 of a row"), "{offset:?}");
}

/// Texts that are stored by what they share with the one before say nowhere how long they are.
#[test]
fn texts_that_share_their_beginnings_are_read_and_counted() {
    let error = error(matrix("shared_long.parquet", json!({})));
    assert!(error.contains("unfolds to more than it may"), "{error}");
    let made = matrix("shared.parquet", json!({})).expect("a table");
    let made = made.get("features").and_then(Artifact::as_table);
    let ids = made.and_then(|table| table.text("clip_id")).expect("names");
    assert_eq!(ids.len(), 300);
    assert_eq!(
        [&*ids[0], &*ids[1], &*ids[299]],
        ["a/clip 0.wav", "a/clip 1.wav", "a/clip 299.wav"]
    );
}

#[test]
fn a_table_that_unfolds_to_too_much_is_refused_unless_that_is_said() {
    let error = error(matrix("unfolds.parquet", json!({})));
    assert!(
        error.contains("unfolds to more than it may") && error.contains("max_unfolded_mib"),
        "{error}"
    );
    let small = fault_of_small();
    assert!(small.contains("1 MiB are left") || small.contains("0 MiB are left"), "{small}");
}

fn fault_of_small() -> String {
    error(matrix("wide.parquet", json!({ "max_unfolded_mib": 1 })))
}

#[test]
fn a_hundred_thousand_columns_are_no_burden() {
    let names: Vec<String> = (0..100_000).map(|at| format!("f{at}")).collect();
    let row = |value: u32| (0..100_000).map(|_| value.to_string()).collect::<Vec<_>>().join(",");
    let text = format!("{}\n{}\n{}\n", names.join(","), row(1), row(2));
    let (values, width) = features(&read("f.csv", text.as_bytes(), json!({})).expect("features"));
    assert_eq!((values[0], values[width], width), (1.0, 2.0, 100_000));
}
