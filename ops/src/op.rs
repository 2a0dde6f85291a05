//! The definition of an op: parameters, ports, a check of shapes, and a run.

pub mod entry;

use crate::device::{Device, GpuMemory};
pub use crate::error::{ErrorKind, OpError};
use crate::measures::Measure;
pub use crate::ports::Port;

pub use crate::host::{Cancel, Checkpoints, Detached, Locate, Progress};
pub use entry::{AnyOp, Entry, ParamError};

use crate::host::{PriorOutputs, Programs, Warnings};
use cache::{Artifact, FileEntry, Shape, Table, verified};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use std::path::PathBuf;

/// The reproducibility of an op's bytes across devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Determinism {
    /// The same bytes on every device, so that a result can be reused anywhere.
    Bitwise,
    /// Equal within a tolerance across devices, so that the device is part of the key.
    Tolerant,
}

/// The reports that add this op to each of their rows by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Companion {
    /// Those that ask for companions: it compares clusters with chance and with other choices.
    Baselines,
    /// Those with intervals over recordings, if the labels may name these.
    Recordings,
}

/// The files outside the store that an op reads. The engine lists and hashes them; their content,
/// not their path, enters the key.
#[derive(Clone, Debug)]
pub struct Source {
    /// The parameter that holds the path.
    pub param: &'static str,
    /// The value of the parameter.
    pub path: PathBuf,
    /// The selection of files under the path.
    pub select: Select,
    /// Advice for the user if no file is found.
    pub missing: Option<&'static str>,
}

/// The selection of a source's files.
#[derive(Clone, Debug)]
pub enum Select {
    /// The file itself.
    File,
    /// Every file below the folder with one of these extensions (lower case, without the dot); a
    /// path to a file selects that file.
    Tree(&'static [&'static str]),
    /// The CSV file itself and every file listed in its column of this name, relative to its
    /// folder. Files that do not exist are left out; the op reports them.
    Listed(&'static str),
    /// The file itself if it exists: a word of a parameter that may, but need not, name a file. The
    /// parameter stays in the key beside the content.
    Mentioned,
    /// A shared library, which is looked for on the machine; the path of the source is its name. The
    /// parameter stays in the key beside the content.
    Library(&'static SharedLibrary),
}

impl Select {
    /// True if the parameter is more than the place of the files, so that it is part of the key.
    pub fn keeps_parameter(&self) -> bool {
        matches!(self, Self::Mentioned | Self::Library(_))
    }
}

/// A shared library that an op uses where a machine has it.
#[derive(Debug)]
pub struct SharedLibrary {
    /// Its name, without `lib` and the ending.
    pub name: &'static str,
    /// The environment variable that names its file.
    pub variable: &'static str,
}

/// An op, the computation of a step. Its fields are its parameters.
pub trait Op: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The name in YAML; also the name of the file.
    const NAME: &'static str;
    /// The name in titles, as papers write it; none if only the author knows what it does.
    const TITLE: &'static str = Self::NAME;
    /// The version, raised when equal parameters and inputs may give other bytes.
    const VERSION: u32;
    /// The input ports.
    const INPUTS: &'static [Port];
    /// The output ports; the bare name of a step refers to the first.
    const OUTPUTS: &'static [Port];
    /// True if it draws random numbers, so that the seed is part of the key.
    const SEEDED: bool = false;
    /// The reproducibility of its bytes across devices.
    const DETERMINISM: Determinism = Determinism::Bitwise;
    /// The reports for which it is added beside each of their rows, with the same inputs.
    const COMPANION: Option<Companion> = None;
    /// The metrics that its scores can have; none if an external program decides.
    const METRICS: &'static [Measure] = &[];
    /// Parameters that only limit the length of the work; runs that differ in them share
    /// checkpoints.
    const PROGRESSIVE: &'static [&'static str] = &[];
    /// True if row i of its output follows from row i of its one input and the parameters alone, so
    /// that rows of an earlier run can be reused.
    const ROW_WISE: bool = false;
    /// True if its labels may name the recording of each clip (a column `group`), over which a report
    /// then has intervals.
    const GROUPS: bool = false;
    /// True if its parameters define its ports. The constants are then empty, and [`Op::inputs`]
    /// and [`Op::outputs`] give the ports.
    const DYNAMIC_PORTS: bool = false;

    /// The outputs with the rows to fit on and with those that are held out, if it divides rows.
    const SPLIT: Option<[&'static str; 2]> = None;

    /// True if what it makes of a row depends on the other rows, unless a model is connected.
    fn learns(&self) -> bool {
        false
    }

    /// The input ports with these parameters.
    fn inputs(&self) -> &'static [Port] {
        Self::INPUTS
    }

    /// The output ports with these parameters.
    fn outputs(&self) -> &'static [Port] {
        Self::OUTPUTS
    }

    /// The output ports if the list of its files ([`Select::Listed`]) has these columns, some of
    /// which are further outputs.
    fn outputs_with(&self, _columns: &[String]) -> &'static [Port] {
        self.outputs()
    }

    /// The name of its classes, in a word for titles: the column of a list, or `instrument`.
    fn class(&self) -> Option<&str> {
        None
    }

    /// The files outside the store that it reads.
    fn sources(&self) -> Vec<Source> {
        Vec::new()
    }

    /// Computes the shapes of the outputs, in the order of [`Op::outputs`], from those of the
    /// inputs, in the order of [`Op::inputs`] (`None` for an optional one left out).
    ///
    /// # Errors
    /// When parameters contradict each other or the shapes do not fit, as far as both are known.
    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError>;

    /// The peak memory on the CPU in bytes, including inputs and outputs, from the shapes of the
    /// inputs; correct within a factor of two. `None` if it needs little besides inputs and
    /// outputs, or if shapes are not known yet.
    fn memory(&self, _inputs: &[Option<Shape>]) -> Option<u64> {
        None
    }

    /// Warnings about valid parameters, each in the form of an error.
    fn warnings(&self, _inputs: &[Option<Shape>]) -> Vec<OpError> {
        Vec::new()
    }

    /// The reason why it is slow with inputs of these shapes: a lower-case sentence that is shown before it runs.
    /// `None` if it is not, or if shapes are not known yet.
    fn slow(&self, _inputs: &[Option<Shape>]) -> Option<String> {
        None
    }

    /// The memory that it takes on a GPU, from the shapes of the inputs; `None` if it uses no GPU, or
    /// if shapes are not known yet.
    fn gpu_memory(&self, _inputs: &[Option<Shape>]) -> Option<GpuMemory> {
        None
    }

    /// Computes the outputs.
    ///
    /// # Errors
    /// When the data is not usable, when something outside fails, or when the run is cancelled.
    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError>;
}

/// The artifacts and files an op reads.
#[derive(Default)]
pub struct Inputs<'a> {
    artifacts: Vec<(&'static str, &'a Artifact)>,
    files: &'a [FileEntry],
}

impl<'a> Inputs<'a> {
    /// Empty inputs.
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

    /// The bytes of the first source file, which the user named `path`; none if no file was found.
    ///
    /// # Errors
    /// When the bytes cannot be read, or are not those that were hashed.
    pub fn first_file(&self, path: &str) -> Result<Option<Vec<u8>>, OpError> {
        let Some(file) = self.files().first() else { return Ok(None) };
        let mut bytes = Vec::new();
        verified::read(&file.path, &file.digest, &mut bytes).map_err(|why| {
            OpError::failure(format!("`{path}` {why}"))
                .help("check that it is there and that nothing writes to it, then run again")
        })?;
        Ok(Some(bytes))
    }

    /// The artifact at a port that a step may leave out.
    pub fn optional(&self, port: &str) -> Option<&'a Artifact> {
        self.artifacts.iter().find(|(name, _)| *name == port).map(|(_, artifact)| *artifact)
    }

    /// The artifacts at a port that takes several, with their labels. Labels are sorted by value if
    /// all are numbers, otherwise as text.
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

    /// The columns `clip_id` and `features` at a port of kind matrix or spectrogram, with at least
    /// one row and only finite numbers.
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

/// The outputs of an op, by port, in the order of its declaration.
#[derive(Debug, Default)]
pub struct Outputs(Vec<(&'static str, Artifact)>);

impl Outputs {
    /// Empty outputs.
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

/// The context of an op's run.
pub struct Ctx<'a> {
    /// The seed of all random numbers.
    pub seed: u64,
    /// Receives the progress.
    pub progress: &'a dyn Progress,
    /// Tells if the run was cancelled.
    pub cancel: &'a dyn Cancel,
    /// Locates files by their content.
    pub files: &'a dyn Locate,
    /// The checkpoints of long work, kept across runs.
    pub checkpoints: &'a dyn Checkpoints,
    /// The device for heavy computations; ops with the same bytes on every device may ignore it.
    pub device: &'a Device,
    /// The outputs of earlier runs of the step.
    pub earlier: &'a dyn PriorOutputs,
    /// Runs external programs.
    pub programs: &'a dyn Programs,
    /// Receives warnings.
    pub warnings: &'a dyn Warnings,
    /// The ops, for an op that applies another one.
    pub ops: &'static [Entry],
}

impl Ctx<'static> {
    /// A context with this seed and these ops, and without any services.
    pub fn detached(seed: u64, ops: &'static [Entry]) -> Self {
        Self {
            seed,
            progress: &Detached,
            cancel: &Detached,
            files: &Detached,
            checkpoints: &Detached,
            device: &Device::Cpu,
            earlier: &Detached,
            programs: &Detached,
            warnings: &Detached,
            ops,
        }
    }
}

impl Ctx<'_> {
    /// The op of that name.
    pub fn find(&self, name: &str) -> Option<&'static Entry> {
        self.ops.iter().find(|entry| entry.name == name)
    }

    /// Returns an error if the run was cancelled.
    ///
    /// # Errors
    /// The error is [`OpError::cancelled`].
    pub fn stop_if_cancelled(&self) -> Result<(), OpError> {
        if self.cancel.is_cancelled() { Err(OpError::cancelled()) } else { Ok(()) }
    }
}
