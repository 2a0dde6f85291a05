//! The laws of this tree: which crate knows which, what is named where, how files open and end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use walkdir::WalkDir;

const CRATES: [&str; 4] = ["cache", "ops", "reports", "engine"];

/// Files of the engine that may name ops, with the reason.
const MAY_NAME_OPS: &[(&str, &str)] = &[
    ("engine/src/data/synth.rs", "writes the corpus of the op `synth` as files"),
    ("engine/src/commands/synth.rs", "the command of that name"),
    ("engine/src/data/fetch.rs", "downloads what the op `irmas` reads"),
    ("engine/src/commands/fetch.rs", "the command of that name"),
];

/// Words that are names of ops and mean something else where they stand.
const OTHER_MEANING: &[(&str, &str)] = &[
    ("engine/src/spec/report.rs", "metrics"),
    ("reports/src/figures/mod.rs", "composition"),
    ("reports/src/figures/mod.rs", "reconstruction"),
    ("reports/src/figures/curves.rs", "reconstruction"),
    ("reports/src/figures/rate_distortion.rs", "reconstruction"),
    ("reports/src/sections/findings.rs", "audit"),
    ("engine/src/commands/mod.rs", "synth"),
    ("engine/src/commands/why.rs", "command"),
    ("engine/src/record/export.rs", "onnx"),
];

/// Files of `ops` that may open files: those of sources, and of recordings.
const MAY_OPEN_FILES: &[&str] = &["ops/src/audio/", "ops/src/features/matrix.rs"];

/// Longer than 400 lines, while ARCHITECTURE.md does not say which.
const LONG: &[&str] = &[];

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A source file, by its path from the root.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The text before the tests, without comments.
    fn code(&self) -> String {
        let end = self.text.find("#[cfg(test)]").unwrap_or(self.text.len());
        let lines = self.text[..end].lines();
        lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
    }

    fn is_below(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    fn stem(&self) -> &str {
        Path::new(&self.path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
    }
}

/// Every Rust file of the four crates.
fn sources() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    for file in CRATES.iter().flat_map(|name| WalkDir::new(root.join(name))) {
        let path = file.expect("a readable tree").into_path();
        if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            let path = path.strip_prefix(&root).expect("below").to_str().expect("text").to_owned();
            found.push(Source { path, text });
        }
    }
    assert!(found.len() > 100, "only {} sources", found.len());
    found
}

/// The names under `[dependencies]`, and those under `[dev-dependencies]`.
fn dependencies(name: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let text = fs::read_to_string(root().join(name).join("Cargo.toml")).expect("a manifest");
    let mut sections: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(title) = line.strip_prefix('[') {
            // Those of one platform or feature count as well.
            let title = title.trim_matches(|it| it == '[' || it == ']');
            section = title.rsplit('.').next().unwrap_or(title).to_owned();
        } else if let Some((name, _)) = line.split_once(['.', '=', ' ']) {
            sections.entry(section.clone()).or_default().insert(name.to_owned());
        }
    }
    let mut take = |section: &str| sections.remove(section).unwrap_or_default();
    (take("dependencies"), take("dev-dependencies"))
}

/// True if `text` holds `word` with nothing of a longer name before or after it.
fn names(text: &str, word: &str) -> bool {
    let is_part = |it: char| it.is_alphanumeric() || it == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part)
    })
}

#[test]
fn crates_know_only_those_below_them() {
    for (name, below) in [
        ("cache", &[] as &[&str]),
        ("ops", &["cache"]),
        ("reports", &["cache"]),
        ("engine", &["cache", "ops", "reports"]),
    ] {
        let (normal, dev) = dependencies(name);
        assert!(!normal.is_empty(), "{name}");
        for sibling in CRATES.iter().filter(|sibling| !below.contains(sibling)) {
            assert!(!normal.contains(*sibling), "`{name}` depends on `{sibling}`");
            assert!(!dev.contains(*sibling), "the tests of `{name}` depend on `{sibling}`");
        }
    }
}

#[test]
fn heavy_crates_are_named_in_one_place_each() {
    for (dependency, home, place) in [
        ("petgraph", "engine", "engine/src/"),
        ("clap", "engine", "engine/src/"),
        ("miette", "engine", "engine/src/"),
        ("granit-parser", "engine", "engine/src/"),
        ("polars-arrow", "cache", "cache/src/parquet"),
        ("polars-buffer", "cache", "cache/src/parquet"),
        ("polars-error", "cache", "cache/src/parquet"),
        ("polars-parquet", "cache", "cache/src/parquet"),
        ("polars-utils", "cache", "cache/src/parquet"),
        ("dfdx", "ops", "ops/src/nn/"),
        ("cudarc", "ops", "ops/src/nn/"),
    ] {
        for name in CRATES.iter().filter(|name| **name != home) {
            let (normal, dev) = dependencies(name);
            let found = normal.contains(dependency) || dev.contains(dependency);
            assert!(!found, "`{name}` depends on `{dependency}`, which only `{home}` may");
        }
        let path = dependency.replace('-', "_") + "::";
        for source in sources().iter().filter(|it| it.path.contains("/src/")) {
            let found =
                names(&source.code(), &path[..path.len() - 2]) && source.text.contains(&path);
            assert!(!found || source.is_below(place), "{} names `{dependency}`", source.path);
        }
    }
}

#[test]
fn neither_engine_nor_reports_names_an_op() {
    let modules: Vec<_> = fs::read_dir(root().join("ops/src"))
        .expect("the modules")
        .map(|module| module.expect("a module"))
        .filter(|module| module.path().is_dir())
        .map(|module| format!("ops::{}::", module.file_name().display()))
        .collect();
    assert!(modules.len() >= 6);
    for source in sources() {
        let counts = source.is_below("engine/src/") || source.is_below("reports/src/");
        if !counts || MAY_NAME_OPS.iter().any(|(path, _)| *path == source.path) {
            continue;
        }
        let code = source.code();
        for module in &modules {
            assert!(!code.contains(module), "{} reaches into `{module}`", source.path);
        }
        for entry in ops::OPS {
            let other = OTHER_MEANING.contains(&(source.path.as_str(), entry.name));
            let found = code.contains(&format!("\"{}\"", entry.name));
            assert!(!found || other, "{} names the op `{}`", source.path, entry.name);
        }
    }
    for (path, _) in MAY_NAME_OPS {
        assert!(root().join(path).is_file(), "there is no {path} any more");
    }
}

#[test]
fn ops_see_no_clock_no_environment_no_threads_and_few_files() {
    const NEVER: [&str; 10] = [
        "Instant",
        "SystemTime",
        "available_parallelism",
        "current_num_threads",
        "ThreadPoolBuilder",
        "thread_rng",
        "RandomState",
        "std::env",
        "env::var",
        "env::var_os",
    ];
    for source in sources().iter().filter(|it| it.is_below("ops/src/")) {
        let code = source.code();
        for word in NEVER {
            assert!(!names(&code, word), "{} names `{word}`", source.path);
        }
        let opens = ["std::fs", "fs::read", "fs::write", "fs::File", "File::open", "File::create"];
        let opens = opens.iter().any(|word| names(&code, word));
        let may = MAY_OPEN_FILES.iter().any(|place| source.is_below(place));
        assert!(!opens || may, "{} opens files", source.path);
    }
}

#[test]
fn every_file_says_what_it_is_and_is_short() {
    let long = long_files();
    for source in sources() {
        let path = &source.path;
        assert!(source.text.starts_with("//! "), "{path} does not open with `//!`");
        let lines = source.text.lines().count();
        assert!(
            lines <= 400 || long.contains(path),
            "{path} has {lines} lines, with no reason given"
        );
        assert!(source.text.ends_with('\n'), "{path} does not end with a line");
        let vague = ["util", "utils", "helper", "helpers", "common", "misc", "manager", "base"];
        assert!(!vague.contains(&source.stem()), "{path}: the name says nothing");
    }
}

/// The list under "Long files" in ARCHITECTURE.md: `- path: reason`.
fn long_files() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap_or_default();
    let Some((_, section)) = text.split_once("Long files\n") else {
        return LONG.iter().map(|path| (*path).to_owned()).collect();
    };
    let lines = section.lines().take_while(|line| !line.starts_with('#'));
    let items = lines.filter_map(|line| line.strip_prefix("- ")?.split_once(": "));
    let files: BTreeSet<_> = items.map(|(path, _)| path.trim_matches('`').to_owned()).collect();
    for path in &files {
        assert!(
            root().join(path).is_file(),
            "ARCHITECTURE.md speaks of {path}, which is not there"
        );
    }
    files
}

#[test]
fn every_op_in_a_module_is_in_the_table() {
    let mut count = 0;
    for source in sources().iter().filter(|it| it.is_below("ops/src/")) {
        let code = source.code();
        if !code.lines().any(|line| line.starts_with("impl Op for ")) {
            continue;
        }
        count += 1;
        let name = source.stem();
        assert!(ops::find(name).is_some(), "{} holds an op that is not in `OPS`", source.path);
    }
    assert_eq!(count, ops::OPS.len(), "files with ops, and ops in the table");
}

#[test]
fn nothing_is_left_to_do() {
    let words = ["todo", "unimplemented", "dbg"].map(|word| format!("{word}!("));
    let notes = ["TODO", "FIXME", "XXX"].map(|word| format!("// {word}"));
    // This file spells them in parts, so it may be read as well.
    for source in sources() {
        for word in words.iter().chain(&notes) {
            assert!(!source.text.contains(word.as_str()), "{} holds `{word}`", source.path);
        }
    }
}

#[test]
fn every_pipeline_opens_with_question_data_and_time() {
    for file in fs::read_dir(root().join("pipelines")).expect("the pipelines") {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a pipeline");
        let head: Vec<_> = text.lines().take_while(|line| line.starts_with('#')).collect();
        for word in ["$schema=pipeline.schema.json", "Question:", "Data:", "Time:", "engine run "] {
            let found = head.iter().any(|line| line.contains(word));
            assert!(found, "{} does not open with `{word}`", path.display());
        }
    }
}
