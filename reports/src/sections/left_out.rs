//! Files that sources left out, by folder, extension and reason.

use crate::quantities::count;
use cache::{Kind, Record, Store, StoreError};

/// The files that one source left out.
pub struct LeftOut {
    /// The step.
    pub step: String,
    /// The number of files.
    pub files: usize,
    /// Files with the same folder, extension and reason, in the order of the source.
    pub groups: Vec<Group>,
}

/// Files that were left out for the same reason.
pub struct Group {
    /// The names.
    pub files: Vec<String>,
    /// The reason.
    pub reason: String,
}

/// The largest number of files that are named one by one.
const FEW: usize = 3;

impl Group {
    fn folder_and_ending(name: &str) -> (&str, &str) {
        let (folder, base) = name.rsplit_once('/').unwrap_or((".", name));
        (folder, base.rsplit_once('.').map_or("", |(_, ending)| ending))
    }

    /// Names with the reason: each of a few files, or the folder of all of them.
    pub fn lines(&self) -> Vec<(String, String)> {
        if self.files.len() <= FEW {
            return self.files.iter().map(|file| (file.clone(), self.reason.clone())).collect();
        }
        let (folder, ending) = Self::folder_and_ending(&self.files[0]);
        let of = if ending.is_empty() { String::new() } else { format!(" ending in `.{ending}`") };
        let files = count(self.files.len(), "file");
        vec![(folder.to_owned(), format!("{files}{of}: {}", self.reason))]
    }
}

/// The files that the sources of a run left out, for each source with any.
///
/// # Errors
/// When a list of files is missing from the store or damaged.
pub fn left_out(record: &Record, store: &Store) -> Result<Vec<LeftOut>, StoreError> {
    let mut all = Vec::new();
    for step in &record.steps {
        let lists = step.outputs.iter().filter(|(port, _)| {
            let shape = step.shapes.get(*port);
            shape.is_some_and(|shape| shape.kind == Kind::Skipped && shape.rows != Some(0))
        });
        for (_, digest) in lists {
            let artifact = store.get(digest)?;
            let column = |name| artifact.as_table().and_then(|table| table.text(name));
            let (Some(files), Some(reasons)) = (column("file"), column("reason")) else { continue };
            if !files.is_empty() {
                let (step, groups) = (step.name.clone(), groups(files, reasons));
                all.push(LeftOut { step, files: files.len(), groups });
            }
        }
    }
    Ok(all)
}

fn groups(files: &[String], reasons: &[String]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (file, reason) in files.iter().zip(reasons) {
        let is_same = |group: &&mut Group| {
            group.reason == *reason
                && Group::folder_and_ending(&group.files[0]) == Group::folder_and_ending(file)
        };
        match groups.last_mut().filter(|group| is_same(group)) {
            Some(group) => group.files.push(file.clone()),
            None => groups.push(Group { files: vec![file.clone()], reason: reason.clone() }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_one_sort_are_one_line() {
        let mut files = vec!["a/1.wav".to_owned(), "a/2.wav".to_owned()];
        files.extend((0..5).map(|at| format!("b/{at}.opus")));
        files.push("c.opus".to_owned());
        let reasons: Vec<_> = files.iter().map(|file| file[file.len() - 4..].to_owned()).collect();
        let groups = groups(&files, &reasons);
        let lines: Vec<_> = groups.iter().flat_map(Group::lines).collect();
        let line = |of: &str, says: &str| (of.to_owned(), says.to_owned());
        assert_eq!(
            lines,
            [
                line("a/1.wav", ".wav"),
                line("a/2.wav", ".wav"),
                line("b", "5 files ending in `.opus`: opus"),
                line("c.opus", "opus"),
            ]
        );
    }
}
