//! Studies that are made once and kept in `target/tmp/`, and the binary that runs there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Runs a study.
pub const RUN: [&str; 3] = ["run", "study.yaml", "--quiet"];

/// The folder of a study: its pipeline is `study.yaml`, and it has run once.
pub fn study(name: &str, make: impl FnOnce(&Path) -> String) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let pipeline = folder.join("study.yaml");
    if !pipeline.is_file() {
        fs::create_dir_all(folder.join("data")).expect("a folder");
        let text = make(&folder);
        fs::write(&pipeline, text).expect("a pipeline");
    }
    engine(&folder, &RUN);
    // What is left are hits alone; what was written just now is not trusted to be settled.
    thread::sleep(Duration::from_millis(100));
    engine(&folder, &RUN);
    folder
}

/// A whole process, from its start to its end.
pub fn engine(folder: &Path, arguments: &[&str]) {
    let ended = Command::new(env!("CARGO_BIN_EXE_engine"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("ENGINE_STORE")
        .stdout(Stdio::null())
        .status();
    assert!(ended.expect("the binary starts").success());
}
