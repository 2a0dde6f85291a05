//! A store and the record of a run that never was, for tests of reports.

use cache::metric::{Direction, Metric};
use cache::{
    Artifact, Digest, Kind, Record, Shape, Store, Table,
    record::{
        Environment, Figure, Method, PortRef, RECORD_VERSION, RunStatus, StepRecord, StepStatus,
    },
};
use reports::{
    Report, ScoreTable,
    figures::{self, Rendered},
    render,
};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};
use tempfile::TempDir;

/// A store and the record of a run that made what is in it.
pub struct Study {
    pub folder: TempDir,
    pub store: Store,
    pub record: Record,
}

impl Study {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let record = Record {
            sweep: None,
            version: RECORD_VERSION,
            engine: "0".to_owned(),
            pipeline: "example".to_owned(),
            id: "1".to_owned(),
            name: None,
            note: None,
            tags: Vec::new(),
            started: "2026-01-01T00:00:00Z".to_owned(),
            seconds: 1.0,
            status: RunStatus::Done,
            command: vec!["engine".to_owned()],
            question: None,
            table: Vec::new(),
            columns: Vec::new(),
            figures: Vec::new(),
            only: false,
            only_recordings: false,
            audio: true,
            steps: Vec::new(),
            methods: Vec::new(),
            warnings: Vec::new(),
            environment: Environment {
                platform: "none".to_owned(),
                processor: "none".to_owned(),
                threads: 1,
            },
        };
        Self { folder, store, record }
    }

    /// Adds a step with one output.
    pub fn step(&mut self, name: &str, artifact: Artifact) {
        let object = self.store.put(&artifact).expect("kept");
        self.record.steps.push(StepRecord {
            name: name.to_owned(),
            op: "none".to_owned(),
            params: Value::Null,
            inputs: BTreeMap::new(),
            class: None,
            seed: None,
            key: Some(Digest::of(name.as_bytes())),
            status: StepStatus::Ran,
            reason: String::new(),
            outputs: BTreeMap::from([(port_of(name).to_owned(), object.digest)]),
            warnings: Vec::new(),
            shapes: BTreeMap::from([(port_of(name).to_owned(), Shape::of(artifact.kind))]),
            seconds: 1.0,
            op_seconds: 1.0,
            cpu_seconds: 0.0,
            gpu_seconds: 0.0,
            peak_bytes: 0,
            laps: Vec::new(),
            rows_reused: 0,
            error: None,
        });
    }

    /// Says how the last step was made: by a method of this title, from these outputs.
    pub fn by(&mut self, title: &str, inputs: &[(&str, &str)]) {
        let step = self.record.steps.last_mut().expect("a step");
        step.op = title.to_lowercase();
        step.inputs =
            inputs.iter().map(|(port, from)| ((*port).to_owned(), (*from).to_owned())).collect();
        let (op, title) = (step.op.clone(), title.to_owned());
        self.record.methods.push(Method { op, title, ..Method::default() });
    }

    /// The record of a figure drawn from steps of this study.
    pub fn figure(figure: &str, inputs: &[(&str, &[&str])], options: Value) -> Figure {
        let port =
            |step: &&str| PortRef { step: (*step).to_owned(), port: port_of(step).to_owned() };
        let inputs = inputs.iter();
        Figure {
            figure: figure.to_owned(),
            title: None,
            caption: None,
            inputs: inputs
                .map(|(role, steps)| ((*role).to_owned(), steps.iter().map(port).collect()))
                .collect(),
            options: serde_json::from_value(options).expect("a map"),
        }
    }

    /// The report of the run, as if it lay in this folder.
    pub fn report(&self, folder: &Path) -> Report {
        let table = ScoreTable::read(&self.record, &self.store, known);
        render(&self.record, table, &self.store, folder).expect("rendered")
    }

    /// Draws a figure.
    pub fn draw(
        &self,
        figure: &str,
        inputs: &[(&str, &[&str])],
        options: Value,
    ) -> Result<Rendered, String> {
        let figure = Self::figure(figure, inputs, options);
        figures::render(&figure, &self.record, &self.store).expect("all is in the store")
    }
}

/// The one output of a step: labels of a source, or whatever it is.
fn port_of(step: &str) -> &'static str {
    if step == "clips" { "labels" } else { "out" }
}

/// The metrics of these tests.
pub fn known(name: &str) -> Option<Metric> {
    let title = match name {
        "ari" => "ARI",
        "nmi" => "NMI",
        "silhouette" => "Silhouette",
        _ => return None,
    };
    Some(Metric {
        direction: Some(Direction::Maximize),
        uses_labels: name != "silhouette",
        is_shown: true,
        chance: (name == "ari").then_some(0.0),
        ..Metric { title: title.into(), ..Metric::named(name) }
    })
}

/// Numbers that look random and are the same everywhere.
pub fn noise(at: usize, salt: u64) -> f64 {
    let mut x =
        (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ x >> 31) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
}

pub const CLASSES: [&str; 11] =
    ["cel", "cla", "flu", "gac", "gel", "org", "pia", "sax", "tru", "vio", "<script>|`$&\u{202e}"];

pub fn clips(n: usize) -> Vec<String> {
    (0..n).map(|at| format!("{}/{at:03}.wav", CLASSES[at % 11])).collect()
}

pub fn scattered() -> Study {
    let mut study = Study::new();
    let n = 220;
    let place = |at: usize, axis: u64| {
        let class = (at % 11) as f64;
        let center = if axis == 0 { (class * 0.9).cos() } else { (class * 0.9).sin() };
        (4.0 * center + 2.0 * noise(at, axis + 1)) as f32
    };
    let places = (0..n).flat_map(|at| [place(at, 0), place(at, 1)]).collect();
    let map = Table::new().with_text("clip_id", clips(n)).with_array("features", [2], places);
    let features =
        Table::new().with_text("clip_id", clips(n)).with_array("features", [1], vec![0.0; n]);
    study.step("pca", Artifact::table(Kind::Matrix, features));
    study.step("map", Artifact::table(Kind::Matrix, map));
    study.by("UMAP", &[("features", "pca.out")]);
    let classes = Table::new()
        .with_text("clip_id", clips(n))
        .with_text("label", (0..n).map(|at| CLASSES[at % 11]));
    study.step("clips", Artifact::table(Kind::Labels, classes));
    study.record.steps.last_mut().expect("a step").class = Some("instrument".to_owned());
    let clusters = Table::new()
        .with_text("clip_id", clips(n))
        .with_ints("label", (0..n).map(|at| (at % 11 / 2) as i64).collect());
    study.step("groups", Artifact::table(Kind::Labels, clusters));
    study.by("K-Means", &[("features", "pca.out")]);
    study
}
