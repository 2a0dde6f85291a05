//! A folder with a pipeline in it, and the binary that runs there.

use cache::{Record, record::StepStatus};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// From recordings in `data` to one row of scores.
pub const SMALL: &str = "name: small
vars: { data: data, clusters: 3 }
steps:
  clips: { op: audio_folder, path: \"${data}\" }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.25, n_fft: 256, hop_length: 128, n_mels: 16 }
  norm: { op: normalize, in: mel }
  pca: { op: pca, in: norm, components: 3 }
  groups: { op: kmeans, in: pca, clusters: \"${clusters}\" }
  scores: { op: metrics, in: { features: pca, clusters: groups, truth: clips.labels } }
report:
  table:
    - { row: PCA + K-Means, scores: scores }
";

/// The names of the steps of [`SMALL`].
pub const STEPS: [&str; 6] = ["clips", "mel", "norm", "pca", "groups", "scores"];

/// A folder with a pipeline.
pub struct Study {
    folder: TempDir,
    pipeline: String,
    threads: usize,
}

/// The output of a command, and its exit code.
pub struct CommandOutput {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Study {
    /// The pipeline [`SMALL`], and no data yet.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("study-").tempdir().expect("a folder");
        Self { folder, pipeline: SMALL.to_owned(), threads: 1 }
    }

    /// The same in memory, where the machine has a folder there: waiting for a disk is not tested.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if !memory.is_dir() {
            return Self::new();
        }
        let folder = tempfile::Builder::new().prefix("study-").tempdir_in(memory);
        Self { folder: folder.expect("a folder"), ..Self::new() }
    }

    /// Another pipeline.
    pub fn pipeline(mut self, text: &str) -> Self {
        text.clone_into(&mut self.pipeline);
        self
    }

    /// Another number of threads than one.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Replaces a part of the pipeline.
    pub fn edit(&mut self, from: &str, to: &str) {
        assert!(self.pipeline.contains(from), "`{from}` is not in the pipeline");
        self.pipeline = self.pipeline.replace(from, to);
    }

    /// The text of the pipeline.
    pub fn text(&self) -> &str {
        &self.pipeline
    }

    /// A place in the folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a written file");
    }

    /// Reads a file as text.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The binary in this folder, with an environment that is the same everywhere.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        for name in ["ENGINE_LOG", "ENGINE_STORE", "ENGINE_REMOTE", "IRMAS_DIR", "RECORDINGS"] {
            command.env_remove(name);
        }
        command.env("COLUMNS", "100");
        command
    }

    /// Runs the binary.
    pub fn engine(&self, arguments: &[&str]) -> CommandOutput {
        self.text_of(&self.command(arguments).output().expect("the binary starts"))
    }

    /// The command that runs the pipeline.
    pub fn run_command(&self, arguments: &[&str]) -> Command {
        self.write("study.yaml", &self.pipeline);
        let threads = self.threads.to_string();
        let mut all = vec!["run", "study.yaml", "--threads", &threads];
        all.extend(arguments);
        self.command(&all)
    }

    /// Runs the pipeline by way of another program, whose last arguments are a command.
    pub fn run_by(&self, mut outer: Command) -> CommandOutput {
        let run = self.run_command(&[]);
        outer.arg(run.get_program()).args(run.get_args()).current_dir(self.folder.path());
        for (name, value) in run.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        self.text_of(&outer.output().expect("the other program starts"))
    }

    /// Runs the pipeline.
    pub fn run(&self) -> CommandOutput {
        self.run_with(&[])
    }

    /// Runs the pipeline with more arguments.
    pub fn run_with(&self, arguments: &[&str]) -> CommandOutput {
        self.text_of(&self.run_command(arguments).output().expect("the binary starts"))
    }

    /// Runs the pipeline to its end, and names the steps that ran.
    pub fn ran(&self) -> Vec<String> {
        self.ran_with(&[])
    }

    /// The same with more arguments.
    pub fn ran_with(&self, arguments: &[&str]) -> Vec<String> {
        let said = self.run_with(arguments);
        assert_eq!(said.code, 0, "{}", said.stderr);
        self.steps_that(&said, StepStatus::Ran)
    }

    /// The steps of a run that ended so.
    pub fn steps_that(&self, said: &CommandOutput, status: StepStatus) -> Vec<String> {
        let steps = self.record(said).steps.into_iter();
        steps.filter(|step| step.status == status).map(|step| step.name).collect()
    }

    /// The record of the run whose report was printed.
    pub fn record(&self, said: &CommandOutput) -> Record {
        let report = said.stdout.lines().next().unwrap_or_else(|| panic!("{}", said.stderr));
        let folder = self.path(report);
        let text = fs::read(folder.with_file_name("record.json")).expect("a record");
        serde_json::from_slice(&text).expect("a record of this version")
    }

    /// The file of the store with the digests of files outside it, as this host sees them.
    pub fn index_of_files(&self) -> PathBuf {
        let names = fs::read_dir(self.path(".engine")).expect("a store").flatten();
        let mut indices =
            names.filter(|it| it.file_name().to_string_lossy().starts_with("files-v1-"));
        indices.next().expect("an index").path()
    }

    /// Every object of the store: name and bytes.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.object_files()
            .into_iter()
            .map(|path| {
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                (name, fs::read(&path).expect("an object"))
            })
            .collect()
    }

    /// The files of all objects; what a killed process left half is none.
    pub fn object_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.path(".engine/objects-v1"))
            .into_iter()
            .flatten()
            .flat_map(|folder| fs::read_dir(folder.expect("a folder").path()).expect("a folder"))
            .map(|file| file.expect("a file").path())
            .filter(|path| {
                !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
            })
            .collect();
        files.sort();
        files
    }

    /// The file of an output of a run.
    pub fn object_of(&self, said: &CommandOutput, step: &str, port: &str) -> PathBuf {
        let record = self.record(said);
        let digest = record.step(step).expect("a step").outputs[port].to_string();
        let mut files = self.object_files().into_iter();
        files
            .find(|file| file.file_stem().is_some_and(|name| name.to_string_lossy() == digest))
            .expect("an object in the store")
    }

    /// The number of run folders.
    pub fn run_folders(&self) -> usize {
        let studies = fs::read_dir(self.path("runs")).into_iter().flatten().flatten();
        studies
            .flat_map(|study| fs::read_dir(study.path()).expect("a folder"))
            .filter(|run| run.as_ref().is_ok_and(|run| run.path().join("record.json").is_file()))
            .filter(|run| !run.as_ref().is_ok_and(|run| run.file_name() == "latest"))
            .count()
    }

    /// The output of a process, with the name of the folder taken out.
    pub fn text_of(&self, output: &Output) -> CommandOutput {
        let text = |bytes: &[u8]| {
            let folder = self.folder.path().to_string_lossy();
            String::from_utf8_lossy(bytes).replace(&*folder, "DIR")
        };
        // A process that a signal ended has no code.
        let code = output.status.code().unwrap_or(-1);
        CommandOutput { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}
