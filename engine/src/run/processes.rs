//! All processes that a program has started, and how they are ended.
//!
//! A process may leave the group of its program, and its parent may end before it. On Linux the
//! engine therefore becomes the parent of such orphans, and finds them by their parents, by their
//! group and session, and by the scratch folder that is named in their environment.

use cache::store::plain;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, waitpid,
};
use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    sync::Once,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The longest time that the system may take to end a killed process.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(2);

/// The number of programs that run.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// A program that runs, with all processes that it starts.
pub struct ProcessTree {
    program: Pid,
    /// The scratch folder of the program, which is in the environment of all that it starts.
    mark: PathBuf,
}

/// One of the programs that run, until it is dropped.
pub struct RunningProgram(());

impl RunningProgram {
    /// Prepares for a program: from now on its orphans become children of the engine.
    pub fn begin() -> Self {
        static SUBREAPER: Once = Once::new();
        RUNNING.fetch_add(1, Ordering::SeqCst);
        SUBREAPER.call_once(|| {
            // Where the system has no such call, process groups have to do.
            #[cfg(target_os = "linux")]
            let _ = rustix::process::set_child_subreaper(Some(getpid()));
        });
        Self(())
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ProcessTree {
    /// The process tree of a program with this scratch folder.
    pub fn new(program: &Child, mark: &Path) -> Self {
        Self { program: Pid::from_child(program), mark: mark.to_owned() }
    }

    /// Ends all living processes of the tree. `others` are children of the engine that do not
    /// belong to it.
    pub fn end(&self, others: &[Pid]) {
        let start = Instant::now();
        loop {
            // The group may be gone already, which is no error.
            let _ = kill_process_group(self.program, Signal::KILL);
            let found = self.members(others);
            for (pid, process) in &found {
                match process.state {
                    b'Z' if process.parent == own_pid() => {
                        let pid = Pid::from_raw(*pid);
                        let _ = waitpid(pid, WaitOptions::NOHANG);
                    }
                    b'Z' | b'X' => {}
                    _ => _ = Pid::from_raw(*pid).map(|pid| kill_process(pid, Signal::KILL)),
                }
            }
            // Between the listing and the end of a process, it may have started another one.
            if found.is_empty() || start.elapsed() > PATIENCE {
                return;
            }
            thread::sleep(PAUSE);
        }
    }

    /// The processes of the tree except the program itself, whose own handle waits for it.
    fn members(&self, others: &[Pid]) -> HashMap<i32, Process> {
        let all = processes();
        let (own, program) = (own_pid(), self.program.as_raw_nonzero().get());
        // The listing has 0 for a session that began outside of this container, which the `Pid` of a
        // system call cannot hold.
        let session = all.get(&own).map_or(0, |engine| engine.session);
        let alone = RUNNING.load(Ordering::SeqCst) == 1;
        let is_other = |pid: i32| others.iter().any(|it| it.as_raw_nonzero().get() == pid);
        let is_own = |pid: i32, process: &Process| {
            process.group == program
                || process.session == program
                || (process.parent == own && alone && process.session != session)
                || self.is_marked(pid)
        };
        let belongs = |pid: i32| {
            let mut seen = HashSet::new();
            let mut line = Vec::new();
            let mut at = pid;
            // Goes from child to parent, up to the engine; a process that ends meanwhile ends the
            // search.
            while at != own && seen.insert(at) {
                if at == program {
                    return true;
                }
                let Some(process) = all.get(&at) else { return false };
                line.push((at, process));
                at = process.parent;
            }
            at == own && line.iter().any(|(pid, process)| is_own(*pid, process))
        };
        let found = all.keys().filter(|&&pid| pid != own && pid != program && !is_other(pid));
        let found: Vec<i32> = found.copied().filter(|&pid| belongs(pid)).collect();
        all.into_iter().filter(|(pid, _)| found.contains(pid)).collect()
    }

    fn is_marked(&self, pid: i32) -> bool {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mark = self.mark.as_os_str().as_bytes();
        environment.windows(mark.len()).any(|piece| piece == mark)
    }
}

/// Waits for a process that was signalled to end, but not for ever.
///
/// # Errors
/// When the process does not end in time.
pub fn wait_for_end(child: &mut Child) -> io::Result<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(PAUSE);
    }
    Err(io::Error::other("it does not end"))
}

fn own_pid() -> i32 {
    getpid().as_raw_nonzero().get()
}

/// The state of a process as the system lists it.
struct Process {
    state: u8,
    parent: i32,
    group: i32,
    session: i32,
}

/// All processes, by their numbers; none where the system does not list them, or lists those outside
/// of this container, whose numbers mean other processes here.
fn processes() -> HashMap<i32, Process> {
    if fs::read_link("/proc/self").ok() != Some(own_pid().to_string().into()) {
        return HashMap::new();
    }
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let of = |pid: i32| Some((pid, process(&fs::read(format!("/proc/{pid}/stat")).ok()?)?));
    numbers.filter_map(of).collect()
}

/// Reads `/proc/PID/stat`. The name of the program is in parentheses and may contain any byte.
fn process(stat: &[u8]) -> Option<Process> {
    let name_ends = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[name_ends + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let mut number = || fields.next()?.parse().ok();
    Some(Process { state, parent: number()?, group: number()?, session: number()? })
}

/// The message for a program whose state cannot be read.
pub fn lost(name: &str, error: &io::Error) -> String {
    format!("lost sight of `{name}`: {}", plain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_programs_may_hold_anything() {
        let read = process(b"12 (a) S 1 (b\n) Z 7 8 9 0 -1").expect("a process");
        assert_eq!((read.state, read.parent, read.group, read.session), (b'Z', 7, 8, 9));
        assert!(process(b"12 (a").is_none() && process(b"12 (a) S 1 x").is_none());
    }
}
