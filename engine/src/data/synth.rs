//! Writes the synthetic corpus as files in the layout of IRMAS.

use ops::audio::{corpus, synth::MAX_CLIPS};
use rayon::prelude::*;
use std::{
    fs, io,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

/// Writes `clips_per_class` recordings of each instrument below `dir`. Each file gets its name when
/// it is complete. `progress` receives the number of files written and the total.
///
/// # Errors
/// When the number is out of range, when `dir` is not empty, or when it cannot be written; the
/// message gives the path.
pub fn write_corpus(
    dir: &Path,
    clips_per_class: u32,
    seed: u64,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<(), String> {
    let at = |path: &Path, error: io::Error| format!("cannot write `{}`: {error}", path.display());
    if !(1..=MAX_CLIPS).contains(&clips_per_class) {
        return Err(format!("{clips_per_class} clips per class is not 1 to {MAX_CLIPS}"));
    }
    fs::create_dir_all(dir).map_err(|error| at(dir, error))?;
    if fs::read_dir(dir).map_err(|error| at(dir, error))?.next().is_some() {
        return Err(format!("`{}` is not empty: name a new folder", dir.display()));
    }
    let recordings: Vec<_> = corpus::recordings(seed, clips_per_class).collect();
    for recording in &recordings {
        if let Some(folder) = dir.join(&recording.name).parent() {
            fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
        }
    }
    let done = AtomicU64::new(0);
    recordings.par_iter().try_for_each(|recording| {
        let path = dir.join(&recording.name);
        let part = path.with_extension("wav.part");
        let written = fs::write(&part, recording.wav(seed)).and_then(|()| fs::rename(&part, &path));
        written.map_err(|error| at(&path, error))?;
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, recordings.len() as u64);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_layout_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let dir = dir.path().join("corpus");
        write_corpus(&dir, 2, 7, &|_, _| ()).expect("a corpus");
        let mut names: Vec<_> = fs::read_dir(dir.join("voi"))
            .expect("a class")
            .map(|entry| entry.expect("a file").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        assert!(names[0].starts_with("[voi][") && names[0].ends_with("0001__1.wav"), "{names:?}");
        assert!(names[1].ends_with("0001__2.wav") && names.len() == 2, "{names:?}");
        let wav = hound::WavReader::open(dir.join("voi").join(&names[0])).expect("a WAV file");
        assert_eq!(
            (wav.spec().sample_rate, wav.spec().channels, wav.duration()),
            (44_100, 2, 132_300)
        );
        let again = write_corpus(&dir, 2, 7, &|_, _| ()).expect_err("a full folder");
        assert!(again.contains("is not empty"), "{again}");
    }
}
