//! Nothing outside the store is written or deleted, wherever a link stands in it; and whatever stands in
//! the place of a file is passed over, rebuilt or refused, and never waited for.

use cache::{
    Artifact, CacheKey, Digest, FileEntry, Kind, Store, StoreError, Table, Tensor, Tensors,
    store::{FIGURES, Finished, LOGS, Times, UP_TO_DATE},
};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use walkdir::WalkDir;

/// Does all that a store does with its files, and gives what it refused.
fn use_all(store: &Store) -> Vec<StoreError> {
    let mut refused = Vec::new();
    for step in 0..3 {
        let key = CacheKey {
            format: 1,
            op: "pca".to_owned(),
            version: 1,
            params: BTreeMap::from([("components".to_owned(), step.into())]),
            inputs: BTreeMap::new(),
            seed: None,
            numerics: None,
        };
        let digest = key.digest();
        let claim = store.claim(&digest, |_| (), || true);
        let made = || {
            let object = store.put(&artifact(step))?;
            store.get(&object.digest)?;
            store.verify(&object.digest)?;
            let outputs = BTreeMap::from([("out".to_owned(), object)]);
            store.commit(Finished {
                key: digest,
                cache_key: key,
                outputs,
                times: Times::default(),
                warnings: Vec::new(),
            })
        };
        refused.extend(made().err());
        refused.extend(claim.err());
    }
    let state = |value| {
        let tensor = Tensor { shape: vec![1], values: vec![value] };
        Tensors::from([("w".to_owned(), tensor)])
    };
    let work = store.checkpoints(&Digest::of(b"work"));
    refused.extend(work.save(1, &state(1.0)).err());
    refused.extend(work.save(2, &state(2.0)).err());
    work.load(9);
    refused.extend(work.finish().err());
    let files = [FileEntry {
        name: "a.wav".to_owned(),
        path: "a.wav".into(),
        digest: Digest::of(b"a"),
        size: 1,
    }];
    refused.extend(store.note_files(&files).err());
    let name = Digest::of(b"name").to_string();
    for (folder, ending) in
        [(FIGURES, ".png"), (FIGURES, ".json"), (UP_TO_DATE, ""), (LOGS, ".log")]
    {
        refused.extend(store.keep(folder, &format!("{name}{ending}"), b"bytes").err());
        refused.extend(store.keep_unsynced(folder, &format!("{name}{ending}"), b"bytes").err());
        store.kept(folder, &format!("{name}{ending}"));
    }
    // The program itself is a file that has been settled for long.
    let program = std::env::current_exe().expect("a program");
    store.files().digest(&program).expect("a digest");
    refused.extend(store.save_files().err());
    refused.extend(store.note_runs(Path::new("/runs")).err());
    refused.extend(store.refresh().err());
    store.claims();
    refused
}

fn artifact(step: usize) -> Artifact {
    Artifact::table(Kind::Scores, Table::new().with_reals("value", vec![step as f64; 40]))
}

/// Removes all that the store knows.
fn empty(store: &Store) -> Vec<StoreError> {
    let usage = store.usage();
    let files = [usage.logs, usage.notes, usage.figures, usage.up_to_date, usage.unfinished];
    store.remove(&usage.objects, &usage.checkpoints, &files.concat()).err().into_iter().collect()
}

/// A store in which everything there can be is there.
fn full() -> TempDir {
    let root = tempfile::tempdir().expect("a folder");
    let store = Store::open(root.path()).expect("a store");
    assert!(use_all(&store).is_empty());
    // A state exists once a journal was compacted.
    store.remove(&store.usage().objects[..1], &[], &[]).expect("removed");
    assert!(use_all(&store).is_empty());
    drop(store);
    // What killed processes leave: themselves, a lease and an unfinished file.
    let (dead, leases) = (format!("host-1-{:016x}", 1), root.path().join("leases-v1"));
    fs::write(leases.join(&dead), "").expect("written");
    fs::write(leases.join(format!("{}.0", Digest::of(b"step"))), "").expect("written");
    fs::write(root.path().join("tmp-v1/1-0"), "half").expect("written");
    fs::write(root.path().join(format!("tmp-v1/{dead}-3")), "half").expect("written");
    root
}

/// Every place below a folder.
fn places(root: &Path) -> Vec<PathBuf> {
    let entries = WalkDir::new(root).min_depth(1).sort_by_file_name().into_iter();
    let paths = entries.map(|entry| entry.expect("readable").into_path());
    paths.map(|path| path.strip_prefix(root).expect("below").to_owned()).collect()
}

/// All that is below a folder, and what it holds.
fn content(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    places(root).into_iter().map(|it| (it.clone(), fs::read(root.join(it)).ok())).collect()
}

#[test]
fn nothing_behind_a_link_is_written_or_deleted() {
    let names = places(full().path());
    assert!(names.len() > 20, "{names:?}");
    for place in &names {
        for opened_before in [false, true] {
            let (root, outside) = (full(), tempfile::tempdir().expect("a folder"));
            let victim = outside.path().join("victim");
            let opened = opened_before.then(|| Store::open(root.path()).expect("a store"));
            // What is outside bears names of the store's own and holds what the store would read.
            if !root.path().join(place).exists() {
                continue; // Swept when the store was opened.
            }
            fs::rename(root.path().join(place), &victim).expect("moved");
            symlink(&victim, root.path().join(place)).expect("a link");
            let before = content(outside.path());
            let is_folder = victim.is_dir();
            let store = match opened {
                Some(store) => Ok(store),
                None => Store::open(root.path()),
            };
            let (mut refused, mut told) = (Vec::new(), String::new());
            match store {
                Ok(store) => {
                    refused.extend(use_all(&store));
                    refused.extend(empty(&store));
                    refused.extend(use_all(&store));
                }
                Err(error) => refused.push(error),
            }
            refused.iter().for_each(|error| told.push_str(&format!("{error}\n")));
            assert_eq!(
                content(outside.path()),
                before,
                "{} {opened_before}\n{told}",
                place.display()
            );
            assert!(!is_folder || told.contains("symbolic link"), "{}: {told}", place.display());
        }
    }
}

#[test]
fn links_beside_own_names_are_never_followed_or_removed() {
    let (root, outside) = (full(), tempfile::tempdir().expect("a folder"));
    let victim = outside.path().join("victim");
    fs::write(&victim, "mine").expect("written");
    let digest = Digest::of(b"another").to_string();
    let links = [
        format!("objects-v1/{}", &digest[..1]),
        format!("checkpoints-v1/{digest}"),
        format!("logs-v1/{digest}.log"),
        format!("figures-v1/{digest}.png"),
        format!("sources-v1/{digest}"),
        format!("unchanged-v1/{digest}"),
        format!("leases-v1/{digest}.0"),
        format!("leases-v1/host-2-{:016x}", 2),
        format!("journal-v2/host-2-{:016x}.jsonl", 2),
        "tmp-v1/2-0".to_owned(),
        "tmp-v1/notes.txt".to_owned(),
    ];
    for link in &links[..links.len() - 1] {
        symlink(&victim, root.path().join(link)).expect("a link");
    }
    fs::write(root.path().join(links.last().expect("links")), "mine").expect("written");
    let store = Store::open(root.path()).expect("a store");
    assert!(empty(&store).is_empty());
    for link in &links {
        assert!(root.path().join(link).symlink_metadata().is_ok(), "{link}");
    }
    assert_eq!(fs::read(&victim).expect("there"), b"mine");
    assert_eq!(store.usage().objects, []);
}

#[test]
fn a_whole_store_may_lie_behind_a_link() {
    let (root, outside) = (tempfile::tempdir().expect("a folder"), full());
    let link = root.path().join("store");
    symlink(outside.path(), &link).expect("a link");
    let store = Store::open(&link).expect("a store");
    assert!(use_all(&store).is_empty());
    assert!(empty(&store).is_empty());
}

#[test]
fn what_stands_in_a_files_place_is_rebuilt_or_refused_and_never_waited_for() {
    let names = places(full().path());
    for place in &names {
        for sort in [Some(FileType::Fifo), None] {
            let root = full();
            let path = root.path().join(place);
            if !path.is_file() {
                continue;
            }
            fs::remove_file(&path).expect("removed");
            match sort {
                Some(sort) => mknodat(CWD, &path, sort, Mode::RWXU, 0).expect("a named pipe"),
                None => {
                    fs::create_dir(&path).expect("a folder");
                    fs::write(path.join("mine"), "mine").expect("written");
                }
            }
            let is_object = place.starts_with("objects-v1");
            let (what, at) =
                (if sort.is_some() { "named pipe" } else { "folder" }, place.display());
            match Store::open(root.path()) {
                Ok(store) => {
                    let refused: Vec<_> = use_all(&store).iter().map(ToString::to_string).collect();
                    assert!(!is_object || refused.is_empty(), "{at}: {refused:?}");
                    assert!(refused.iter().all(|error| error.contains(what)), "{at}: {refused:?}");
                }
                Err(error) => assert!(error.to_string().contains(what), "{at}: {error}"),
            }
            let mine = WalkDir::new(root.path()).into_iter().filter_map(Result::ok);
            let kept = mine.filter(|entry| entry.file_name() == "mine").count();
            assert_eq!(kept, usize::from(sort.is_none()), "{at}");
        }
    }
}

#[test]
fn a_tensor_file_of_a_stated_length_that_is_not_its_own_is_not_read() {
    let root = tempfile::tempdir().expect("a folder");
    let store = Store::open(root.path()).expect("a store");
    let tensor = Tensor { shape: vec![2], values: vec![1.0, 2.0] };
    let model = Artifact::tensors(Kind::Model, Tensors::from([("w".to_owned(), tensor)]));
    let object = store.put(&model).expect("kept");
    let path = store.object_path(&object.digest).expect("there");
    // A file with a hole that no memory holds.
    let file = fs::File::options().write(true).open(&path).expect("a file");
    file.set_len(1 << 42).expect("a hole");
    let said = store.get(&object.digest).expect_err("damaged").to_string();
    assert!(said.contains("not as long as its header says"), "{said}");
    assert!(store.object_path(&object.digest).is_none(), "it is made again");
    store.put(&model).expect("kept");
    assert_eq!(store.get(&object.digest).expect("whole"), model);
}

#[test]
fn looking_for_a_store_makes_none_and_a_moved_one_is_not_made_again() {
    let root = tempfile::tempdir().expect("a folder");
    for name in ["absent", ""] {
        let store = Store::open_existing(&root.path().join(name)).expect("an empty store");
        let program = std::env::current_exe().expect("a program");
        store.files().digest(&program).expect("a digest");
        store.save_files().expect("nothing to do");
        store.refresh().expect("nothing to read");
        assert!(store.history().is_empty() && store.usage().objects.is_empty());
        assert_eq!(content(root.path()), BTreeMap::new());
    }
    let (here, there) = (root.path().join("here"), root.path().join("there"));
    let store = Store::open(&here).expect("a store");
    fs::rename(&here, &there).expect("moved");
    let refused = use_all(&store);
    assert!(refused.len() > 8, "{refused:?}");
    assert!(refused.iter().any(|error| matches!(error, StoreError::Gone(_))), "{refused:?}");
    assert!(!here.exists(), "no husk of it is made");
    fs::write(&here, "a file").expect("written");
    for opened in [Store::open(&here), Store::open_existing(&here)] {
        assert!(matches!(opened.err(), Some(StoreError::Unfit { .. })));
    }
}
