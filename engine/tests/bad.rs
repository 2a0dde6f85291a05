//! The errors of wrong pipelines: every file of `bad/`, with the full text shown.

#[path = "../../ops/tests/peak/mod.rs"]
mod peak;

use engine::{
    spec::load_with,
    ui::diagnostic::{RenderStyle, render},
};
use peak::peak;
use proptest::{collection::vec, prelude::*, sample::Index};
use std::path::{Path, PathBuf};

/// The environment of the tests: the same on every machine.
fn environment(name: &str) -> Option<String> {
    (name == "EPOCHS").then(|| "many".to_owned())
}

/// The messages about a pipeline, and whether it could be run.
fn messages(name: &str, text: String) -> String {
    match load_with(Path::new(name), text, &[], ops::OPS, environment) {
        Ok((pipeline, warnings)) => {
            let shown = render(&pipeline.source, &warnings, &RenderStyle::plain(80));
            format!("{shown}\n(can be run)")
        }
        Err(diagnostics) => {
            render(&diagnostics.source, &diagnostics.diagnostics, &RenderStyle::plain(80))
        }
    }
}

/// The YAML files of a folder, in order.
fn pipelines(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).expect("a folder of pipelines");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    files
}

#[test]
fn every_bad_pipeline_is_explained() {
    let files = pipelines("tests/bad");
    assert!(files.len() >= 60, "{} bad pipelines", files.len());
    insta::with_settings!({
        snapshot_path => "bad", omit_expression => true, prepend_module_to_snapshot => false,
    }, {
        for path in files {
            let text = std::fs::read_to_string(&path).expect("a readable file");
            let name = path.file_name().expect("a file name").to_string_lossy();
            let said = messages(&name, text);
            assert!(said.contains("::"), "nothing was found in {name}");
            insta::assert_snapshot!(name.trim_end_matches(".yaml"), said);
        }
    });
}

#[test]
fn a_study_is_named_in_any_script() {
    let of_name = |name: &str| {
        // JSON lets C1 stand as it is, YAML does not.
        let name = serde_json::to_string(name).expect("text is JSON").replace('\u{9b}', "\\x9b");
        let steps = "steps:\n  own: { op: matrix, path: own.npy }\n";
        messages("named.yaml", format!("name: {name}\n{steps}"))
    };
    let hindi = "अध्ययन_१";
    for name in ["größe", "e\u{301}tude", hindi, "主成分", "исследование-2", "דגימה", "a.b", "🎵"]
    {
        assert!(of_name(name).ends_with("(can be run)"), "{}", of_name(name));
    }
    for name in ["a/b", ".a", "a b", "a\u{a0}b", "a\u{202e}b", "a\u{9b}b", "", "a\0", "é\u{2028}"]
    {
        assert!(of_name(name).contains("cannot be the name of a study"), "{}", of_name(name));
    }
}

/// A change of a text such as a slip of the hand, or somebody looking for trouble, makes.
#[derive(Clone, Debug)]
enum Slip {
    Flip(Index, u8),
    Cut(Index),
    Drop(Index, usize),
    Repeat(Index, usize),
    Put(Index, &'static str),
}

fn slip() -> impl Strategy<Value = Slip> {
    let pieces: &[&str] = &[
        "[",
        "]",
        "{",
        "}",
        ": ",
        "- ",
        "\n",
        "\t",
        "&a ",
        "*a",
        "<<: *a",
        "<<: [*a, *b]\n",
        "<<: [*b, {",
        "&b ",
        "*b",
        "<<:\n",
        "${",
        "${latent}",
        "!x ",
        "'",
        "\"",
        "#",
        "seeds: 999\n",
        "sweep: { grid: { vae.beta: [1, 2] } }\n",
        "@",
        "@*",
        ".",
        "-1",
        "1e999",
        "~",
        "\u{feff}",
        "range(1,9)",
        "logspace(-1,1,5)",
        "uniform(0,1)",
        "|\n",
        "? ",
        "%YAML 1.2\n",
        "---\n",
        "\u{0}",
        "é",
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, by)| Slip::Flip(at, by)),
        any::<Index>().prop_map(Slip::Cut),
        (any::<Index>(), 1..40usize).prop_map(|(at, length)| Slip::Drop(at, length)),
        (any::<Index>(), 1..200usize).prop_map(|(at, length)| Slip::Repeat(at, length)),
        (any::<Index>(), proptest::sample::select(pieces)).prop_map(|(at, it)| Slip::Put(at, it)),
    ]
}

/// A pipeline of anchors, aliases, and maps that are merged in every way.
const MERGED: &str = "name: merged
vars: { data: data, k: &k 3 }
steps:
  clips: { op: audio_folder, path: '${data}' }
  mel: &mel { op: log_mel, in: clips, sample_rate: &rate 8000, n_fft: 512, hop_length: 256, n_mels: 16 }
  short: { <<: *mel, duration: 0.5 }
  norm: { op: normalize, in: short }
  pca: &pca { op: pca, in: norm, components: 4 }
  groups: &groups { op: kmeans, in: pca, clusters: *k }
  more: { <<: [*groups, { n_init: 4 }, { n_init: 9, clusters: 2 }], max_iter: 50 }
  both:
    <<:
      - *groups
      - { n_init: 2 }
    clusters: 2
  scores: { op: metrics, in: { features: pca, clusters: more, truth: clips.labels } }
  others: { op: metrics, in: { features: pca, clusters: both, truth: clips.labels } }
report:
  table:
    - &row { row: one, scores: scores }
    - { <<: *row, row: two, scores: others }
";

fn change(bytes: &mut Vec<u8>, slip: &Slip) {
    if bytes.is_empty() {
        return;
    }
    let end = |at: usize, length: usize| (at + length).min(bytes.len());
    match slip {
        Slip::Flip(at, by) => {
            let at = at.index(bytes.len());
            bytes[at] ^= by;
        }
        Slip::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Slip::Drop(at, length) => {
            let at = at.index(bytes.len());
            bytes.drain(at..end(at, *length));
        }
        Slip::Repeat(at, length) => {
            let at = at.index(bytes.len());
            let piece = bytes[at..end(at, *length)].to_vec();
            bytes.splice(at..at, piece);
        }
        Slip::Put(at, piece) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, piece.bytes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400),
    ))]

    /// The same of a file in which much is named, copied and merged.
    #[test]
    fn whatever_is_merged_is_answered(slips in vec(slip(), 0..6)) {
        let mut bytes = MERGED.as_bytes().to_vec();
        slips.iter().for_each(|slip| change(&mut bytes, slip));
        let said = messages("merged.yaml", String::from_utf8_lossy(&bytes).into_owned());
        prop_assert!(!slips.is_empty() || said.ends_with("(can be run)"), "{said}");
    }

    #[test]
    fn whatever_a_file_holds_is_answered(which in any::<Index>(), slips in vec(slip(), 1..8)) {
        let files = [pipelines("../pipelines"), pipelines("tests/bad")].concat();
        let mut bytes = std::fs::read(which.get(&files)).expect("a readable file");
        slips.iter().for_each(|slip| change(&mut bytes, slip));
        // That it ends, without a panic and without much memory, is all that is asked.
        messages("slips.yaml", String::from_utf8_lossy(&bytes).into_owned());
        // Zero where the system does not tell.
        let mebibytes = peak().unwrap_or(0) >> 20;
        prop_assert!(mebibytes < 500, "{mebibytes} MiB");
    }
}
