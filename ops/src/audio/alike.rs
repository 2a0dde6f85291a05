//! Suggestions of files whose names are similar to a missing one.

use std::{fs, path::Path};
use unicode_normalization::UnicodeNormalization;

/// A hint on a missing path, to be appended to the error: a file that may have been meant.
pub(super) fn hint(folder: &Path, path: &str) -> Option<String> {
    if path.contains('\\') {
        let slashes = path.replace('\\', "/");
        let there = if folder.join(&slashes).is_file() { ", which is there" } else { "" };
        return Some(format!(": between folders stands `/`, so it would be `{slashes}`{there}"));
    }
    let wanted = folder.join(path);
    let name = wanted.file_name()?.to_str()?.to_owned();
    let entries = fs::read_dir(wanted.parent()?).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    let composed = |name: &str| name.nfc().collect::<String>();
    if names.iter().any(|own| composed(own) == composed(&name)) {
        return Some(
            ": a file of that name is there with its accents encoded otherwise (NFC and NFD of Unicode)"
                .to_owned(),
        );
    }
    let lower = |name: &str| composed(name).to_lowercase();
    let other = names.iter().find(|own| lower(own) == lower(&name))?;
    Some(format!(": `{other}` is there, and capitals count"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_slashes_accents_and_capitals_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, "").expect("a file");
        };
        write("bell/a.wav");
        write("cafe\u{301}.wav");
        write("Take.WAV");
        let hint = |path: &str| hint(folder.path(), path).unwrap_or_default();
        assert!(hint("bell\\a.wav").contains("`bell/a.wav`, which is there"));
        assert!(hint("bell\\b.wav").ends_with("`bell/b.wav`"));
        assert!(hint("caf\u{e9}.wav").contains("NFC and NFD"));
        assert!(hint("take.wav").contains("`Take.WAV` is there"));
        assert_eq!(hint("other.wav"), "");
        assert_eq!(hint("none/other.wav"), "");
    }
}
