//! Runs programs of the user, each with a scratch folder, a clean environment and a log.

use super::{
    environments,
    processes::{self, ProcessTree, RunningProgram},
    program_output::ProgramOutput,
};
use crate::child::wait_with;
use cache::{
    FileEntry, interchange, regular,
    store::plain,
    verified::{ReadError, Watched},
};
use ops::{Cancel, Form, OpError, Piece, Product, Program};
use rustix::process::Pid;
use std::{
    env,
    fs::{self, File},
    io::{self, PipeWriter, Read, Seek, SeekFrom, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};
use tempfile::TempDir;

/// The environment variables of the engine that every program sees, besides those its step names.
const USUAL: [&str; 3] = ["PATH", "HOME", "LANG"];

/// The words that separate a message from the lines of the log below it.
pub const LOG_FOLLOWS: &str = "; the end of its log:";

/// Runs the programs of a step.
pub struct Programs {
    /// The file that keeps what a program prints.
    log: PathBuf,
    /// The numbers of the GPUs that the step was given.
    gpus: Vec<usize>,
    /// The last printed lines of the last program that was stopped.
    cut_short: Mutex<Vec<String>>,
    /// True once a program has failed where its files had no room.
    ran_out_of_space: AtomicBool,
}

impl Programs {
    /// Programs that write to this log and see these GPUs.
    pub fn new(log: PathBuf, gpus: Vec<usize>) -> Self {
        Self { log, gpus, cut_short: Mutex::default(), ran_out_of_space: AtomicBool::new(false) }
    }

    /// The last printed lines of a program that was stopped.
    pub fn cut_short(&self) -> Vec<String> {
        self.lines().clone()
    }

    /// True if a program has failed where its files had no room, so that another machine may do better.
    pub fn ran_out_of_space(&self) -> bool {
        self.ran_out_of_space.load(Ordering::Relaxed)
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.cut_short.lock().expect("no thread panics while it holds the lines")
    }
}

impl ops::Programs for Programs {
    fn run(&self, program: &Program<'_>, cancel: &dyn Cancel) -> Result<Vec<Product>, OpError> {
        let scratch = Scratch::new().map_err(|error| {
            self.ran_out_of_space.fetch_or(is_full(&env::temp_dir()), Ordering::Relaxed);
            no_space(&error)
        })?;
        let ran = self.run_in(&scratch, program, cancel);
        if ran.is_err() {
            self.ran_out_of_space.fetch_or(is_full(scratch.0.path()), Ordering::Relaxed);
        }
        ran
    }
}

impl Programs {
    fn run_in(
        &self,
        scratch: &Scratch,
        program: &Program<'_>,
        cancel: &dyn Cancel,
    ) -> Result<Vec<Product>, OpError> {
        for (name, artifact) in &program.inputs {
            let path = scratch.input(name, interchange::extension(artifact));
            interchange::write(&path, artifact).map_err(|error| {
                OpError::failure(format!("cannot write `{}`: {error}", path.display()))
            })?;
        }
        let files = watched(program, cancel)?;
        let own = scratch.words(program);
        let name = own.first().map_or("", String::as_str);
        let before = program.within.as_ref().map_or(Ok(Vec::new()), |within| {
            environments::before(within, scratch.0.path(), !self.gpus.is_empty())
        })?;
        let words: Vec<String> = before.into_iter().chain(own.iter().cloned()).collect();
        let (log, start_of_log) = self.open_log().map_err(|error| {
            OpError::failure(format!("cannot write `{}`: {}", self.log.display(), plain(&error)))
        })?;
        let running = RunningProgram::begin();
        let ended = self.run_to_end(&words, program, scratch, log, cancel)?;
        drop(running);
        let with_log = |headline| self.error_with_log(headline, start_of_log);
        match ended {
            None => {
                *self.lines() = last_lines(&self.log, start_of_log).unwrap_or_default();
                Err(OpError::cancelled())
            }
            Some(status) if status.success() => {
                for (place, file) in &files {
                    file.check().map_err(|why| unread(place, &why))?;
                }
                let read = |(output, form): &(&str, Form)| {
                    read(scratch, name, output, *form).map_err(with_log)
                };
                program.outputs.iter().map(read).collect()
            }
            Some(status) => Err(with_log(format!("`{name}` ended with {}", describe(status)))),
        }
    }

    /// The exit status of a program; none if the work was cancelled, which ends the program.
    /// Processes that it left behind end with it.
    fn run_to_end(
        &self,
        words: &[String],
        program: &Program<'_>,
        scratch: &Scratch,
        log: File,
        cancel: &dyn Cancel,
    ) -> Result<Option<ExitStatus>, OpError> {
        let name = words.first().map_or("", String::as_str);
        let lost = |error| OpError::failure(processes::lost(name, &error));
        let (pipe, end) = io::pipe().map_err(lost)?;
        let mut child =
            self.start(words, program, scratch, end).map_err(|error| match &program.within {
                Some(within) => environments::missing(within, &error),
                None => missing(name, &error),
            })?;
        let watchdog = Watchdog::start(&child, scratch.0.path());
        let tree = ProcessTree::new(&child, scratch.0.path());
        let mut output = ProgramOutput::new(pipe, log);
        let ended = wait(&mut child, &mut output, cancel);
        tree.end(&watchdog.pids());
        let ended = match ended {
            Ok(None) => processes::wait_for_end(&mut child).map(|_| None),
            other => other,
        };
        output.finish();
        drop(watchdog);
        ended.map_err(lost)
    }

    fn start(
        &self,
        words: &[String],
        program: &Program<'_>,
        scratch: &Scratch,
        log: PipeWriter,
    ) -> io::Result<Child> {
        let (name, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let passed = USUAL.into_iter().chain(program.passed.iter().map(String::as_str));
        let passed = passed.filter_map(|name| Some((name, env::var_os(name)?)));
        // A program of a step with GPUs sees those GPUs and no others.
        let visible = env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
        let visible: Vec<&str> = visible.split(',').filter(|name| !name.is_empty()).collect();
        // A job of a cluster sees some GPUs of its node; the first of them is number 0 here.
        let named =
            |gpu: &usize| visible.get(*gpu).map_or(gpu.to_string(), |&name| name.to_owned());
        let gpus: Vec<String> = self.gpus.iter().map(named).collect();
        Command::new(name)
            .args(arguments)
            .env_clear()
            .envs(passed)
            .env("TMPDIR", scratch.0.path().join("tmp"))
            .envs(program.variables.iter().map(|(name, value)| (name, value)))
            .envs((!gpus.is_empty()).then(|| ("CUDA_VISIBLE_DEVICES", gpus.join(","))))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // The program gets its own group, so that all it starts can be ended with it.
            .process_group(0)
            .spawn()
    }

    /// Opens the log for appending, and returns the byte at which it ends now.
    fn open_log(&self) -> io::Result<(File, u64)> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let end = log.metadata()?.len();
        Ok((log, end))
    }

    /// An error with the end of the log below its message.
    fn error_with_log(&self, headline: String, start_of_log: u64) -> OpError {
        let lines = last_lines(&self.log, start_of_log).unwrap_or_default();
        let message = match &lines[..] {
            [] => format!("{headline}, and printed nothing"),
            lines => format!("{headline}{LOG_FOLLOWS}\n  {}", lines.join("\n  ")),
        };
        OpError::failure(message).help(format!("its whole log: `{}`", self.log.display()))
    }
}

/// The files that decide the work of a program. The program reads them itself, so they must not
/// change from before it starts until it has ended.
fn watched(program: &Program<'_>, cancel: &dyn Cancel) -> Result<Vec<(String, Watched)>, OpError> {
    let watch = |file: &FileEntry| {
        let place = file.path.display().to_string();
        match Watched::open(&file.path, &file.digest, &|| cancel.is_cancelled()) {
            Err(ReadError::Stopped) => Err(OpError::cancelled()),
            Ok(watched) => Ok((place, watched)),
            Err(why) => Err(unread(&place, &why)),
        }
    };
    program.files.iter().map(watch).collect()
}

fn unread(place: &str, why: &ReadError) -> OpError {
    OpError::failure(format!("`{place}` {why}")).help(
        "the step reads the file as it was when the run began: run again once nothing writes to it",
    )
}

/// Reads what a program wrote at an output.
fn read(scratch: &Scratch, program: &str, output: &str, form: Form) -> Result<Product, String> {
    let path = scratch.output(output, form);
    let read = match form {
        Form::Table => regular::open(&path).map(|_| Vec::new()),
        Form::File { at_most, .. } => regular::read(&path, at_most),
    };
    match read {
        Ok(bytes) if form != Form::Table => return Ok(Product::File(bytes)),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Ok(Product::TooLong),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!("`{program}` made no file at `{{out.{output}}}`"));
        }
        Err(error) => {
            let error = plain(&error);
            return Err(format!("`{{out.{output}}}` of `{program}` cannot be read: {error}"));
        }
    }
    interchange::read(&path).map(Product::Table).map_err(|error| {
        format!("`{{out.{output}}}` of `{program}` is not the Parquet that is read here: {error}")
    })
}

/// A folder with the inputs, the outputs and the temporary files of a program; removed at the end.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("engine-").tempdir()?;
        for part in ["in", "out", "tmp"] {
            fs::create_dir(folder.path().join(part))?;
        }
        Ok(Self(folder))
    }

    fn input(&self, name: &str, extension: &str) -> PathBuf {
        self.0.path().join("in").join(format!("{name}.{extension}"))
    }

    fn output(&self, name: &str, form: Form) -> PathBuf {
        self.0.path().join("out").join(format!("{name}.{}", form.ending()))
    }

    /// The program and its arguments.
    fn words(&self, program: &Program<'_>) -> Vec<String> {
        let path = |path: PathBuf| path.display().to_string();
        let word = |piece: &Piece<'_>| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Output(name) => {
                let output = program.outputs.iter().find(|(own, _)| own == name);
                path(self.output(name, output.map_or(Form::Table, |(_, form)| *form)))
            }
            Piece::Input(name) => {
                let input = program.inputs.iter().find(|(own, _)| own == name);
                let ending =
                    input.map_or("parquet", |(_, artifact)| interchange::extension(artifact));
                path(self.input(name, ending))
            }
        };
        program.command.iter().map(|pieces| pieces.iter().map(word).collect()).collect()
    }
}

/// A shell that ends a program with all it started, and removes its folder, if the engine dies
/// without doing so: however the engine was killed, its end of the pipe closes.
struct Watchdog(Option<Child>);

impl Watchdog {
    /// A process that has left the group of the program still has the folder in its environment.
    const SCRIPT: &str = "read -r done || {
        kill -s KILL -- \"-$1\"
        for again in 1 2; do
            for process in /proc/[0-9]*; do
                grep -qsF -e \"$2\" \"$process/environ\" && kill -s KILL \"${process#/proc/}\"
            done
        done
        rm -rf -- \"$2\"
    }";

    /// Starts the watchdog of a program. Without a shell there is no watchdog, and nothing else is lost.
    fn start(program: &Child, scratch: &Path) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", Self::SCRIPT, "sh", &program.id().to_string()]).arg(scratch);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // The shell gets its own group, so that a signal to the engine's group does not end it.
        Self(shell.process_group(0).spawn().ok())
    }

    /// The process id of the shell.
    fn pids(&self) -> Vec<Pid> {
        self.0.iter().map(Pid::from_child).collect()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let Some(shell) = &mut self.0 else { return };
        // The program has ended; a new process that has its number is left alone.
        let written = shell.stdin.take().map(|mut pipe| pipe.write_all(b"done\n"));
        if !matches!(written, Some(Ok(()))) {
            let _ = shell.kill();
        }
        let _ = shell.wait();
    }
}

/// Waits for the end of a program while it prints; `None` if the work was cancelled first.
fn wait(
    child: &mut Child,
    output: &mut ProgramOutput,
    cancel: &dyn Cancel,
) -> io::Result<Option<ExitStatus>> {
    wait_with(child, || cancel.is_cancelled(), |pause| output.take(pause))
}

/// True if hardly a file can be written in a folder: no program keeps less free.
fn is_full(folder: &Path) -> bool {
    const MIN_FREE_BYTES: u64 = 64 << 10;
    rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail * disk.f_frsize < MIN_FREE_BYTES)
}

fn no_space(error: &io::Error) -> OpError {
    OpError::failure(format!("cannot make a folder for a program: {}", plain(error)))
        .help("check free space where temporary files go, or set `TMPDIR`")
}

fn missing(name: &str, error: &io::Error) -> OpError {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "check its spelling, and that it is installed and on the `PATH`",
        io::ErrorKind::PermissionDenied => "make it executable: `chmod +x`",
        _ => "check the command",
    };
    OpError::data(format!("cannot start `{name}`: {}", plain(error))).help(help)
}

/// Describes the exit status of a program.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(9)) => "signal 9 (somebody ended it, perhaps for lack of memory)".to_owned(),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The last lines of a log from a byte offset on, without what a terminal would not show.
fn last_lines(log: &Path, from: u64) -> io::Result<Vec<String>> {
    const LINES: usize = 20;
    const BYTES: u64 = 16 << 10;
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(BYTES).max(from)))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // Text before a carriage return was overwritten, as in progress bars.
    let shown = |line: &str| {
        let line = line.trim_end().rsplit('\r').next().unwrap_or_default().to_owned();
        line.replace(|letter: char| letter.is_control() && letter != '\t', "")
    };
    let lines: Vec<String> = text.lines().map(shown).filter(|line| !line.is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(LINES)..].to_vec())
}
