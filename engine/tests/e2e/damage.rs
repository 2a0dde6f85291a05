//! A damaged store: what is lost is named and made again.

use crate::{
    study::{CommandOutput, Study},
    tones,
};
use cache::record::StepStatus;
use std::{fs, path::Path};

/// The outputs that are damaged: one that is read by others, one that is large, the last of all.
const OUTPUTS: [(&str, &str); 3] = [("pca", "latent"), ("mel", "features"), ("scores", "scores")];

fn damaged(step: &str, port: &str, damage: impl Fn(&Path)) -> (Study, CommandOutput) {
    let study = tones::three();
    let first = study.run();
    assert_eq!(first.code, 0, "{}", first.stderr);
    let objects = study.objects();
    damage(&study.object_of(&first, step, port));
    // Another number of clusters reads all that lies before the clusters.
    if step != "scores" {
        fs::remove_file(study.object_of(&first, "norm", "features")).expect("an object");
        fs::remove_file(study.object_of(&first, "groups", "labels")).expect("an object");
    }
    let said = study.run();
    assert_eq!(said.code, 0, "{step}: {}", said.stderr);
    assert!(study.steps_that(&said, StepStatus::Ran).contains(&step.to_owned()), "{}", said.stderr);
    assert!(study.objects() == objects, "{step}: the objects differ");
    (study, said)
}

/// The place of a byte of the first page. In a short object most of what stands behind the pages says where they are, and
/// nobody reads parts of it.
pub fn in_a_page(bytes: &[u8]) -> usize {
    const BEHIND_THE_HEADER: usize = 60;
    BEHIND_THE_HEADER.max(bytes.len() / 16)
}

#[test]
fn a_flipped_bit_is_named_and_mended() {
    for (step, port) in OUTPUTS {
        let (_, said) = damaged(step, port, |path| {
            let mut bytes = fs::read(path).expect("an object");
            let page = in_a_page(&bytes);
            bytes[page] ^= 4;
            fs::write(path, bytes).expect("a damaged object");
        });
        let line = format!("{step}.{port}: object `");
        assert!(said.stderr.contains(&line), "{}", said.stderr);
        assert!(said.stderr.contains("is damaged"), "{}", said.stderr);
        assert!(said.stderr.contains(&format!("running `{step}` again")), "{}", said.stderr);
    }
}

#[test]
fn a_cut_object_is_named_and_mended() {
    for (step, port) in OUTPUTS {
        let (_, said) = damaged(step, port, |path| {
            let bytes = fs::read(path).expect("an object");
            fs::write(path, &bytes[..bytes.len() / 2]).expect("a damaged object");
        });
        assert!(said.stderr.contains(&format!("running `{step}` again")), "{}", said.stderr);
    }
}

#[test]
fn a_lost_object_is_named_and_made_again() {
    for (step, port) in OUTPUTS {
        let (_, said) = damaged(step, port, |path| fs::remove_file(path).expect("an object"));
        assert!(said.stderr.contains(&format!("running `{step}` again")), "{}", said.stderr);
    }
}

#[test]
fn a_torn_journal_costs_steps_and_no_run() {
    let study = tones::three();
    study.ran();
    let journals = || {
        let files = fs::read_dir(study.path(".engine/journal-v2")).expect("a folder");
        files.map(|file| file.expect("a journal").path()).collect::<Vec<_>>()
    };
    let [journal] = &journals()[..] else { panic!("{:?}", journals()) };
    let bytes = fs::read(journal).expect("a journal");
    fs::write(journal, &bytes[..bytes.len() - 20]).expect("a torn journal");
    assert_eq!(study.ran(), ["scores"]);
    for journal in journals() {
        fs::write(journal, b"\0\xff nonsense\n").expect("a journal of nonsense");
    }
    fs::write(study.index_of_files(), b"[{").expect("an index of nonsense");
    assert_eq!(study.ran().len(), 6);
    assert_eq!(study.ran(), [""; 0]);
}
