//! The calls of Slurm: each with a deadline, and with its own words where it refuses.

use super::sizes::WorkerSize;
use crate::{child::wait_unless, model::WorkerKind};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Write},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Commands hang for as long as the controller is away, and say so after 20 seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// The script with which jobs are submitted.
pub struct Script<'a> {
    /// The name of the jobs.
    pub name: String,
    /// The kind of worker.
    pub kind: &'a WorkerKind,
    /// The number of jobs.
    pub count: usize,
    /// The resources of each worker.
    pub size: WorkerSize,
    /// The seconds before its end at which a worker is asked to leave.
    pub signal: u64,
    /// The folder for what jobs print.
    pub logs: PathBuf,
    /// Nodes that are left alone.
    pub exclude: Vec<String>,
    /// Lines of the shell before the worker.
    pub setup: &'a str,
    /// Variables of the environment that the pipeline reads.
    pub environment: Vec<(String, String)>,
    /// The words of the command.
    pub command: Vec<String>,
}

impl Script<'_> {
    /// The text for `sbatch`.
    pub fn text(&self) -> String {
        let kind = self.kind;
        let mut options = vec![
            format!("--job-name={}", self.name),
            format!("--array=1-{}", self.count),
            format!("--output={}/%A_%a.txt", self.logs.display()),
            "--open-mode=append".to_owned(),
            "--requeue".to_owned(),
            "--nodes=1".to_owned(),
            "--ntasks=1".to_owned(),
            format!("--cpus-per-task={}", kind.cpus),
            format!("--mem={}M", self.size.memory.div_ceil(1 << 20)),
            format!("--time={}", self.size.time.div_ceil(60)),
            format!("--signal=B:TERM@{}", self.signal),
        ];
        if kind.gpus > 0 {
            options.push(format!("--gres=gpu:{}", kind.gpus));
        }
        options.extend(kind.partition.iter().map(|partition| format!("--partition={partition}")));
        if !self.exclude.is_empty() {
            options.push(format!("--exclude={}", self.exclude.join(",")));
        }
        options.extend(kind.options.iter().cloned());
        let mut text = "#!/bin/bash\n".to_owned();
        options.iter().for_each(|option| text.push_str(&format!("#SBATCH {option}\n")));
        for (name, value) in &self.environment {
            text.push_str(&format!("export {name}={}\n", quoted(value)));
        }
        if !self.setup.trim().is_empty() {
            text.push_str(self.setup.trim_end());
            text.push('\n');
        }
        // The signal before the end reaches only the process of the script itself.
        let words: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        text.push_str(&format!("exec {}\n", words.join(" ")));
        text
    }
}

/// A word of the shell.
fn quoted(word: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_./=:,+%@".contains(it);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The reason why a call of Slurm gave nothing.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The message: a sentence.
    pub message: String,
    /// True if Slurm has answered, so that the same call would be refused again.
    pub is_final: bool,
}

/// The state of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobState {
    /// The state, such as `PENDING`.
    pub state: String,
    /// The reason for it.
    pub reason: String,
    /// The node, if it has one.
    pub node: String,
}

impl JobState {
    /// True if the job has ended.
    pub fn is_over(&self) -> bool {
        const ENDS: [&str; 10] = [
            "COMPLETED",
            "FAILED",
            "CANCELLED",
            "TIMEOUT",
            "NODE_FAIL",
            "OUT_OF_MEMORY",
            "BOOT_FAIL",
            "DEADLINE",
            "PREEMPTED",
            "REVOKED",
        ];
        ENDS.contains(&self.state.as_str())
    }

    /// True if the job waits for something that does not come by itself.
    pub fn never_starts(&self) -> bool {
        const REASONS: [&str; 12] = [
            "BadConstraints",
            "PartitionConfig",
            "PartitionNodeLimit",
            "PartitionTimeLimit",
            "AccountNotAllowed",
            "QOSNotAllowed",
            "InvalidAccount",
            "InvalidQOS",
            "JobHeldUser",
            "JobHeldAdmin",
            "DependencyNeverSatisfied",
            "PartitionInactive",
        ];
        let held = self.reason.contains("requeued held") || self.reason.contains("requeued_held");
        self.state == "PENDING" && (held || REASONS.contains(&self.reason.as_str()))
    }
}

/// Asks whether Slurm would take such jobs.
///
/// # Errors
/// The reason why it would not.
pub fn probe(script: &Script<'_>) -> Result<(), Refusal> {
    call("sbatch", &["--test-only"], Some(&script.text())).map(drop)
}

/// Submits jobs; returns the number of their array.
///
/// # Errors
/// The reason why Slurm does not take them.
pub fn submit(script: &Script<'_>) -> Result<String, Refusal> {
    let printed = call("sbatch", &["--parsable"], Some(&script.text()))?;
    let number = printed.trim().split(';').next().unwrap_or_default();
    match !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit()) {
        true => Ok(number.to_owned()),
        false => Err(Refusal {
            message: format!("`sbatch` printed `{}` instead of a number", printed.trim()),
            is_final: true,
        }),
    }
}

/// The jobs of a name that Slurm knows: all of them in one call, which ends if nobody waits for it any more.
///
/// # Errors
/// When it does not answer.
pub fn list(name: &str, stop: impl Fn() -> bool) -> Result<BTreeMap<String, JobState>, Refusal> {
    let arguments = ["-h", "-r", "-t", "all", "-n", name, "-o", "%i|%T|%r|%N"];
    let printed = call_unless("squeue", &arguments, None, stop)?;
    let job = |line: &str| {
        let mut fields = line.split('|').map(|field| field.trim().to_owned());
        let id = fields.next()?;
        Some((id, JobState { state: fields.next()?, reason: fields.next()?, node: fields.next()? }))
    };
    Ok(printed.lines().filter_map(job).collect())
}

/// The number of nodes, if Slurm says it.
pub fn nodes() -> Option<usize> {
    let printed = call("sinfo", &["-h", "-N", "-o", "%N"], None).ok()?;
    Some(printed.lines().collect::<BTreeSet<_>>().len())
}

/// The exit code of a job that has ended, if Slurm says it: its own, and the signal that ended it.
pub fn exit_code(id: &str) -> Option<(i32, i32)> {
    let printed = call("scontrol", &["show", "job", "-o", id], None).ok()?;
    let code = printed.split_whitespace().find_map(|word| word.strip_prefix("ExitCode="))?;
    let (code, signal) = code.split_once(':')?;
    Some((code.parse().ok()?, signal.parse().ok()?))
}

/// Cancels all jobs of a name.
///
/// # Errors
/// When Slurm does not answer.
pub fn cancel(name: &str) -> Result<(), Refusal> {
    call("scancel", &["--name", name], None).map(drop)
}

fn call(program: &str, arguments: &[&str], input: Option<&str>) -> Result<String, Refusal> {
    call_unless(program, arguments, input, || false)
}

fn call_unless(
    program: &str,
    arguments: &[&str],
    input: Option<&str>,
    stop: impl Fn() -> bool,
) -> Result<String, Refusal> {
    let lost = |error: io::Error| {
        let message = match error.kind() {
            io::ErrorKind::NotFound => format!(
                "there is no program `{program}` here; this must be a node from which jobs can be submitted"
            ),
            _ => format!("`{program}` cannot be started: {}", cache::store::plain(&error)),
        };
        Refusal { message, is_final: true }
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(lost)?;
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        // If it does not read, it says why.
        let _ = pipe.write_all(input.as_bytes());
    }
    let read = |pipe: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut text = String::new();
            let _ = pipe.map(|mut pipe| pipe.read_to_string(&mut text));
            text
        })
    };
    let out = read(child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let err = read(child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let began = Instant::now();
    let Some(status) =
        wait_unless(&mut child, || began.elapsed() > LIMIT || stop()).map_err(lost)?
    else {
        let _ = child.kill();
        let _ = child.wait();
        let message = format!("`{program}` gave no answer within {} s", began.elapsed().as_secs());
        return Err(Refusal { message, is_final: false });
    };
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    if status.success() {
        return Ok(out);
    }
    let last = err.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.map_or_else(|| format!("{status}"), |line| line.trim().to_owned());
    let is_away = [
        "Unable to contact",
        "Connection refused",
        "timed out",
        "Socket timed out",
        "slurm_receive",
    ];
    let is_final = !is_away.iter().any(|words| err.contains(words));
    Err(Refusal { message: format!("`{program}` says: {last}"), is_final })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_shell_are_quoted() {
        assert_eq!(quoted("/a/b-c.yaml"), "/a/b-c.yaml");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_job_that_waits_for_what_never_comes_is_told_from_one_in_a_queue() {
        let waits = |reason: &str| {
            let (state, node) = ("PENDING".to_owned(), String::new());
            JobState { state, reason: reason.to_owned(), node }.never_starts()
        };
        assert!(waits("PartitionConfig") && waits("launch failed requeued held"));
        assert!(!waits("Resources") && !waits("Priority") && !waits("BeginTime"));
    }
}
