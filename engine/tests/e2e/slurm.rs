//! A real Slurm of a few nodes on this machine.

use crate::study::{CommandOutput, Study};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tempfile::TempDir;

/// Two clusters at once would take each other's processors.
static ONE: Mutex<()> = Mutex::new(());

/// A cluster, which ends with the test.
pub struct Slurm {
    folder: TempDir,
    _one: MutexGuard<'static, ()>,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slurm").join(name)
}

impl Slurm {
    /// A cluster with these settings; none where it cannot be started.
    pub fn start(settings: &[&str]) -> Option<Self> {
        Self::start_with(settings, &[], None)
    }

    /// A cluster whose nodes see a folder `shared` each through a file system of its own: locks do not reach other
    /// nodes, and names and lengths are remembered for five seconds.
    #[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
    pub fn start_apart(settings: &[&str]) -> Option<Self> {
        let bindfs = Command::new("bindfs").arg("--version").output();
        if !bindfs.is_ok_and(|it| it.status.success()) || !Path::new("/dev/fuse").exists() {
            eprintln!(
                "SKIPPED: there is no bindfs, by which nodes see a folder each in its own way"
            );
            return None;
        }
        Self::start_with(settings, &["node-setup", "node-teardown"], None)
    }

    /// A cluster on each node of which a script is run first, in the mount namespace of that node and with its name.
    pub fn start_with_setup(settings: &[&str], setup: &str) -> Option<Self> {
        Self::start_with(settings, &[], Some(setup))
    }

    #[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
    fn start_with(settings: &[&str], files: &[&str], setup: Option<&str>) -> Option<Self> {
        let has = |program: &str| {
            let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
            found.is_ok_and(|found| found.status.success())
        };
        if !["slurmctld", "slurmd", "sbatch", "squeue"].into_iter().all(has) {
            eprintln!("SKIPPED: Slurm is not installed (slurmctld, slurmd, slurm-client)");
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: only root can start a Slurm");
            return None;
        }
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::Builder::new().prefix("slurm-").tempdir().expect("a folder");
        for file in files {
            std::fs::copy(script(file), folder.path().join(file)).expect("a script");
        }
        if let Some(setup) = setup {
            let path = folder.path().join("node-setup");
            fs::write(&path, setup).expect("a script");
            fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("a script");
        }
        let started =
            Command::new(script("start-slurm.sh")).arg(folder.path()).args(settings).output();
        let started = started.expect("a shell");
        if !started.status.success() {
            eprintln!(
                "SKIPPED: Slurm does not start here: {}",
                String::from_utf8_lossy(&started.stderr)
            );
            return None;
        }
        Some(Self { folder, _one: one })
    }

    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    /// A command of the engine that finds this cluster.
    pub fn run_command(&self, study: &Study, arguments: &[&str]) -> Command {
        let mut command = study.run_command(&[&["--on", "lab.yaml"], arguments].concat());
        command.env("SLURM_CONF", self.configuration());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, study: &Study) -> CommandOutput {
        study.text_of(&self.run_command(study, &[]).output().expect("the binary starts"))
    }

    /// The folder that nodes see each in its own way, as it really is.
    pub fn shared(&self) -> PathBuf {
        self.folder.path().join("shared-real")
    }

    /// The folder of the cluster.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command that runs the pipeline in the shared folder, on one more machine that sees it in its own way, at this
    /// place below the folder of the cluster: `shared`, as the nodes, or another, with a profile of its own.
    pub fn run_apart(&self, place: &str) -> Command {
        const LOGIN: &str = r#"lab=lab.yaml
            [ "$3" = shared ] || lab=lab-$3.yaml
            mkdir -p "$1/$3"
            bindfs -o attr_timeout=5,entry_timeout=5,negative_timeout=5 "$1/shared-real" "$1/$3" || exit 1
            cd "$1/$3" && "$2" run study.yaml --on "$lab"
            ended=$?; cd /; fusermount3 -u -z "$1/$3" || umount -l "$1/$3"; exit $ended"#;
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-c", LOGIN, "bash"]).arg(self.folder());
        command.arg(env!("CARGO_BIN_EXE_engine")).arg(place);
        command.env("SLURM_CONF", self.configuration());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Returns what a program of Slurm prints.
    pub fn ask(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        let output = command.args(arguments).env("SLURM_CONF", self.configuration()).output();
        String::from_utf8_lossy(&output.expect("the program starts").stdout).into_owned()
    }

    /// Loses a node: `slurmd` or `power`.
    pub fn lose(&self, node: &str, what: &str) {
        let status = Command::new(script("lose-node.sh"))
            .arg(self.folder.path())
            .args([node, what])
            .status();
        assert!(status.expect("a shell").success());
    }

    /// Loses the controller.
    pub fn lose_controller(&self) {
        let pids = std::fs::read_to_string(self.folder.path().join("pids")).expect("numbers");
        let pid = pids.lines().find_map(|line| line.strip_prefix("slurmctld "));
        let pid = pid.and_then(|pid| pid.parse().ok()).and_then(rustix::process::Pid::from_raw);
        let killed =
            rustix::process::kill_process(pid.expect("a number"), rustix::process::Signal::KILL);
        killed.expect("a living process");
    }

    /// The jobs that have not ended: number, state and node.
    pub fn jobs(&self) -> Vec<(String, String, String)> {
        let said = self.ask("squeue", &["-h", "-r", "-o", "%i|%T|%N"]);
        let job = |line: &str| {
            let mut fields = line.split('|').map(str::to_owned);
            Some((fields.next()?, fields.next()?, fields.next()?))
        };
        said.lines().filter_map(job).collect()
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        let _ = Command::new(script("stop-slurm.sh")).arg(self.folder.path()).output();
    }
}
