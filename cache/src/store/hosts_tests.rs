//! Tests of stores that several hosts and several versions share.

use super::{
    tests::{key, run_step},
    *,
};
use std::{fs::File, thread};

#[test]
fn a_store_of_an_earlier_version_is_read_and_goes_with_a_compaction() {
    let root = tempfile::tempdir().expect("a folder");
    let store = Store::open(root.path()).expect("a store");
    let steps = [0, 1, 2].map(|step| run_step(&store, step).expect("a step"));
    let lines = steps.iter().map(|step| {
        let line = String::from_utf8(line::line(step, 0)).expect("text");
        // The checksum of a line without a number is made anew.
        let rest = line.split_once(",").expect("a sum").1.replace(",\"at\":0", "");
        format!("{{\"sum\":\"{:08x}\",{rest}", crc32fast::hash(rest.trim_end().as_bytes()))
    });
    let lines: Vec<String> = lines.collect();
    drop(store);
    fs::remove_dir_all(root.path().join(JOURNALS)).expect("removed");
    let write =
        |name: &str, text: String| fs::write(root.path().join(name), text).expect("written");
    write("state-v1.jsonl", format!("{{\"state\":1}}\n{}", lines[0]));
    write("journal-v1.jsonl", format!("{{\"journal\":\"00\"}}\n{}\n{}", lines[1], lines[2]));
    write("journal-v1.lock", String::new());
    let store = Store::open(root.path()).expect("a store");
    assert!(steps.iter().all(|step| store.finished(&step.key).as_ref() == Some(step)));
    // A process of that version still writes.
    let lock = File::open(root.path().join("journal-v1.lock")).expect("a lock");
    lock.lock_shared().expect("the lock");
    assert!(store.compact(true, |_| true).expect("compacted"));
    assert!(root.path().join("journal-v1.jsonl").exists());
    drop(lock);
    assert!(store.compact(true, |_| true).expect("compacted"));
    assert!(!root.path().join("journal-v1.jsonl").exists());
    let reopened = Store::open(root.path()).expect("a store");
    assert!(steps.iter().all(|step| reopened.finished(&step.key).as_ref() == Some(step)));
}

#[test]
fn of_two_lines_all_choose_the_same_whoever_reads_them_first() {
    let root = tempfile::tempdir().expect("a folder");
    let stores = [0, 1, 2].map(|_| Store::open(root.path()).expect("a store"));
    let made = run_step(&stores[0], 0).expect("a step");
    let other = |seconds| Finished { times: Times { seconds, ..Times::default() }, ..made.clone() };
    // Neither has read what the other writes.
    stores[1].commit(other(1.0)).expect("committed");
    stores[2].commit(other(2.0)).expect("committed");
    let reopened = Store::open(root.path()).expect("a store");
    let chosen = reopened.finished(&made.key);
    for store in &stores {
        store.refresh().expect("read");
        assert_eq!(store.finished(&made.key), chosen);
    }
    // Whoever has read all has the last word.
    stores[0].commit(other(3.0)).expect("committed");
    assert!(reopened.compact(false, |_| true).expect("compacted"));
    reopened.refresh().expect("read");
    assert_eq!(reopened.finished(&made.key), Some(other(3.0)));
}

#[test]
fn what_another_host_wrote_is_read_although_it_is_seen_after_its_end() {
    let root = tempfile::tempdir().expect("a folder");
    let maker = Store::open(root.path()).expect("a store");
    let steps = [0, 1].map(|step| run_step(&maker, step).expect("a step").key);
    let own = root.path().join(JOURNALS).join(format!("{}.jsonl", maker.name().expect("a name")));
    drop(maker);
    let text = fs::read_to_string(&own).expect("a journal");
    fs::remove_file(own).expect("removed");
    let (first, _) = text.split_once("\n\n").expect("two batches");
    let path = root.path().join(JOURNALS).join(format!("elsewhere-7-{:016x}.jsonl", 7));
    fs::write(&path, format!("{first}\n")).expect("written");
    let store = Store::open(root.path()).expect("a store");
    let known = || {
        store.refresh().expect("read");
        steps.map(|step| store.finished(&step).is_some())
    };
    // No file shows that its writer lives.
    assert_eq!(known(), [true, false]);
    fs::write(&path, text).expect("written");
    assert_eq!(known(), [true, true]);
}

/// The text of another host's process, at this count.
fn foreign(root: &Path, count: u64) -> (std::path::PathBuf, String) {
    let store = Store::open(root).expect("a store");
    let name = store.name().expect("a name");
    let own = fs::read_to_string(root.join(LEASES).join(&name)).expect("text");
    let other = format!("elsewhere-7-{:016x}", 7);
    let text = own.replace(&name, &other).replace("\"boot\":\"", "\"boot\":\"other ");
    let text = text.replace("\"machine\":\"", "\"machine\":\"other ");
    let text = text.replace("\"every\":10000", "\"every\":20");
    (root.join(LEASES).join(other), format!("{count:020}{}", &text[20..]))
}

#[test]
fn a_process_of_another_host_lives_as_long_as_it_counts() {
    let root = tempfile::tempdir().expect("a folder");
    let (path, text) = foreign(root.path(), 1);
    fs::write(&path, &text).expect("written");
    let step = key(0).digest();
    let lease = root.path().join(LEASES).join(format!("{step}.0"));
    fs::hard_link(&path, &lease).expect("a lease");
    let store = Store::open(root.path()).expect("a store");
    assert!(store.is_shared(), "its lock is free, and that says nothing");
    for count in 2..12_u64 {
        assert!(matches!(store.try_claim(&step), Ok(Attempt::Taken(Some(_)))), "{count}");
        thread::sleep(std::time::Duration::from_millis(30));
        let file = File::options().write(true).open(&path).expect("a file");
        std::os::unix::fs::FileExt::write_all_at(&file, format!("{count:020}").as_bytes(), 0)
            .expect("counted");
    }
    assert!(!store.try_lock_exclusive().expect("known"));
    // It counts no more.
    let claim = store.claim(&step, |_| (), || false).expect("no fault").expect("taken over");
    assert_eq!(store.claims().len(), 1);
    claim.finish();
    assert!(lease.exists(), "its name stays");
    let next = lease.with_extension("1");
    assert!(next.exists() && store.claims().is_empty(), "it is marked as done");
    assert!(store.try_lock_exclusive().expect("known"));
    let claim = store.claim(&step, |_| (), || true).expect("no fault");
    assert!(claim.is_some(), "whoever finds nothing in the journal makes it again");
}

#[test]
fn a_result_is_found_by_the_name_of_its_maker_before_a_list_has_it() {
    let root = tempfile::tempdir().expect("a folder");
    let (maker, other) = (Store::open(root.path()), Store::open(root.path()));
    let (maker, other) = (maker.expect("a store"), other.expect("a store"));
    maker.share();
    let step = key(0).digest();
    let claim = maker.claim(&step, |_| (), || false).expect("no fault").expect("free");
    let made = run_step(&maker, 0).expect("a step");
    claim.finish();
    assert_eq!(other.finished(&step), None, "it has not looked");
    let claim = other.try_claim(&step).expect("no fault");
    assert!(matches!(claim, Attempt::Mine(_)));
    assert_eq!(other.finished(&step), Some(made));
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn a_machine_that_was_started_anew_leaves_no_process_behind() {
    let root = tempfile::tempdir().expect("a folder");
    let (path, text) = foreign(root.path(), 1);
    let text = text.replace("\"machine\":\"other ", "\"machine\":\"");
    if text.contains("\"machine\":\"\"") {
        eprintln!("SKIPPED: this machine has no name of its own");
        return;
    }
    fs::write(&path, text).expect("written");
    let store = Store::open(root.path()).expect("a store");
    assert!(!path.exists() && !store.is_shared());
}
