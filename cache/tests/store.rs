//! Laws of the store: what goes in comes out, damage is noticed, a torn journal loses nothing else.

use cache::{
    Artifact, CacheKey, Digest, Kind, Store, StoreError, Table, Tensor, Tensors,
    store::{Finished, Times},
};
use proptest::prelude::*;
use std::{collections::BTreeMap, fs, io::Write, path::Path};

fn store() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(root.path()).expect("a store");
    (root, store)
}

fn spectrogram(rows: usize) -> Artifact {
    let values = (0..rows * 6).map(|value| value as f32 * 0.5 - 3.0).collect();
    let ids = (0..rows).map(|row| format!("clip {row}"));
    let table = Table::new().with_text("clip_id", ids).with_array("features", [2, 3], values);
    Artifact::table(Kind::Spectrogram, table).with_meta("sample_rate", 22050)
}

fn key(op: &str) -> CacheKey {
    CacheKey {
        format: 1,
        op: op.to_owned(),
        version: 1,
        params: BTreeMap::from([("components".to_owned(), 8.into())]),
        inputs: BTreeMap::from([("features".to_owned(), Digest::of(b"x"))]),
        seed: Some(0),
        numerics: None,
    }
}

fn finished(store: &Store, op: &str, artifact: &Artifact) -> Finished {
    let outputs = BTreeMap::from([("out".to_owned(), store.put(artifact).expect("kept"))]);
    let finished = Finished {
        key: key(op).digest(),
        cache_key: key(op),
        outputs,
        times: Times::default(),
        warnings: Vec::new(),
    };
    store.commit(finished.clone()).expect("committed");
    finished
}

#[test]
fn a_key_is_pinned() {
    let pinned = "1c937e9f9e52a94bb85c564a0c18c5a13ee937b61daa35fd69389a1beb882bec";
    assert_eq!(key("pca").digest().to_string(), pinned, "a change of keys repeats everyone's work");
}

#[test]
fn shape_and_metadata_survive() {
    let (_root, store) = store();
    for rows in [0, 1, 1500] {
        let artifact = spectrogram(rows);
        let object = store.put(&artifact).expect("kept");
        assert_eq!(store.get(&object.digest).expect("there"), artifact);
    }
}

proptest! {
    #[test]
    fn every_number_survives_bit_for_bit(
        meta in proptest::collection::vec(any::<f64>(), 0..20),
        reals in proptest::collection::vec(
            prop_oneof![any::<f64>(), any::<u64>().prop_map(f64::from_bits), Just(0.0), Just(-0.0)],
            1..60,
        ),
    ) {
        let (_root, store) = store();
        let table = Table::new().with_reals("value", reals);
        let artifact = Artifact::table(Kind::Scores, table).with_meta("numbers", meta);
        let object = store.put(&artifact).expect("kept");
        prop_assert_eq!(store.get(&object.digest).expect("there").digest(), object.digest);
    }
}

#[test]
fn tensors_survive() {
    let (_root, store) = store();
    let tensor = Tensor { shape: vec![2, 2], values: vec![1.0, f32::NAN, -0.0, 1e-40] };
    let artifact = Artifact::tensors(Kind::Model, Tensors::from([("w".to_owned(), tensor)]));
    let object = store.put(&artifact).expect("kept");
    assert_eq!(store.get(&object.digest).expect("there").digest(), object.digest);
}

#[test]
fn every_flipped_bit_is_noticed_or_changes_nothing() {
    let (_root, store) = store();
    let artifact = spectrogram(40);
    let object = store.put(&artifact).expect("kept");
    let path = store.object_path(&object.digest).expect("there");
    let whole = fs::read(&path).expect("read");
    let mut noticed = 0;
    for at in (0..whole.len()).step_by(whole.len() / 200) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, bytes).expect("written");
        match store.get(&object.digest) {
            // Padding and page headers hold bits that say nothing of the content.
            Ok(read) => assert_eq!(read, artifact),
            Err(StoreError::Damaged { .. }) => {
                noticed += 1;
                assert!(!path.exists(), "a damaged object leaves the store");
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(noticed > 100, "{noticed}");
}

#[test]
fn a_truncated_object_is_no_hit_and_is_replaced() {
    let (_root, store) = store();
    let artifact = spectrogram(9);
    let step = finished(&store, "pca", &artifact);
    let path = store.object_path(&step.outputs["out"].digest).expect("there");
    let whole = fs::read(&path).expect("read");
    fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    assert_eq!(store.finished(&step.key), None);
    store.put(&artifact).expect("kept again");
    assert_eq!(store.finished(&step.key), Some(step));
}

#[test]
fn a_torn_journal_line_costs_its_own_step_only() {
    let (root, store) = store();
    let first = finished(&store, "pca", &spectrogram(1));
    append(root.path(), b"\n{\"key\":\"00ff");
    let reopened = Store::open(root.path()).expect("opened");
    let second = finished(&reopened, "kmeans", &spectrogram(2));
    let reopened = Store::open(root.path()).expect("opened");
    assert!(reopened.finished(&first.key).is_some() && reopened.finished(&second.key).is_some());
}

fn append(root: &Path, bytes: &[u8]) {
    for journal in fs::read_dir(root.join("journal-v2")).expect("a folder") {
        let journal = journal.expect("a journal").path();
        let mut file = fs::OpenOptions::new().append(true).open(journal).expect("opened");
        file.write_all(bytes).expect("written");
    }
}

#[test]
fn what_another_process_commits_is_seen() {
    let (root, store) = store();
    let other = Store::open(root.path()).expect("opened");
    let step = finished(&other, "pca", &spectrogram(3));
    assert_eq!(store.finished(&step.key), None);
    store.refresh().expect("refreshed");
    assert_eq!(store.finished(&step.key), Some(step));
}

#[test]
fn anybodys_parquet_is_an_error_and_not_a_crash() {
    let (root, store) = store();
    let object = store.put(&spectrogram(20)).expect("kept");
    let whole = fs::read(store.object_path(&object.digest).expect("there")).expect("read");
    let path = root.path().join("foreign.parquet");
    for (at, junk) in [(0, 0xff), (4, 0), (whole.len() - 9, 0x7f), (whole.len() - 5, 1)] {
        let mut bytes = whole.clone();
        bytes[at] = junk;
        fs::write(&path, bytes).expect("written");
        let _ = cache::interchange::read(&path);
    }
    fs::write(&path, b"not parquet").expect("written");
    assert!(cache::interchange::read(&path).is_err());
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(
        rows in prop::collection::vec((".*", any::<i64>(), any::<f64>(), prop::array::uniform3(any::<f32>())), 0..20)
    ) {
        let (_root, store) = store();
        let table = Table::new()
            .with_text("clip_id", rows.iter().map(|row| row.0.clone()))
            .with_ints("label", rows.iter().map(|row| row.1).collect())
            .with_reals("value", rows.iter().map(|row| row.2).collect())
            .with_array("features", [3], rows.iter().flat_map(|row| row.3).collect());
        let artifact = Artifact::table(Kind::Matrix, table);
        let object = store.put(&artifact).expect("kept");
        let read = store.get(&object.digest).expect("there");
        prop_assert_eq!(read.digest(), artifact.digest());
    }

    #[test]
    fn metadata_survives_to_the_last_bit(value in any::<f64>()) {
        let (_root, store) = store();
        let artifact = spectrogram(1).with_meta("total_kl", value);
        let object = store.put(&artifact).expect("kept");
        prop_assert_eq!(store.get(&object.digest).expect("there").digest(), object.digest);
    }

    #[test]
    fn another_value_is_another_digest(at in 0usize..12, change in 1u32..u32::MAX) {
        let artifact = spectrogram(2);
        let table = artifact.as_table().expect("a table");
        let mut values = table.array("features").expect("features").values().to_vec();
        values[at] = f32::from_bits(values[at].to_bits() ^ change);
        let ids = table.text("clip_id").expect("ids").to_vec();
        let other = Table::new().with_text("clip_id", ids).with_array("features", [2, 3], values);
        let other = Artifact { data: cache::Data::Table(other), ..artifact.clone() };
        prop_assert_ne!(other.digest(), artifact.digest());
    }
}
