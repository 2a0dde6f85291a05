//! The latest run of a study: a symbolic link `latest` to its folder. Where no link is possible, on
//! FAT or where a folder has that name, a file `latest.txt` holds the name of the run instead.

use cache::{atomic_file::write_atomic_unsynced, regular};
use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

const LINK: &str = "latest";
const TEXT: &str = "latest.txt";
/// More bytes than any name of a run has.
const MAX_NAME_BYTES: u64 = 4096;

/// Makes a run the latest of its study: creates a new link and renames it over the old one. Returns
/// a message for the user if no link was possible.
///
/// # Errors
/// When the folder cannot be written.
pub fn point_to(folder: &Path) -> io::Result<Option<String>> {
    let (Some(study), Some(id)) = (folder.parent(), folder.file_name()) else { return Ok(None) };
    let fresh = study.join(format!(".latest-{}", std::process::id()));
    let (link, text) = (study.join(LINK), study.join(TEXT));
    let _ = fs::remove_file(&fresh);
    let linked = std::os::unix::fs::symlink(id, &fresh).and_then(|()| fs::rename(&fresh, &link));
    let Err(error) = linked else {
        return match fs::remove_file(&text) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(None),
        };
    };
    let _ = fs::remove_file(&fresh);
    let mut name = id.as_encoded_bytes().to_vec();
    name.push(b'\n');
    write_atomic_unsynced(&text, &name)?;
    let (link, text) = (link.display(), text.display());
    let why = match error.kind() {
        io::ErrorKind::IsADirectory => format!("`{link}` is a folder"),
        _ => format!("`{link}` cannot be a link here"),
    };
    Ok(Some(format!("{why}, so `{text}` names the latest run")))
}

/// The latest run of a study: the name of its folder.
pub fn of(study: &Path) -> Option<PathBuf> {
    written(study).or_else(|| fs::read_link(study.join(LINK)).ok())
}

/// The folder of the latest run for a path that ends in `latest`; any other path unchanged.
pub fn followed(folder: PathBuf) -> PathBuf {
    let study = folder.parent().filter(|_| folder.file_name().is_some_and(|name| name == LINK));
    match study.and_then(|study| Some(study.join(written(study)?))) {
        Some(run) => run,
        None => folder,
    }
}

/// The name in the file `latest.txt`, if there is a folder of that name beside the file.
fn written(study: &Path) -> Option<PathBuf> {
    let text = String::from_utf8(regular::read(&study.join(TEXT), MAX_NAME_BYTES).ok()?).ok()?;
    let name = PathBuf::from(text.trim_end());
    let mut parts = name.components();
    let is_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    (is_name && study.join(&name).is_dir()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_the_place_of_the_link_hides_no_later_run() {
        let out = tempfile::tempdir().expect("a folder");
        let study = out.path().join("study");
        let run = |id: &str| {
            let folder = study.join(id);
            fs::create_dir_all(&folder).expect("a folder");
            point_to(&folder).expect("writable")
        };
        assert_eq!(of(&study), None);
        assert_eq!(run("1"), None);
        assert_eq!(of(&study), Some("1".into()));
        // A copy through a system without links leaves a folder in place of the link.
        fs::remove_file(study.join(LINK)).expect("a link");
        fs::create_dir(study.join(LINK)).expect("a folder");
        fs::write(study.join(LINK).join("notes"), "mine").expect("a file");
        let said = run("2").expect("something to know");
        assert!(said.contains("latest` is a folder, so"), "{said}");
        assert_eq!(of(&study), Some("2".into()));
        assert_eq!(followed(study.join(LINK)), study.join("2"));
        assert_eq!(fs::read(study.join(LINK).join("notes")).expect("kept"), b"mine");
        fs::remove_dir_all(study.join(LINK)).expect("a folder");
        assert_eq!(run("3"), None);
        assert_eq!(of(&study), Some("3".into()));
        assert!(!study.join(TEXT).exists(), "there are no two truths");
    }

    #[test]
    fn a_text_that_names_no_run_beside_it_is_passed_over() {
        let out = tempfile::tempdir().expect("a folder");
        let study = out.path().join("study");
        fs::create_dir_all(study.join("1")).expect("a folder");
        point_to(&study.join("1")).expect("writable");
        for other in ["", "..", "../study/1", "/", "2", "1/..", "\u{1b}[2J"] {
            fs::write(study.join(TEXT), other).expect("a file");
            assert_eq!(of(&study), Some("1".into()), "{other:?}");
        }
    }
}
