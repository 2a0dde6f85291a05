//! What an op is: parameters, ports, a check of shapes, and a run.

use crate::device::Device;
pub use crate::error::{ErrorKind, OpError};
pub use crate::ports::Port;

use crate::host::{PriorOutputs, Programs, Warnings};
use cache::{Artifact, Digest, FileEntry, Shape, Table, Tensors};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use std::path::PathBuf;

/// Whether an op's bytes are the same on every device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Determinism {
    /// The same bytes everywhere: a result may be used wherever it was made.
    Bitwise,
    /// Equal within a tolerance across devices: the device is part of the key.
    Tolerant,
}

/// Files an op reads from outside the store. The engine lists and hashes them; their content,
/// not their path, enters the key.
#[derive(Clone, Debug)]
pub struct Source {
    /// The parameter that holds the path.
    pub param: &'static str,
    /// Its value.
    pub path: PathBuf,
    /// Which files under it count.
    pub select: Select,
    /// What a user can do when nothing is there.
    pub missing: Option<&'static str>,
}

/// Which files of a source count.
#[derive(Clone, Debug)]
pub enum Select {
    /// The file itself.
    File,
    /// Every file below the folder with one of these extensions (lower case, without the dot);
    /// a path to a file is taken as it is.
    Tree(&'static [&'static str]),
    /// The CSV file itself and every file its column of this name lists, relative to its folder.
    /// Files that do not exist are left out: the op reports them.
    Listed(&'static str),
    /// The file itself where there is one: a word of a parameter that may name a file, but need
    /// not. The parameter stays in the key beside the content.
    Mentioned,
}

/// One unit of work: its fields are its parameters.
pub trait Op: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The name in YAML; also the name of the file.
    const NAME: &'static str;
    /// Bumped when equal parameters and inputs may give other bytes.
    const VERSION: u32;
    /// What it reads.
    const INPUTS: &'static [Port];
    /// What it makes; the first is what a step's bare name means.
    const OUTPUTS: &'static [Port];
    /// Whether it draws random numbers, so that the seed is part of the key.
    const SEEDED: bool = false;
    /// Whether its bytes depend on the device.
    const DETERMINISM: Determinism = Determinism::Bitwise;
    /// Whether it holds clusters against what chance and other choices give: a report that asks for
    /// companions gets one of these for each of its rows, with the same inputs.
    const COMPANION: bool = false;
    /// The metrics that its scores can hold; none where a user's program decides.
    const METRICS: &'static [crate::Measure] = &[];
    /// Parameters that say only how far to go: runs that differ in them share checkpoints.
    const PROGRESSIVE: &'static [&'static str] = &[];
    /// Whether row i of its output follows from row i of its one input and the parameters alone.
    /// Then rows that an earlier run made are taken from it.
    const ROW_WISE: bool = false;
    /// Whether its parameters name its ports: then the constants are empty, and [`Op::inputs`] and
    /// [`Op::outputs`] say what there is.
    const DYNAMIC_PORTS: bool = false;

    /// What it reads with these parameters.
    fn inputs(&self) -> &'static [Port] {
        Self::INPUTS
    }

    /// What it makes with these parameters.
    fn outputs(&self) -> &'static [Port] {
        Self::OUTPUTS
    }

    /// Files it reads from outside the store.
    fn sources(&self) -> Vec<Source> {
        Vec::new()
    }

    /// From the shapes of the inputs, in the order of [`Op::inputs`] (`None` for an optional one
    /// left out), to the shapes of the outputs, in the order of [`Op::outputs`].
    ///
    /// # Errors
    /// When parameters contradict each other or the shapes cannot work, as far as both are known.
    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError>;

    /// Bytes of memory that it takes at its peak on the CPU, inputs and outputs among them, from the
    /// shapes of the inputs: right within a factor of two. None where inputs and outputs are about
    /// all, or as long as shapes are not known.
    fn memory(&self, _inputs: &[Option<Shape>]) -> Option<u64> {
        None
    }

    /// What a user should know of these parameters although they work, each said like an error.
    fn warnings(&self, _inputs: &[Option<Shape>]) -> Vec<OpError> {
        Vec::new()
    }

    /// Bytes of a GPU's memory that it takes where it runs on one, from the shapes of the inputs;
    /// none if it uses no GPU, or as long as shapes are not known.
    fn gpu_memory(&self, _inputs: &[Option<Shape>]) -> Option<u64> {
        None
    }

    /// Computes the outputs.
    ///
    /// # Errors
    /// When the data is unfit, when something outside fails, or when the run is cancelled.
    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError>;
}

/// The artifacts and files an op reads.
#[derive(Default)]
pub struct Inputs<'a> {
    artifacts: Vec<(&'static str, &'a Artifact)>,
    files: &'a [FileEntry],
}

impl<'a> Inputs<'a> {
    /// Inputs without anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an artifact at a port.
    #[must_use]
    pub fn with(mut self, port: &'static str, artifact: &'a Artifact) -> Self {
        self.artifacts.push((port, artifact));
        self
    }

    /// Adds the files of the op's sources, sorted by name.
    #[must_use]
    pub fn with_files(mut self, files: &'a [FileEntry]) -> Self {
        self.files = files;
        self
    }

    /// The files of the op's sources, sorted by name.
    pub fn files(&self) -> &'a [FileEntry] {
        self.files
    }

    /// The artifact at a port that a step may leave out.
    pub fn optional(&self, port: &str) -> Option<&'a Artifact> {
        self.artifacts.iter().find(|(name, _)| *name == port).map(|(_, artifact)| *artifact)
    }

    /// What is connected to a port that takes several: labels with their artifacts, labels that are
    /// all numbers by value, others as text.
    pub fn gathered(&self, port: &str) -> Vec<(&'static str, &'a Artifact)> {
        let own = |(name, artifact): &(&'static str, &'a Artifact)| {
            let (of, label) = name.split_once('@')?;
            (of == port).then_some((label, *artifact))
        };
        let mut found: Vec<_> = self.artifacts.iter().filter_map(own).collect();
        let number = |label: &str| label.parse::<f64>().ok().filter(|it| it.is_finite());
        found.sort_by_key(|(label, _)| *label);
        if found.iter().all(|(label, _)| number(label).is_some()) {
            found.sort_by(|(a, _), (b, _)| number(a).partial_cmp(&number(b)).expect("finite"));
        }
        found
    }

    /// The artifact at a port.
    ///
    /// # Errors
    /// When nothing is connected.
    pub fn get(&self, port: &str) -> Result<&'a Artifact, OpError> {
        self.optional(port)
            .ok_or_else(|| OpError::data(format!("nothing is connected to port `{port}`")))
    }

    /// The columns at a port.
    ///
    /// # Errors
    /// When nothing is connected or it is not a table.
    pub fn table(&self, port: &str) -> Result<&'a Table, OpError> {
        let artifact = self.get(port)?;
        artifact.as_table().ok_or_else(|| {
            OpError::data(format!("port `{port}` holds a {}, which has no columns", artifact.kind))
        })
    }

    /// `clip_id` and `features` at a port of kind matrix or spectrogram: at least one row, and
    /// every number finite.
    ///
    /// # Errors
    /// When a column is missing, there is no row, or a number is NaN or infinite; the message
    /// names the clip.
    pub fn features(&self, port: &str) -> Result<(&'a [String], &'a cache::Array), OpError> {
        let table = self.table(port)?;
        let missing = |name| OpError::data(format!("port `{port}` has no column `{name}`"));
        let ids = table.text("clip_id").ok_or_else(|| missing("clip_id"))?;
        let features = table.array("features").ok_or_else(|| missing("features"))?;
        if ids.is_empty() {
            return Err(OpError::data(format!("port `{port}` holds no clips")));
        }
        if let Some(at) = features.values().iter().position(|value| !value.is_finite()) {
            let (row, column) = (at / features.width(), at % features.width());
            return Err(OpError::data(format!(
                "clip `{}` has {} in feature {column}",
                ids[row],
                features.values()[at]
            )));
        }
        Ok((ids, features))
    }
}

/// What an op made, by port, in the order of its declaration.
#[derive(Debug, Default)]
pub struct Outputs(Vec<(&'static str, Artifact)>);

impl Outputs {
    /// Outputs without anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an artifact at a port.
    #[must_use]
    pub fn with(mut self, port: &'static str, artifact: Artifact) -> Self {
        self.0.push((port, artifact));
        self
    }

    /// The artifact at a port.
    pub fn get(&self, port: &str) -> Option<&Artifact> {
        self.0.iter().find(|(name, _)| *name == port).map(|(_, artifact)| artifact)
    }

    /// All artifacts by port.
    pub fn into_vec(self) -> Vec<(&'static str, Artifact)> {
        self.0
    }
}

/// All that an op learns of the world.
pub struct Ctx<'a> {
    /// The seed of everything random.
    pub seed: u64,
    /// Where to say how far the work is.
    pub progress: &'a dyn Progress,
    /// Whether the work should stop.
    pub cancel: &'a dyn Cancel,
    /// Where the file with this content lies now.
    pub files: &'a dyn Locate,
    /// States of long work, kept across runs.
    pub checkpoints: &'a dyn Checkpoints,
    /// Where the heavy work is done; ops whose bytes do not depend on it need not look.
    pub device: &'a Device,
    /// What earlier runs of the step made.
    pub earlier: &'a dyn PriorOutputs,
    /// Who runs programs.
    pub programs: &'a dyn Programs,
    /// Who hears what the user should know although nothing failed.
    pub warnings: &'a dyn Warnings,
}

impl Ctx<'_> {
    /// Stops here if the run was cancelled.
    ///
    /// # Errors
    /// [`OpError::cancelled`] if it was.
    pub fn stop_if_cancelled(&self) -> Result<(), OpError> {
        if self.cancel.is_cancelled() { Err(OpError::cancelled()) } else { Ok(()) }
    }
}

/// How far the work of a step is.
pub trait Progress: Sync {
    /// `done` of `total` units are finished; `note` is shown beside them ("loss 0.41").
    fn at(&self, done: u64, total: u64, note: &str);
}

/// Whether a run was cancelled.
pub trait Cancel: Sync {
    /// True from the moment of cancellation on.
    fn is_cancelled(&self) -> bool;
}

/// Finds files by content.
pub trait Locate: Sync {
    /// A path at which the file with this content lies.
    fn path_of(&self, content: &Digest) -> Option<PathBuf>;
}

/// States of long work, numbered by how far it got, such as epochs.
pub trait Checkpoints: Sync {
    /// The state that got farthest, but not beyond `at_most`.
    fn load(&self, at_most: u64) -> Option<(u64, Tensors)>;
    /// Keeps a state.
    ///
    /// # Errors
    /// When the store refuses it.
    fn save(&self, at: u64, state: &Tensors) -> Result<(), OpError>;
}

/// Nothing outside: no progress shown, never cancelled, no files, no checkpoints, no earlier run, no
/// programs. For tests and for calling an op as a library.
pub struct Detached;

impl Progress for Detached {
    fn at(&self, _done: u64, _total: u64, _note: &str) {}
}

impl Cancel for Detached {
    fn is_cancelled(&self) -> bool {
        false
    }
}

impl Locate for Detached {
    fn path_of(&self, _content: &Digest) -> Option<PathBuf> {
        None
    }
}

impl Checkpoints for Detached {
    fn load(&self, _at_most: u64) -> Option<(u64, Tensors)> {
        None
    }
    fn save(&self, _at: u64, _state: &Tensors) -> Result<(), OpError> {
        Ok(())
    }
}

impl Detached {
    /// A context with this seed and nothing else.
    pub fn with_seed(seed: u64) -> Ctx<'static> {
        Ctx {
            seed,
            progress: &Detached,
            cancel: &Detached,
            files: &Detached,
            checkpoints: &Detached,
            device: &Device::Cpu,
            earlier: &Detached,
            programs: &Detached,
            warnings: &Detached,
        }
    }
}
