//! Finds shared libraries that an op uses where a machine has them.

use ops::SharedLibrary;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The folders in which systems keep their libraries.
const USUAL: [&str; 4] = ["/usr/local/lib", "/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu"];

/// The file of a library: the one that its variable names; that of its Python package in the active virtual or conda
/// environment; or one in a folder of the system. None if there is none.
pub fn find(library: &SharedLibrary) -> Option<PathBuf> {
    if let Some(path) = env::var_os(library.variable).filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let environments = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(env::var_os);
    let of_python = environments.flat_map(|folder| {
        let versions = entries(&Path::new(&folder).join("lib"), "python3");
        versions.into_iter().map(|it| it.join("site-packages").join(library.in_python))
    });
    // A version may stand behind the ending, and on a Mac before it.
    let (start, ending) =
        (env::consts::DLL_PREFIX.to_owned() + library.name, env::consts::DLL_SUFFIX);
    let is_it = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let rest = name.strip_prefix(&start).unwrap_or_default();
        rest.starts_with('.') && rest.contains(ending)
    };
    let mut folders = of_python.chain(USUAL.map(PathBuf::from));
    folders.find_map(|folder| entries(&folder, &start).into_iter().find(is_it))
}

/// The entries of a folder whose names begin so, sorted.
fn entries(folder: &Path, start: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let begins_so = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
    let mut found: Vec<PathBuf> = begins_so.map(|entry| entry.path()).collect();
    found.sort_unstable();
    found
}
