//! Links to the recordings of clips, relative to the folder of a run.

use crate::escape;
use cache::{Digest, Kind, Record, Store, StoreError};
use std::{
    collections::HashMap,
    fs,
    path::{Component, Path, PathBuf},
};

/// Addresses of recordings by clip.
#[derive(Default)]
pub struct AudioLinks(HashMap<String, String>);

impl AudioLinks {
    /// Finds the clips that are files on this machine. The store's index of files gives the last
    /// known path of each content. Clips from an archive and synthesised clips have no link.
    ///
    /// # Errors
    /// When the list of clips is missing from the store or damaged.
    pub fn find(record: &Record, store: &Store, folder: &Path) -> Result<Self, StoreError> {
        let mut audio_links = Self::default();
        let Ok(folder) = fs::canonicalize(folder) else { return Ok(audio_links) };
        let places = store.files().paths();
        let mut folders = HashMap::new();
        for step in &record.steps {
            let clips = step.shapes.iter().filter(|(_, shape)| shape.kind == Kind::Clips);
            for digest in clips.filter_map(|(port, _)| step.outputs.get(port)) {
                let artifact = store.get(digest)?;
                let column = |name| artifact.as_table().and_then(|table| table.text(name));
                let (Some(ids), Some(audio)) = (column("clip_id"), column("audio")) else {
                    continue;
                };
                for (id, audio) in ids.iter().zip(audio) {
                    let Some(audio) = audio.strip_prefix("file:") else { continue };
                    // A browser plays the part that such a fragment names.
                    let (content, part) = audio.split_at(audio.find('#').unwrap_or(audio.len()));
                    let path = content.parse::<Digest>().ok().and_then(|it| places.get(&it));
                    let address = path.and_then(|path| address(path, &folder, &mut folders));
                    let whole = address.map(|address| (id.clone(), format!("{address}{part}")));
                    audio_links.0.extend(whole);
                }
            }
        }
        Ok(audio_links)
    }

    /// The address of a clip's recording.
    pub fn of(&self, clip: &str) -> Option<&str> {
        self.0.get(clip).map(String::as_str)
    }
}

/// The address of a file, relative to a folder.
fn address(
    path: &Path,
    from: &Path,
    folders: &mut HashMap<PathBuf, Option<String>>,
) -> Option<String> {
    let parent = path.parent()?;
    let folder = folders.entry(parent.to_owned()).or_insert_with(|| {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        between(from, &fs::canonicalize(parent).ok()?)
    });
    let name = escape::path(path.file_name()?.to_str()?);
    folder.as_ref().map(|folder| format!("{folder}{name}"))
}

/// The relative address from one folder to another, which ends in `/` unless it is empty.
fn between(from: &Path, to: &Path) -> Option<String> {
    let [from, to] = [from, to].map(|path| path.components().collect::<Vec<Component<'_>>>());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut way = "../".repeat(from.len() - shared);
    for part in &to[shared..] {
        way.push_str(&escape::path(part.as_os_str().to_str()?));
        way.push('/');
    }
    Some(way)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_between_folders() {
        let way = |from: &str, to: &str| between(Path::new(from), Path::new(to));
        assert_eq!(way("/a/runs/s/1", "/a/my data/x").as_deref(), Some("../../../my%20data/x/"));
        assert_eq!(way("/a", "/a").as_deref(), Some(""));
        assert_eq!(way("/a", "/\"><b").as_deref(), Some("../%22%3E%3Cb/"));
        assert_eq!(way("/a", "/take #1").as_deref(), Some("../take%20%231/"));
    }
}
