//! Environments of programs: what stands before their words so that they run in one.

use cache::{regular, store::plain};
use ops::{OpError, ProgramEnvironment};
use std::{env, io, path::Path};

/// The longest file that describes an environment.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The words before those of a program that runs in an environment, and whose files lie in `scratch`.
///
/// # Errors
/// When the file of the environment cannot be read, or does not name it.
pub fn before(
    within: &ProgramEnvironment<'_>,
    scratch: &Path,
    on_gpu: bool,
) -> Result<Vec<String>, OpError> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    Ok(match within {
        // An environment apart from that of any project, which uv keeps for the next time.
        ProgramEnvironment::Python(file) => words(&[
            "uv",
            "run",
            "--quiet",
            "--no-project",
            "--isolated",
            "--with-requirements",
            file,
            "--",
        ]),
        ProgramEnvironment::Conda(file) => {
            let name = named(file)?;
            words(&["conda", "run", "--no-capture-output", "--name", &name])
        }
        ProgramEnvironment::Container(image) => {
            let mut all = words(&["apptainer", "exec"]);
            all.extend(on_gpu.then(|| "--nv".to_owned()));
            let here = env::current_dir().unwrap_or_default();
            for folder in [here.as_path(), scratch] {
                all.extend(["--bind".to_owned(), folder.display().to_string()]);
            }
            all.extend(["--pwd".to_owned(), here.display().to_string(), (*image).to_owned()]);
            all
        }
    })
}

/// The error for an environment whose program could not be started.
pub fn missing(within: &ProgramEnvironment<'_>, error: &io::Error) -> OpError {
    let (tool, what, help) = match within {
        ProgramEnvironment::Python(_) => ("uv", "python", "`pip install uv` installs it"),
        ProgramEnvironment::Conda(_) => ("conda", "conda", "Miniforge and Miniconda bring it"),
        ProgramEnvironment::Container(_) => {
            ("apptainer", "container", "on many clusters `module load apptainer` does")
        }
    };
    let why = match error.kind() {
        io::ErrorKind::NotFound => "which is not on PATH".to_owned(),
        _ => format!("which cannot be started: {}", plain(error)),
    };
    OpError::failure(format!("`environment: {{ {what}: … }}` takes `{tool}`, {why}")).help(help)
}

/// The name in the file of a conda environment.
fn named(file: &str) -> Result<String, OpError> {
    let error = |why: String| {
        OpError::failure(format!("`{file}` {why}")).help(
            "`conda env create -f FILE` makes the environment that the line `name:` of FILE names",
        )
    };
    let bytes = regular::read(Path::new(file), MAX_FILE_BYTES)
        .map_err(|why| error(format!("cannot be read: {}", plain(&why))))?;
    let text = String::from_utf8_lossy(&bytes);
    let name = text.lines().find_map(|line| line.strip_prefix("name:"));
    let name =
        name.map(|name| name.split(" #").next().unwrap_or(name).trim().trim_matches(['"', '\'']));
    match name.filter(|name| !name.is_empty() && !name.starts_with('-')) {
        Some(name) => Ok(name.to_owned()),
        None => Err(error("has no line `name:`".to_owned())),
    }
}
