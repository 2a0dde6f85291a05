//! The modules of a crate, the files and folders directly in its `src`, import each other without a
//! circle: whoever changes a module need not look at the modules above it.

use petgraph::{algo::kosaraju_scc, graph::DiGraph};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use walkdir::WalkDir;

const CRATES: [&str; 4] = ["cache", "ops", "engine", "reports"];

/// The modules that each module of a crate names, with the first file that does.
type Imports = BTreeMap<(String, String), String>;

fn imports(name: &str) -> Imports {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
    let mut sources = BTreeMap::new();
    for file in WalkDir::new(&root).sort_by_file_name() {
        let path = file.expect("a readable tree").into_path();
        if path.extension().is_some_and(|ending| ending == "rs") {
            let place = path.strip_prefix(&root).expect("below").to_str().expect("text").to_owned();
            sources.insert(place, fs::read_to_string(&path).expect("a source"));
        }
    }
    let module = |place: &str| {
        let first = place.split('/').next().unwrap_or(place);
        first.trim_end_matches(".rs").to_owned()
    };
    let modules: BTreeSet<String> = sources.keys().map(|place| module(place)).collect();
    // What `lib.rs` exports under a short name belongs to the module that it is from.
    let exported = exports(&sources["lib.rs"]);
    let mut found = Imports::new();
    for (place, text) in &sources {
        let own = module(place);
        // Tests may look at everything, and the roots name all modules.
        if ["lib", "main"].contains(&own.as_str()) || place.ends_with("tests.rs") {
            continue;
        }
        // What is above a module is the crate.
        let is_top = !place.contains('/') || place.matches('/').count() == 1 && is_mod(place);
        let code = if is_top { code(text).replace("super::", "crate::") } else { code(text) };
        for target in named(&code) {
            let target = exported.get(&target).unwrap_or(&target);
            if modules.contains(target) && *target != own {
                found.entry((own.clone(), target.clone())).or_insert_with(|| place.clone());
            }
        }
    }
    found
}

/// True for the file that stands for its folder.
fn is_mod(place: &str) -> bool {
    place.ends_with("/mod.rs")
}

/// The text before the tests, without comments.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The names that come right after `crate::`, alone or in braces.
fn named(code: &str) -> BTreeSet<String> {
    let after = code.match_indices("crate::").map(|(at, word)| &code[at + word.len()..]);
    after.flat_map(first_names).filter(|name| !name.is_empty()).collect()
}

/// The first name of each path: `a::b` gives `a`, and `{a::{b, c}, d}` gives `a` and `d`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        let text = text.trim_start();
        text.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect()
    };
    let Some(list) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut depth, mut names, mut start) = (0, Vec::new(), 0);
    for (at, letter) in list.char_indices() {
        match letter {
            ',' if depth == 0 => {
                names.push(name(&list[start..at]));
                start = at + 1;
            }
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(name(&list[start..at]));
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names
}

/// The short names that `lib.rs` exports, each with its module.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in code(lib).split("pub use ").skip(1) {
        let path = line.split(';').next().unwrap_or_default().trim_start_matches("crate::");
        let Some((module, rest)) = path.split_once("::") else { continue };
        let list = rest.rsplit_once("::").map_or(rest, |(_, last)| last);
        for name in list.trim_matches(['{', '}', ' ', '\n']).split(',') {
            let name = name.rsplit(" as ").next().unwrap_or(name).trim();
            if !name.is_empty() {
                found.insert(name.to_owned(), module.to_owned());
            }
        }
    }
    found
}

#[test]
fn no_modules_of_a_crate_import_each_other_in_a_circle() {
    for name in CRATES {
        let imports = imports(name);
        assert!(imports.len() > 10, "{name}: {imports:?}");
        let modules: BTreeSet<&str> =
            imports.keys().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
        let mut graph = DiGraph::new();
        let nodes: BTreeMap<_, _> =
            modules.into_iter().map(|module| (module, graph.add_node(module))).collect();
        for (from, to) in imports.keys() {
            graph.add_edge(nodes[from.as_str()], nodes[to.as_str()], ());
        }
        let mut circles = Vec::new();
        for nodes in kosaraju_scc(&graph).into_iter().filter(|modules| modules.len() > 1) {
            let modules: Vec<&str> = nodes.into_iter().map(|node| graph[node]).collect();
            let within = |(from, to): &(String, String)| {
                modules.contains(&from.as_str()) && modules.contains(&to.as_str())
            };
            let arrows = imports.iter().filter(|(ends, _)| within(ends));
            circles.extend(arrows.map(|((from, to), file)| format!("`{from}` → `{to}` in {file}")));
        }
        assert!(circles.is_empty(), "in `{name}`: {}", circles.join(", "));
    }
}

#[test]
fn names_are_found_in_every_form_of_an_import() {
    let found = |code: &str| named(code).into_iter().collect::<Vec<_>>();
    assert_eq!(found("use crate::a::b;\nfn f() { crate::c::d() }"), ["a", "c"]);
    assert_eq!(
        found("use crate::{\n    a::{b, c::d},\n    e,\n    f::g as h,\n};"),
        ["a", "e", "f"]
    );
    let exported = exports("pub use a::{B, C as D};\npub use e::f::G;\npub use h::{\n    I,\n};\n");
    let exported: Vec<_> =
        exported.iter().map(|(name, module)| format!("{name} {module}")).collect();
    assert_eq!(exported, ["B a", "D a", "G e", "I h"]);
}
