//! Parameters, artifacts and files that fit any op, made from what the op says of itself.

pub mod odd;
pub mod programs;

use cache::{Artifact, Digest, FileEntry, Kind, Table};
use ops::{
    Ctx, Detached, Entry, Inputs, OPS, OpError, Outputs, Port, Select,
    audio::{corpus, synth::render},
    ports::labelled,
    table::AnyOp,
};
use serde_json::{Map, Value, json};
use std::{fs, path::Path};
use tempfile::TempDir;

/// Values that keep the work of a test small, by the name of the parameter: the defaults are made
/// for thousands of clips.
const SMALL: &[(&str, u32)] = &[
    ("clips_per_class", 2),
    ("clusters", 3),
    ("components", 3),
    ("largest", 3),
    ("references", 2),
    ("splits", 2),
    ("epochs", 2),
    ("folds", 2),
    ("max_iter", 20),
    ("n_epochs", 20),
    ("n_mels", 20),
    ("n_mfcc", 5),
];

/// Bands and frames of an example's images.
pub const IMAGE: [usize; 2] = [16, 12];

/// Parameters, inputs and files with which an op runs.
pub struct Example {
    pub params: Map<String, Value>,
    pub inputs: Vec<(&'static str, Artifact)>,
    pub files: Vec<FileEntry>,
    folder: TempDir,
}

impl Example {
    /// An example of `rows` clips; `choice` says which of several kinds a port gets.
    pub fn new(entry: &Entry, rows: usize, choice: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (params, files) = params(entry, folder.path());
        let inputs = inputs(parse(entry, &params).inputs(), rows, choice);
        Self { params, inputs, files, folder }
    }

    /// The same with a model at the port that may have one: what the op itself fits on the example.
    pub fn applied(entry: &Entry, rows: usize) -> Option<Self> {
        let port = entry.inputs.iter().find(|port| is_fitted(port))?;
        let mut example = Self::new(entry, rows, 0);
        let outputs = run(&*example.op(entry), &example.inputs, &example.files, 1).expect("a fit");
        example.inputs.push((port.name, outputs.get(port.name).expect("a model").clone()));
        Some(example)
    }

    pub fn op(&self, entry: &Entry) -> Box<dyn AnyOp> {
        parse(entry, &self.params)
    }

    /// The folder of the files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The op with these parameters.
pub fn parse(entry: &Entry, params: &Map<String, Value>) -> Box<dyn AnyOp> {
    let parsed = entry.parse(Value::Object(params.clone()));
    parsed.unwrap_or_else(|error| panic!("{}: {error:?}", entry.name))
}

/// Runs an op without a store.
pub fn run(
    op: &dyn AnyOp,
    inputs: &[(&'static str, Artifact)],
    files: &[FileEntry],
    seed: u64,
) -> Result<Outputs, OpError> {
    let ports = inputs.iter().fold(Inputs::new(), |all, (port, artifact)| all.with(port, artifact));
    let cx = Ctx { programs: &programs::Plain, ..Detached::with_seed(seed) };
    op.run(&ports.with_files(files), &cx)
}

/// The properties of a schema with the names they are under, each without its references.
pub fn properties(schema: &Value) -> Vec<(&str, &Value)> {
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    properties.iter().map(|(name, property)| (name.as_str(), property)).collect()
}

/// The schemas of a property: the one its reference or the parts of its choice lead to.
pub fn resolved<'a>(root: &'a Value, property: &'a Value) -> Vec<&'a Value> {
    if let Some(path) = property["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
        return root.pointer(path).map_or(Vec::new(), |target| resolved(root, target));
    }
    let parts = ["anyOf", "oneOf", "allOf"].iter().filter_map(|name| property[name].as_array());
    let parts: Vec<_> = parts.flatten().flat_map(|part| resolved(root, part)).collect();
    if parts.is_empty() { vec![property] } else { parts }
}

/// The names of parameters that must be given.
pub fn required(schema: &Value) -> Vec<&str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Small parameters, and the files of the sources they name.
fn params(entry: &Entry, folder: &Path) -> (Map<String, Value>, Vec<FileEntry>) {
    let schema = entry.schema();
    let mut params = Map::new();
    for (name, property) in properties(schema) {
        let small = SMALL.iter().find(|(own, _)| *own == name).map(|(_, value)| json!(value));
        let needed = required(schema).contains(&name);
        let value = small.or_else(|| needed.then(|| some_value(schema, property)));
        if let Some(value) = value {
            params.insert(name.to_owned(), value);
        }
    }
    let mut files = Vec::new();
    let sources = parse(entry, &params).sources();
    // A word that may name a file need not: as a rule it is the program.
    for source in sources.iter().filter(|it| !matches!(it.select, Select::Mentioned)) {
        let example = schema["properties"][source.param].pointer("/examples/0");
        let named = example.and_then(Value::as_str).unwrap_or("features.csv");
        let (path, own) = written(folder, &source.select, named);
        params.insert(source.param.to_owned(), json!(path));
        files.extend(own);
    }
    (params, files)
}

fn some_value(root: &Value, property: &Value) -> Value {
    if let Some(example) = property.pointer("/examples/0").filter(|it| !it.is_string()) {
        return example.clone();
    }
    let first = resolved(root, property)[0];
    match (first.get("const"), first["type"].as_str()) {
        (Some(value), _) => value.clone(),
        (_, Some("integer")) => json!(2),
        (_, Some("number")) => json!(0.5),
        (_, Some("boolean")) => json!(false),
        (_, Some("array")) => json!([2]),
        _ => json!("nothing.csv"),
    }
}

/// A network that takes rows of any width.
const NETWORK: &[u8] = include_bytes!("../fixtures/onnx/any.onnx");

/// Writes what a source reads; its path, and the files as the engine would list them. A single file is
/// of the kind of `named`.
fn written(folder: &Path, select: &Select, named: &str) -> (String, Vec<FileEntry>) {
    let (path, names) = match select {
        Select::Tree(endings) => {
            let folder = folder.join("clips");
            let mut names: Vec<_> = recordings(&folder).collect();
            // Labels beside each recording where they are read: its class.
            if endings.contains(&"txt") {
                let texts: Vec<_> =
                    names.iter().map(|name| Path::new(name).with_extension("txt")).collect();
                for (text, name) in texts.iter().zip(names.clone()) {
                    fs::write(folder.join(text), &name[..3]).expect("a file");
                    names.push(text.display().to_string());
                }
            }
            (folder, names)
        }
        Select::Listed(column) => {
            let mut names: Vec<_> = recordings(folder).collect();
            let lines = names.iter().map(|name| format!("{name},{}\n", &name[..3]));
            let text = format!("{column},label\n{}", lines.collect::<String>());
            let path = folder.join("list.csv");
            fs::write(&path, text).expect("a file");
            names.push("list.csv".to_owned());
            (path, names)
        }
        Select::File if named.ends_with(".onnx") => {
            let path = folder.join(named);
            fs::write(&path, NETWORK).expect("a file");
            (path, vec![named.to_owned()])
        }
        Select::File | Select::Mentioned => {
            let path = folder.join("features.csv");
            let rows = (0..8).map(|row| format!("c{row},{},{row}.5,-{}\n", row % 2, row * row));
            let text = format!("clip_id,label,x,y\n{}", rows.collect::<String>());
            fs::write(&path, text).expect("a file");
            (path, vec!["features.csv".to_owned()])
        }
        // No example asks for one: what it stands for need not be on this machine.
        Select::Library(library) => panic!("an example needs the library `{}`", library.name),
    };
    let root = if path.is_dir() { path.as_path() } else { folder };
    let mut files: Vec<_> = names
        .into_iter()
        .map(|name| {
            let path = root.join(&name);
            let bytes = fs::read(&path).expect("a file just written");
            FileEntry { name, path, digest: Digest::of(&bytes), size: bytes.len() as u64 }
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    (path.display().to_string(), files)
}

/// Half a second of two clips of each of two classes, in a folder a class.
fn recordings(root: &Path) -> impl Iterator<Item = String> {
    let some = corpus::recordings(7, 2).filter(|recording| recording.class % 6 == 0);
    some.map(move |recording| {
        let path = root.join(&recording.name);
        fs::create_dir_all(path.parent().expect("a class")).expect("a folder");
        let mut signal = render(7, recording.class, recording.index);
        signal.samples.truncate(44_100);
        fs::write(path, corpus::wav(&signal)).expect("a file");
        recording.name
    })
}

/// True if a port takes a model that is then applied instead of fitting one.
fn is_fitted(port: &Port) -> bool {
    port.optional && port.kinds == [Kind::Model]
}

/// One artifact a port, and three where it takes several; none where a fitted model may be.
pub fn inputs(ports: &[Port], rows: usize, choice: usize) -> Vec<(&'static str, Artifact)> {
    let artifact = |port: &Port| of_port(ports, port, rows, choice);
    let names = |port: &Port| match port.variadic {
        true => ["a", "b", "c"].map(|label| labelled(port.name, label)).to_vec(),
        false => vec![port.name],
    };
    let all = |port| names(port).into_iter().map(|name| (name, artifact(port)));
    ports.iter().filter(|port| !is_fitted(port)).flat_map(all).collect()
}

/// The artifact at a port. One for a model that has the name of an op holds what that op makes of the first port.
fn of_port(ports: &[Port], port: &Port, rows: usize, choice: usize) -> Artifact {
    let own = |port: &Port| artifact(port.kinds[choice % port.kinds.len()], rows);
    let named = ops::find(port.name).filter(|_| port.kinds == [Kind::Model]);
    let Some(entry) = named else { return own(port) };
    let made = entry.outputs.iter().find(|it| port.kinds.contains(&it.kinds[0]));
    let made = made.expect("the op makes what the port takes");
    let input = vec![(entry.inputs[0].name, own(&ports[0]))];
    let op = parse(entry, &params(entry, Path::new("")).0);
    let outputs = run(&*op, &input, &[], 1).expect("outputs");
    outputs.get(made.name).expect("a declared port").clone()
}

/// `rows` clips of a kind; what only ops make is made by the first op that does.
pub fn artifact(kind: Kind, rows: usize) -> Artifact {
    let table = Table::new().with_text("clip_id", (0..rows).map(|row| format!("c{row}")));
    match kind {
        Kind::Clips => Artifact::table(
            kind,
            table
                .with_text("audio", (0..rows).map(|row| format!("synth:1/{}/{row}", row % 11)))
                .with_ints("frames", vec![132_300; rows])
                .with_ints("sample_rate", vec![44_100; rows])
                .with_ints("channels", vec![2; rows]),
        ),
        // With what a model's reconstructions have, and nothing else minds.
        Kind::Spectrogram => Artifact::table(
            kind,
            table.with_array("features", IMAGE, values(rows, 192)).with_array(
                "original",
                IMAGE,
                values(rows, 192),
            ),
        )
        .with_meta("sample_rate", 22_050)
        .with_meta("unit", "dB"),
        Kind::Matrix => features(kind, vec![9], values(rows, 9)),
        Kind::Labels => Artifact::table(
            kind,
            table.with_text("label", (0..rows).map(|row| ["cel", "pia", "voi"][row % 3])),
        )
        .with_meta(ops::cluster::MADE_BY, made_by_a_clusterer()),
        made => made_by_an_op(made, rows),
    }
}

/// The origin that labels state: the first op that makes labels of features alone.
fn made_by_a_clusterer() -> Value {
    let clusters = |entry: &&Entry| {
        entry.inputs.iter().filter(|it| !it.optional).count() == 1
            && entry.inputs[0].kinds.contains(&Kind::Matrix)
            && entry.outputs[0].kinds == [Kind::Labels]
    };
    let entry = OPS.iter().find(clusters).expect("an op that clusters");
    json!({ "op": entry.name, "params": params(entry, Path::new("")).0 })
}

fn made_by_an_op(kind: Kind, rows: usize) -> Artifact {
    let maker = OPS.iter().find_map(|entry| {
        let port = entry.outputs.iter().find(|port| port.kinds == [kind])?;
        let takes =
            |kind| entry.inputs.iter().any(|input| !input.optional && input.kinds.contains(&kind));
        (!takes(kind)).then_some((entry, port.name))
    });
    let (entry, port) = maker.unwrap_or_else(|| panic!("no op makes {kind}"));
    let example = Example::new(entry, rows, 0);
    let outputs = run(&*example.op(entry), &example.inputs, &example.files, 0).expect("outputs");
    outputs.get(port).expect("a declared port").clone()
}

/// Rows of this shape, named as in [`artifact`].
pub fn features(kind: Kind, shape: Vec<usize>, values: Vec<f32>) -> Artifact {
    let rows = values.len() / shape.iter().product::<usize>();
    let ids = (0..rows).map(|row| format!("c{row}"));
    Artifact::table(
        kind,
        Table::new().with_text("clip_id", ids).with_array("features", shape, values),
    )
}

/// Three loose groups of rows, in numbers that follow from their places.
pub fn values(rows: usize, width: usize) -> Vec<f32> {
    let value = |row: usize, column: usize| {
        let mixed = (row * width + column) as u32;
        let noise = mixed.wrapping_mul(2_654_435_761) >> 8;
        (row % 3 * (1 + column % 5)) as f32 + noise as f32 / (1 << 24) as f32
    };
    (0..rows).flat_map(|row| (0..width).map(move |column| value(row, column))).collect()
}
