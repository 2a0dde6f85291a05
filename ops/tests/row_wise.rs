//! Results of other rows or files may be used again: with it, ops make the same bytes.

#[expect(dead_code, reason = "the contract tests use more of it")]
mod contract_examples;

use cache::{
    Artifact, Data, Digest, FileEntry, Kind, Table,
    rows::{merge, select},
};
use contract_examples::{Example, parse, run};
use ops::{Ctx, Detached, Entry, Inputs, OPS, Outputs, PriorOutputs, Progress};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use std::sync::atomic::{AtomicU64, Ordering};

/// Rows of an example: recordings are rendered and decoded, numbers cost little.
fn rows_of(entry: &Entry) -> usize {
    if entry.inputs[0].kinds.contains(&Kind::Clips) { 5 } else { 12 }
}

fn table(artifact: &Artifact) -> &Table {
    artifact.as_table().expect("rows")
}

/// Some rows of an artifact.
fn part(whole: &Artifact, rows: &[usize]) -> Artifact {
    Artifact { data: Data::Table(select(table(whole), rows)), ..whole.clone() }
}

fn only(outputs: Outputs) -> Artifact {
    let outputs = outputs.into_vec();
    assert_eq!(outputs.len(), 1, "a row-wise op makes one thing");
    outputs.into_iter().next().expect("one").1
}

/// Rows of now, some of them twice; of these, by their places, those that an earlier run had; and the
/// order in which it had them, beside others.
fn history(rows: usize) -> impl Strategy<Value = (Vec<usize>, Vec<bool>)> {
    let now = prop::collection::vec(0..rows, 1..=rows + 2);
    now.prop_flat_map(|now| {
        let known = prop::collection::vec(any::<bool>(), now.len());
        (Just(now), known)
    })
}

#[test]
fn rows_made_apart_are_rows_made_together() {
    let row_wise: Vec<_> = OPS.iter().filter(|entry| entry.row_wise).collect();
    assert!(row_wise.len() >= 2);
    for entry in row_wise {
        assert_eq!((entry.inputs.len(), entry.outputs.len()), (1, 1), "{}", entry.name);
        assert!(!entry.seeded, "{}: a row must not depend on its place", entry.name);
        let (port, count) = (entry.inputs[0].name, rows_of(entry));
        let example = Example::new(entry, count, 0);
        let op = example.op(entry);
        let all = example.inputs[0].1.clone();
        let made = |rows: &[usize]| {
            let outputs = run(&*op, &[(port, part(&all, rows))], &example.files, 0);
            only(outputs.unwrap_or_else(|error| panic!("{}: {error}", entry.name)))
        };
        let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
        let law = |(now, known): (Vec<usize>, Vec<bool>)| {
            // The earlier run had the known rows the other way round, and one more in front.
            let old: Vec<usize> = (0..now.len()).rev().filter(|&at| known[at]).collect();
            let new: Vec<usize> = (0..now.len()).filter(|&at| !known[at]).collect();
            prop_assume!(!new.is_empty());
            let then: Vec<usize> =
                std::iter::once(0).chain(old.iter().map(|&at| now[at])).collect();
            let order: Vec<usize> = (0..now.len())
                .map(|at| match known[at] {
                    true => 1 + old.iter().position(|&own| own == at).expect("a known row"),
                    false => then.len() + new.iter().position(|&own| own == at).expect("a new row"),
                })
                .collect();
            let fresh = made(&new.iter().map(|&at| now[at]).collect::<Vec<_>>());
            let earlier = made(&then);
            prop_assert_eq!((earlier.kind, &earlier.meta), (fresh.kind, &fresh.meta));
            let Data::Table(earlier) = earlier.data else { panic!("rows") };
            let merged = Data::Table(merge(earlier, table(&fresh), &order));
            let whole = made(&now);
            prop_assert_eq!(Artifact { data: merged, ..fresh }.digest(), whole.digest());
            Ok(())
        };
        TestRunner::new(config).run(&history(count), law).unwrap_or_else(|error| {
            panic!("{}: {error}", entry.name);
        });
    }
}

struct EarlierOutputs(Vec<(&'static str, Artifact)>);

impl PriorOutputs for EarlierOutputs {
    fn outputs(&self, port: &str) -> Vec<Artifact> {
        let made = self.0.iter().filter(|(own, _)| *own == port);
        made.map(|(_, artifact)| artifact.clone()).collect()
    }
}

/// The most that any step of the work said it had to do.
#[derive(Default)]
struct Watch(AtomicU64);

impl Progress for Watch {
    fn at(&self, done: u64, total: u64, _note: &str) {
        assert!(done <= total);
        self.0.fetch_max(total, Ordering::Relaxed);
    }
}

#[test]
fn sources_look_only_into_recordings_that_are_new() {
    let mut sources = 0;
    for entry in OPS {
        let example = Example::new(entry, 3, 0);
        let of_clips = entry.outputs.first().is_some_and(|port| port.kinds == [Kind::Clips]);
        if example.files.is_empty() || !of_clips {
            continue;
        }
        sources += 1;
        for skip in [false, true] {
            let mut params = example.params.clone();
            if skip {
                params.insert("on_error".to_owned(), "skip".into());
            }
            let op = parse(entry, &params);
            let made = |files: &[FileEntry], earlier: &dyn PriorOutputs| {
                let watch = Watch::default();
                let cx = Ctx { earlier, progress: &watch, ..Detached::with_seed(0) };
                let outputs = op.run(&Inputs::new().with_files(files), &cx);
                let outputs = outputs.unwrap_or_else(|error| panic!("{}: {error}", entry.name));
                (outputs.into_vec(), watch.0.into_inner())
            };
            let digests = |outputs: &[(&str, Artifact)]| -> Vec<Digest> {
                outputs.iter().map(|(_, artifact)| artifact.digest()).collect()
            };
            let (whole, all) = made(&example.files, &Detached);
            let (again, none) = made(&example.files, &EarlierOutputs(whole.clone()));
            assert_eq!(digests(&whole), digests(&again), "{}", entry.name);
            assert!(all >= 4 && none == 0, "{}: {none} of {all}", entry.name);

            // One recording is another now.
            let changed = example.files.iter().position(|it| it.name.ends_with(".wav"));
            let mut files = example.files.clone();
            let file = &mut files[changed.expect("a recording")];
            let original = std::fs::read(&file.path).expect("a file");
            let mut other = original.clone();
            *other.last_mut().expect("samples") ^= 1;
            std::fs::write(&file.path, &other).expect("a file");
            file.digest = Digest::of(&other);
            let path = file.path.clone();
            let (plain, _) = made(&files, &Detached);
            let (quick, read) = made(&files, &EarlierOutputs(whole.clone()));
            std::fs::write(&path, &original).expect("a file");
            assert_eq!(digests(&plain), digests(&quick), "{}", entry.name);
            assert_ne!(digests(&plain), digests(&whole), "{}", entry.name);
            assert_eq!(read, 1, "{}", entry.name);
        }
    }
    assert!(sources >= 3);
}
