//! The fixtures of the audio tests, and ops run on them.

use cache::{Artifact, Digest, Kind, Table};
use ops::{Ctx, Detached, Inputs, Locate, Op, OpError, features::log_mel::LogMel};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/audio").join(name)
}

/// Shape and values of an array.
pub fn npy(name: &str) -> (Vec<u64>, Vec<f32>) {
    let bytes = fs::read(path(name)).expect("a fixture");
    let file = npyz::NpyFile::new(bytes.as_slice()).expect("an array");
    (file.shape().to_vec(), file.into_vec().expect("single precision"))
}

/// The difference of values from those expected.
#[derive(Debug)]
pub struct Difference {
    pub mean: f64,
    pub max: f64,
}

impl Difference {
    pub fn of(values: &[f32], expected: &[f32]) -> Self {
        assert_eq!(values.len(), expected.len());
        let far = || values.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs()));
        assert!(far().all(|x| x.is_finite()));
        Self { mean: far().sum::<f64>() / values.len() as f64, max: far().fold(0.0, f64::max) }
    }
}

/// Clips with these audio references, named by their numbers.
pub fn clips(audio: &[&str]) -> Artifact {
    let table = Table::new()
        .with_text("clip_id", (0..audio.len()).map(|number| number.to_string()))
        .with_text("audio", audio.iter().copied());
    Artifact::table(Kind::Clips, table)
}

/// Files by digest.
pub struct FilesByDigest(pub HashMap<Digest, PathBuf>);

impl Locate for FilesByDigest {
    fn path_of(&self, content: &Digest) -> Option<PathBuf> {
        self.0.get(content).cloned()
    }
}

/// Runs log_mel with these parameters on one fixture.
pub fn log_mel(name: &str, params: &str) -> Vec<f32> {
    log_mel_of(&path(name), params)
}

/// Runs log_mel with these parameters on one file.
pub fn log_mel_of(path: &Path, params: &str) -> Vec<f32> {
    let digest = Digest::of(&fs::read(path).expect("a file"));
    let known = FilesByDigest(HashMap::from([(digest, path.to_owned())]));
    let cx = Ctx { files: &known, ..Detached::with_seed(0) };
    let op: LogMel = serde_json::from_str(params).expect("parameters");
    let clips = clips(&[&format!("file:{digest}")]);
    let outputs = op.run(&Inputs::new().with("clips", &clips), &cx).expect("a recording");
    features(outputs.get("features").expect("declared"))
}

/// The numbers of an artifact.
pub fn features(artifact: &Artifact) -> Vec<f32> {
    let table = artifact.as_table().expect("columns");
    table.array("features").expect("a column").values().to_vec()
}

/// Runs the op of that name.
pub fn run(
    name: &str,
    params: &str,
    inputs: &[(&'static str, &Artifact)],
) -> Result<Artifact, OpError> {
    let op = ops::find(name).expect("an op").parse(serde_json::from_str(params).expect("JSON"));
    let inputs = inputs.iter().fold(Inputs::new(), |all, (port, one)| all.with(port, one));
    let outputs = op.expect("parameters").run(&inputs, &Detached::with_seed(0))?;
    Ok(outputs.into_vec().remove(0).1)
}
