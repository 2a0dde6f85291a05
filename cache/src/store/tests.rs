//! Tests that stop the store at each of its writes: at any moment, every named object is complete.

use super::{
    disk::Disk,
    faults::{Failure, Faults},
    *,
};
use crate::{Artifact, Kind, Table, Tensor, Tensors};
use std::{collections::BTreeMap, sync::Barrier, thread};

pub(super) fn key(step: usize) -> CacheKey {
    CacheKey {
        format: 1,
        op: "pca".to_owned(),
        version: 1,
        params: BTreeMap::from([("components".to_owned(), step.into())]),
        inputs: BTreeMap::new(),
        seed: None,
        numerics: None,
    }
}

fn artifact(step: usize) -> Artifact {
    let table = Table::new().with_reals("value", vec![step as f64; 40]);
    Artifact::table(Kind::Scores, table)
}

pub(super) fn run_step(store: &Store, step: usize) -> Result<Finished, StoreError> {
    let outputs = BTreeMap::from([("out".to_owned(), store.put(&artifact(step))?)]);
    let (key, times) = (key(step), Times::default());
    let finished =
        Finished { key: key.digest(), cache_key: key, outputs, times, warnings: Vec::new() };
    store.commit(finished.clone())?;
    Ok(finished)
}

/// Opens the store, runs four steps, saves a checkpoint of a long one, and compacts. Returns the
/// steps that were reported finished.
fn study(root: &Path, disk: &Disk) -> Vec<Finished> {
    let Ok(store) = Store::open_on(root, disk.clone()) else { return Vec::new() };
    let mut finished = Vec::new();
    for step in 0..4 {
        let claimed = store.claim(&key(step).digest(), |_| (), || false);
        finished.extend(run_step(&store, step));
        if step == 1 {
            let tensor = Tensor { shape: vec![1], values: vec![1.0] };
            let work = store.checkpoints(&Digest::of(b"work"));
            let _ = work.save(1, &Tensors::from([("w".to_owned(), tensor)]));
            let _ = work.finish();
        }
        if step == 2 {
            let _ = store.compact(true, |_| true);
        }
        drop(claimed);
    }
    finished
}

fn failing_at(call: usize, failure: Failure) -> Disk {
    Disk { faults: Faults::at(call, failure), ..Disk::default() }
}

#[test]
fn death_at_any_write_loses_only_the_running_step() {
    let root = tempfile::tempdir().expect("a folder");
    let whole = Disk::default();
    assert_eq!(study(root.path(), &whole).len(), 4);
    let calls = whole.faults.calls().len();
    assert!(calls > 50, "{calls} calls");
    for call in 0..calls {
        let root = tempfile::tempdir().expect("a folder");
        let reported = study(root.path(), &failing_at(call, Failure::Death));
        let at = &whole.faults.calls()[call];
        let store = Store::open(root.path()).unwrap_or_else(|error| panic!("{at}: {error}"));
        for step in &reported {
            assert_eq!(store.finished(&step.key).as_ref(), Some(step), "lost after {at}");
        }
        for named in store.history() {
            for object in named.outputs.values() {
                store.get(&object.digest).unwrap_or_else(|error| panic!("{at}: {error}"));
            }
        }
        let left = fs::read_dir(root.path().join(TMP)).expect("a folder").count();
        assert_eq!(left, 0, "unfinished files after {at}");
        assert_eq!(study(root.path(), &Disk::default()).len(), 4, "after {at}");
    }
}

#[test]
fn a_disk_that_is_full_once_loses_one_step_and_says_so() {
    let root = tempfile::tempdir().expect("a folder");
    let whole = Disk::default();
    study(root.path(), &whole);
    for call in 0..whole.faults.calls().len() {
        let root = tempfile::tempdir().expect("a folder");
        let reported = study(root.path(), &failing_at(call, Failure::Full));
        let store = Store::open(root.path()).expect("a store");
        let at = &whole.faults.calls()[call];
        // If a folder could not be made, there is no store to run steps in.
        assert!(reported.len() >= 3 || call < 8, "{} finished with {at} full", reported.len());
        for step in &reported {
            assert_eq!(store.finished(&step.key).as_ref(), Some(step), "lost after {at}");
        }
    }
    let root = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(root.path()).expect("a store");
    store.disk = failing_at(0, Failure::Death).below(root.path());
    let said = store.put(&artifact(0)).expect_err("a full disk").to_string();
    assert!(said.starts_with("cannot write `") && said.contains(".parquet`: "), "{said}");
}

#[test]
fn bytes_come_before_names_and_names_before_the_journal() {
    let root = tempfile::tempdir().expect("a folder");
    let disk = Disk::default();
    let store = Store::open_on(root.path(), disk.clone()).expect("a store");
    let before = disk.faults.calls().len();
    run_step(&store, 0).expect("a step");
    let calls = disk.faults.calls()[before..].to_vec();
    let mut from = 0;
    for (call, on) in [
        ("write", TMP),
        ("sync", TMP),
        ("rename", OBJECTS),
        ("sync folder", OBJECTS),
        ("write", JOURNALS),
        ("sync", JOURNALS),
    ] {
        let is = |it: &String| it.starts_with(&format!("{call} /")) && it.contains(on);
        let at = calls[from..].iter().position(is);
        from += at.unwrap_or_else(|| panic!("no {call} of {on} in {:?}", &calls[from..])) + 1;
    }
}

#[test]
fn steps_that_finish_together_share_a_sync() {
    let root = tempfile::tempdir().expect("a folder");
    let disk = Disk::default();
    let store = Store::open_on(root.path(), disk.clone()).expect("a store");
    run_step(&store, 0).expect("a step");
    // While one is written, others finish and wait.
    let writing = store.journal.own.lock().expect("no panic");
    let before = disk.faults.calls().len();
    let ready = Barrier::new(9);
    thread::scope(|scope| {
        let steps: Vec<_> = (1..9)
            .map(|step| {
                let (store, ready) = (&store, &ready);
                scope.spawn(move || {
                    let object = store.put(&artifact(step)).expect("kept");
                    let outputs = BTreeMap::from([("out".to_owned(), object)]);
                    let (key, times) = (key(step), Times::default());
                    ready.wait();
                    store.commit(Finished {
                        key: key.digest(),
                        cache_key: key,
                        outputs,
                        times,
                        warnings: Vec::new(),
                    })
                })
            })
            .collect();
        ready.wait();
        thread::sleep(std::time::Duration::from_millis(1000));
        drop(writing);
        steps.into_iter().for_each(|step| step.join().expect("no panic").expect("committed"));
    });
    let calls = disk.faults.calls();
    let syncs =
        calls[before..].iter().filter(|call| call.starts_with("sync /") && call.contains(JOURNALS));
    // The first thread writes its line alone; all others wait for it.
    assert!(syncs.count() <= 2, "{calls:?}");
    let reopened = Store::open(root.path()).expect("a store");
    assert_eq!(reopened.history().len(), 9);
}

#[test]
fn compacting_keeps_all_and_others_notice() {
    let root = tempfile::tempdir().expect("a folder");
    let store = Store::open(root.path()).expect("a store");
    let other = Store::open(root.path()).expect("a store");
    let first = run_step(&store, 0).expect("a step");
    other.refresh().expect("read");
    assert!(store.compact(true, |_| true).expect("compacted"));
    let second = run_step(&store, 1).expect("a step");
    assert_eq!(other.finished(&second.key), None);
    other.refresh().expect("read");
    let third = run_step(&other, 2).expect("a step");
    let reopened = Store::open(root.path()).expect("a store");
    for step in [&first, &second, &third] {
        assert_eq!(other.finished(&step.key).as_ref(), Some(step));
        assert_eq!(reopened.finished(&step.key).as_ref(), Some(step));
    }
    let state = fs::metadata(root.path().join("state-v2.jsonl")).expect("a file").len();
    assert!(state > 300 && journals(root.path()).len() == 2);
}

/// The names of all journals.
fn journals(root: &Path) -> Vec<String> {
    let files = fs::read_dir(root.join(JOURNALS)).expect("a folder");
    files.map(|it| it.expect("a file").file_name().into_string().expect("text")).collect()
}

#[test]
fn whoever_looks_again_knows_what_all_have_made() {
    let root = tempfile::tempdir().expect("a folder");
    let stores = [0, 1, 2].map(|_| Store::open(root.path()).expect("a store"));
    let all_know = |made: usize| {
        for store in &stores {
            store.refresh().expect("read");
            let unknown = (0..made).find(|&step| store.finished(&key(step).digest()).is_none());
            assert_eq!(unknown, None, "of {made}");
        }
    };
    for step in 0..60 {
        let (who, then) = (&stores[step * step % 3], &stores[step * 7 % 5 % 3]);
        run_step(who, step).expect("a step");
        match step % 7 {
            2 | 5 => then.refresh().expect("read"),
            3 => assert!(then.compact(true, |_| true).expect("compacted")),
            _ => all_know(step + 1),
        }
    }
}

#[test]
fn what_another_process_writes_in_between_is_read() {
    let (root, disk) = (tempfile::tempdir().expect("a folder"), Disk::default());
    let store = Store::open_on(root.path(), disk.clone()).expect("a store");
    run_step(&store, 0).expect("a step");
    store.refresh().expect("read");
    let other = Store::open(root.path()).expect("a store");
    disk.faults.before_write(JOURNALS, move || {
        run_step(&other, 1).expect("a step");
    });
    run_step(&store, 2).expect("a step");
    store.refresh().expect("read");
    for step in 0..3 {
        assert!(store.finished(&key(step).digest()).is_some(), "step {step}");
    }
}

#[test]
fn long_journals_and_many_are_compacted_by_themselves() {
    let root = tempfile::tempdir().expect("a folder");
    let store = Store::open(root.path()).expect("a store");
    let mut long = run_step(&store, 0).expect("a step");
    long.times.laps = vec![0.123_456_789; 20_000];
    for _ in 0..8 {
        store.commit(long.clone()).expect("committed");
    }
    drop(store);
    let length = || fs::metadata(root.path().join("state-v2.jsonl")).map_or(0, |file| file.len());
    assert_eq!(length(), 0, "a process leaves its own journal alone");
    let store = Store::open(root.path()).expect("a store");
    run_step(&store, 1).expect("a step");
    assert!(length() > 200_000, "the state holds the newest line");
    assert_eq!(journals(root.path()).len(), 1);
    drop(store);
    for step in 2..40 {
        let store = Store::open(root.path()).expect("a store");
        run_step(&store, step).expect("a step");
        assert!(journals(root.path()).len() < 20);
    }
    let store = Store::open(root.path()).expect("a store");
    assert_eq!(store.history().len(), 40);
    assert_eq!(store.finished(&long.key), Some(long));
}

#[test]
fn every_damaged_line_costs_its_own_step_only() {
    let root = tempfile::tempdir().expect("a folder");
    let store = Store::open(root.path()).expect("a store");
    let steps = [0, 1, 2].map(|step| run_step(&store, step).expect("a step"));
    store.compact(true, |_| true).expect("compacted");
    let path = root.path().join("state-v2.jsonl");
    let whole = fs::read(&path).expect("a state");
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, bytes).expect("written");
        let reopened = Store::open(root.path()).expect("a store");
        let known = steps.iter().filter(|step| {
            let found = reopened.finished(&step.key);
            found.is_some_and(|found| {
                assert_eq!(&found, *step, "a damaged line is believed: byte {at}");
                true
            })
        });
        // A damaged line break joins two lines.
        assert!(known.count() >= 1, "byte {at}");
    }
}

#[test]
fn a_store_that_is_taken_away_is_named() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("store");
    let store = Store::open(&folder).expect("a store");
    run_step(&store, 0).expect("a step");
    fs::rename(&folder, root.path().join("elsewhere")).expect("moved");
    let said = run_step(&store, 1).expect_err("no store").to_string();
    assert!(said.contains("is no longer there"), "{said}");
    assert!(!folder.exists(), "it is not made again in silence");
    let moved = Store::open(&root.path().join("elsewhere")).expect("a store");
    assert!(moved.finished(&key(0).digest()).is_some(), "nothing is lost");
}

#[test]
fn a_claim_waits_until_its_owner_ends_or_is_told_to_stop() {
    let root = tempfile::tempdir().expect("a folder");
    let (store, other) = (Store::open(root.path()), Store::open(root.path()));
    let (store, other) = (store.expect("a store"), other.expect("a store"));
    let step = key(0).digest();
    let claim = store.claim(&step, |_| (), || false).expect("no fault").expect("free");
    let mut owner = None;
    let refused = other.claim(&step, |found| owner = found, || true).expect("no fault");
    assert!(refused.is_none(), "it was told to stop");
    assert_eq!(owner.expect("an owner").pid, std::process::id());
    assert_eq!(store.claims().len(), 1);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| other.claim(&step, |_| (), || false).map(|it| it.is_some()));
        thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waiting.is_finished());
        drop(claim);
        assert!(waiting.join().expect("no panic").expect("no fault"));
    });
}

#[test]
fn a_lock_is_never_held_twice() {
    let root = tempfile::tempdir().expect("a folder");
    let held = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = Store::open(root.path()).expect("a store");
                for _ in 0..50 {
                    let claim = store.claim(&key(0).digest(), |_| (), || false).expect("no fault");
                    assert_eq!(held.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    thread::yield_now();
                    held.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    drop(claim);
                }
            });
        }
    });
}
