//! The contract that every op of the table keeps to, whatever it computes: no op is named here.

mod contract_examples;

use cache::{Artifact, Digest, FileEntry, Kind, Shape};
use contract_examples::{
    Example, inputs, odd, parse, programs::Plain, properties, required, resolved, run,
};
use ops::{
    Cancel, Ctx, Detached, Entry, Inputs, OPS, OpError, Outputs, Port, Select, table::AnyOp,
};
use serde_json::{Map, Value, json};
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// Rows of an example: recordings are rendered and decoded, numbers cost little.
fn rows(entry: &Entry) -> usize {
    let heavy = entry.inputs.iter().any(|port| port.kinds.contains(&Kind::Clips));
    if heavy { 4 } else { 60 }
}

/// As many examples as the port with most kinds has kinds.
fn examples(entry: &Entry) -> impl Iterator<Item = Example> {
    // Ports that parameters name take any kind, but the rest of the parameters fits the first.
    let most = entry.inputs.iter().map(|port| port.kinds.len()).max().unwrap_or(1);
    let plain = (0..most).map(|choice| Example::new(entry, rows(entry), choice));
    plain.chain(Example::applied(entry, rows(entry)))
}

/// The parameters of an example, then the same with each other choice of each enumeration.
fn variants(entry: &Entry, params: &Map<String, Value>) -> Vec<Map<String, Value>> {
    let schema = entry.schema();
    let mut all = vec![params.clone()];
    for (name, property) in properties(schema) {
        for part in resolved(schema, property) {
            let listed = part["enum"].as_array().into_iter().flatten();
            let flags = [json!(true), json!(false)];
            let flags = flags.iter().filter(|_| part["type"] == "boolean");
            for value in part.get("const").into_iter().chain(listed).chain(flags) {
                let mut other = params.clone();
                other.insert(name.to_owned(), value.clone());
                // A choice that needs a library of another project has tests of its own.
                let sources = parse(entry, &other).sources();
                if !sources.iter().any(|source| matches!(source.select, Select::Library(_))) {
                    all.push(other);
                }
            }
        }
    }
    all
}

fn digests(outputs: Outputs) -> Vec<(&'static str, Digest)> {
    outputs.into_vec().into_iter().map(|(port, artifact)| (port, artifact.digest())).collect()
}

/// The shapes of inputs in the order of the ports.
fn shapes(ports: &[Port], inputs: &[(&'static str, Artifact)]) -> Vec<Option<Shape>> {
    let of = |port: &Port| inputs.iter().find(|(own, _)| port.takes(own)).map(|(_, it)| it.shape());
    ports.iter().map(of).collect()
}

/// True if an error reads as the others do.
fn is_readable(error: &OpError) -> bool {
    let text = &error.message;
    let starts = text.chars().next().is_some_and(|first| !first.is_uppercase());
    starts && !text.ends_with('.')
}

/// Runs an op that may refuse but not panic; the outputs, if there are any.
fn survives(
    what: &str,
    op: &dyn AnyOp,
    inputs: &[(&'static str, Artifact)],
    files: &[FileEntry],
) -> Option<Outputs> {
    let shapes: Vec<_> = inputs.iter().map(|(_, artifact)| Some(artifact.shape())).collect();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _ = op.check(&shapes);
        run(op, inputs, files, 1)
    }));
    match result.unwrap_or_else(|_| panic!("{what}: panicked")) {
        Ok(outputs) => Some(outputs),
        Err(error) => {
            assert!(is_readable(&error), "{what}: `{error}` does not read as the others");
            None
        }
    }
}

#[test]
fn parameters_survive_a_round_trip_and_defaults_are_those_of_the_schema() {
    for entry in OPS {
        let (name, schema) = (entry.name, entry.schema());
        let example = Example::new(entry, 3, 0);
        for params in variants(entry, &example.params) {
            let once = parse(entry, &params).params();
            let again =
                entry.parse(once.clone()).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(once, again.params(), "{name}");
        }
        let (required, mut least) = (required(schema), example.params.clone());
        least.retain(|param, _| required.contains(&param.as_str()));
        let filled = parse(entry, &least).params();
        for (param, property) in
            properties(schema).into_iter().filter(|(it, _)| !required.contains(it))
        {
            let default = property.get("default");
            assert_eq!(default, filled.get(param), "{name}: the default of `{param}`");
        }
        for progressive in entry.progressive {
            assert!(filled.get(progressive).is_some(), "{name}: no parameter `{progressive}`");
        }
        assert!(entry.parse(json!({ "no_such_parameter": 1 })).is_err(), "{name}");
    }
}

#[test]
fn ops_ports_and_parameters_are_documented() {
    for entry in OPS {
        let (name, schema) = (entry.name, entry.schema());
        let doc = schema["description"].as_str().unwrap_or_default();
        let summary = doc.split("\n\n").next().unwrap_or_default();
        assert!(summary.ends_with('.') && summary.len() < 200, "{name}: the summary `{summary}`");
        assert!(doc.contains("\n\nSource"), "{name}: the source is not named");
        for (param, property) in properties(schema) {
            let doc = property["description"].as_str().unwrap_or_default();
            assert!(doc.ends_with('.'), "{name}: the description of `{param}` is `{doc}`");
        }
        let op = Example::new(entry, 3, 0).op(entry);
        assert!(!op.outputs().is_empty(), "{name}");
        assert!(entry.open || op.outputs() == entry.outputs, "{name}");
        for port in op.inputs().iter().chain(op.outputs()) {
            assert!(!port.kinds.is_empty() && port.doc.len() > 8, "{name}: port `{}`", port.name);
        }
    }
}

#[test]
fn names_are_those_of_files_and_differ() {
    let mut files: Vec<PathBuf> = Vec::new();
    for room in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("sources") {
        let room = room.expect("an entry").path();
        if room.is_dir() {
            files.extend(
                fs::read_dir(room).expect("a room").map(|file| file.expect("a file").path()),
            );
        }
    }
    for (at, entry) in OPS.iter().enumerate() {
        let name = entry.name;
        assert!(OPS[..at].iter().all(|before| before.name != name), "`{name}` twice");
        assert!(name.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_'));
        let declared = format!("const NAME: &'static str = \"{name}\";");
        let file = files.iter().find(|file| {
            file.file_name().is_some_and(|own| *own == *format!("{name}.rs"))
                && fs::read_to_string(file).expect("a source").contains(&declared)
        });
        assert!(file.is_some(), "no file `{name}.rs` holds the op `{name}`");
    }
}

#[test]
fn run_delivers_what_check_said_and_leaves_inputs_alone() {
    for entry in OPS {
        for example in examples(entry) {
            for params in variants(entry, &example.params) {
                let what = format!("{} {params:?}", entry.name);
                let op = parse(entry, &params);
                let digest = |(_, artifact): &(_, Artifact)| artifact.digest();
                let before: Vec<_> = example.inputs.iter().map(digest).collect();
                let said = op.check(&shapes(op.inputs(), &example.inputs));
                let said = said.unwrap_or_else(|error| panic!("{what}: {error}"));
                let outputs = run(&*op, &example.inputs, &example.files, 1);
                let outputs = outputs.unwrap_or_else(|error| panic!("{what}: {error}"));
                let after: Vec<_> = example.inputs.iter().map(digest).collect();
                assert_eq!(before, after, "{what}: an input changed");
                delivered(&what, op.outputs(), &said, &outputs, &example);
                let unknown: Vec<_> = example
                    .inputs
                    .iter()
                    .map(|(_, artifact)| Some(Shape::of(artifact.kind)))
                    .collect();
                let roughly = op.check(&unknown).unwrap_or_else(|error| panic!("{what}: {error}"));
                let kinds = |shapes: &[Shape]| shapes.iter().map(|it| it.kind).collect::<Vec<_>>();
                assert_eq!(kinds(&said), kinds(&roughly), "{what}");
            }
        }
    }
}

fn delivered(what: &str, ports: &[Port], said: &[Shape], outputs: &Outputs, example: &Example) {
    assert_eq!(said.len(), ports.len(), "{what}: shapes said");
    let ids = |artifact: &Artifact| Some(artifact.as_table()?.text("clip_id")?.to_vec());
    for (port, said) in ports.iter().zip(said) {
        let Some(artifact) = outputs.get(port.name) else {
            assert!(port.optional, "{what}: nothing at `{}`", port.name);
            continue;
        };
        let got = artifact.shape();
        assert!(port.kinds.contains(&got.kind), "{what}: `{}` is {got}", port.name);
        assert_eq!(got.kind, said.kind, "{what}: `{}`", port.name);
        assert!(said.rows.is_none() || said.rows == got.rows, "{what}: {said}, made {got}");
        assert!(said.row.is_none() || said.row == got.row, "{what}: {said}, made {got}");
        // Reference distributions and controls repeat a clustering of features by what its labels say, unless a network
        // was trained for it.
        let of_features = example.inputs.iter().any(|(_, input)| input.kind == Kind::Matrix);
        let trains = ports.iter().any(|port| port.kinds.contains(&Kind::History));
        if port.name == "labels" && of_features && !trains {
            let says = artifact.meta.contains_key(ops::cluster::MADE_BY);
            assert!(says, "{what}: the labels do not say what made them");
        }
        if let (Some((_, first)), Some(mut own)) = (example.inputs.first(), ids(artifact)) {
            // A port may hold fewer clips than came in, or a clip several times, but those in
            // their order.
            own.dedup();
            let all = ids(first).expect("inputs have clips");
            let mut rest = all.iter();
            let in_order = own.iter().all(|id| rest.any(|other| other == id));
            assert!(in_order, "{what}: clips at `{}`", port.name);
            assert!(own.len() == all.len() || said.rows != Some(all.len()), "{what}: {said}");
        }
    }
}

#[test]
fn the_same_bytes_come_twice_and_on_any_number_of_threads() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pools = [1, 1, 2, 3].map(|threads| pool(threads).expect("a pool"));
    for entry in OPS {
        for example in examples(entry) {
            for params in variants(entry, &example.params) {
                let op = parse(entry, &params);
                let made = |pool: &rayon::ThreadPool, seed| {
                    let outputs = || run(&*op, &example.inputs, &example.files, seed);
                    digests(pool.install(outputs).expect("outputs"))
                };
                let first = made(&pools[0], 5);
                for pool in &pools[1..] {
                    assert_eq!(first, made(pool, 5), "{} {params:?}", entry.name);
                }
                if !entry.seeded {
                    let other = made(&pools[0], 6);
                    assert_eq!(first, other, "{} depends on the seed unsaid", entry.name);
                }
            }
        }
    }
}

#[test]
fn odd_inputs_are_taken_or_refused_without_a_panic() {
    for entry in OPS {
        for example in examples(entry) {
            for params in variants(entry, &example.params) {
                let op = parse(entry, &params);
                for (at, (port, usual)) in example.inputs.iter().enumerate() {
                    for (case, artifact) in odd::odd(usual.kind, rows(entry)) {
                        let what = format!("{} {params:?}: {case} at `{port}`", entry.name);
                        // The others hold first the same clips, then those of the example.
                        let count = artifact.shape().rows.unwrap_or(0);
                        for mut all in
                            [inputs(op.inputs(), count.max(1), 0), example.inputs.clone()]
                        {
                            let Some(own) = all.get_mut(at) else { continue };
                            own.1 = artifact.clone();
                            survives(&what, &*op, &all, &example.files);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn optional_inputs_may_be_left_out_and_others_may_not() {
    for entry in OPS {
        let example = Example::new(entry, rows(entry), 0);
        let op = example.op(entry);
        for port in op.inputs() {
            let mut without = example.inputs.clone();
            without.retain(|(name, _)| !port.takes(name));
            let what = format!("{} without `{}`", entry.name, port.name);
            let checked = op.check(&shapes(op.inputs(), &without));
            let made = survives(&what, &*op, &without, &example.files);
            assert_eq!(made.is_some(), port.optional, "{what}");
            assert!(!port.optional || checked.is_ok(), "{what}: {checked:?}");
        }
    }
}

#[test]
fn silly_parameters_are_taken_or_refused_without_a_panic() {
    let small = [json!(0), json!(1), json!(-1), json!(0.5), json!(1e-300), json!(1e-12)];
    let huge = [json!(u32::MAX), json!(i64::MAX), json!(1e18), json!(f64::MAX)];
    for entry in OPS {
        let schema = entry.schema();
        let example = Example::new(entry, rows(entry), 0);
        let shapes = shapes(example.op(entry).inputs(), &example.inputs);
        for (name, property) in properties(schema) {
            let is_number = |part: &&Value| {
                part["type"].to_string().contains("\"number\"")
                    || part["type"].to_string().contains("\"integer\"")
            };
            if !resolved(schema, property).iter().any(is_number) {
                continue;
            }
            for (at, value) in small.iter().chain(&huge).enumerate() {
                let mut params = example.params.clone();
                params.insert(name.to_owned(), value.clone());
                let Ok(op) = entry.parse(Value::Object(params)) else { continue };
                let what = format!("{} with `{name}: {value}`", entry.name);
                let checked = catch_unwind(AssertUnwindSafe(|| op.check(&shapes)));
                let checked = checked.unwrap_or_else(|_| panic!("{what}: check panicked"));
                // What is huge and allowed may take as long as it likes: it is only checked.
                if at < small.len() {
                    let made = survives(&what, &*op, &example.inputs, &example.files);
                    assert!(checked.is_ok() || made.is_none(), "{what}: refused, then made");
                }
            }
        }
    }
}

#[test]
fn damaged_or_absent_files_are_refused_or_left_out_without_a_panic() {
    for entry in OPS {
        let example = Example::new(entry, rows(entry), 0);
        if example.files.is_empty() {
            continue;
        }
        let what = format!("{} on files of {}", entry.name, example.folder().display());
        for params in variants(entry, &example.params) {
            let op = parse(entry, &params);
            assert!(survives(&what, &*op, &[], &[]).is_none(), "{what}: made of nothing");
        }
        let originals: Vec<_> =
            example.files.iter().map(|file| fs::read(&file.path).expect("a file")).collect();
        for (file, bytes) in example.files.iter().zip(&originals) {
            for params in variants(entry, &example.params) {
                let op = parse(entry, &params);
                for cut in [0, 1, 11, 40, 44, 45, bytes.len() - 1] {
                    fs::write(&file.path, &bytes[..cut.min(bytes.len())]).expect("a file");
                    survives(&what, &*op, &[], &example.files);
                }
                fs::write(&file.path, [0xff; 99]).expect("a file");
                survives(&what, &*op, &[], &example.files);
                fs::remove_file(&file.path).expect("a file");
                survives(&what, &*op, &[], &example.files);
                fs::write(&file.path, bytes).expect("a file");
            }
        }
    }
}

/// Ops that do not ask whether their run was cancelled, since they go once over a table in memory.
const SHORT: &[&str] = &["synth", "shuffle", "reconstruction", "composition"];

#[test]
fn a_cancelled_run_ends_as_cancelled() {
    struct Cancelled;
    impl Cancel for Cancelled {
        fn is_cancelled(&self) -> bool {
            true
        }
    }
    let never_asks = |entry: &&Entry| {
        let example = Example::new(entry, rows(entry), 0);
        let cx = Ctx { cancel: &Cancelled, programs: &Plain, ..Detached::with_seed(0) };
        let inputs =
            example.inputs.iter().fold(Inputs::new(), |all, (port, it)| all.with(port, it));
        match example.op(entry).run(&inputs.with_files(&example.files), &cx) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind, ops::ErrorKind::Cancelled, "{}: {error}", entry.name);
                false
            }
        }
    };
    let never: Vec<&str> = OPS.iter().filter(never_asks).map(|entry| entry.name).collect();
    assert_eq!(never, SHORT);
}
