//! Recordings with an unsupported extension, which are reported rather than ignored.

use super::{
    clips::Fault,
    formats::{AUDIO, KNOWN},
};
use crate::OpError;
use cache::FileEntry;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::LazyLock,
};

/// The extensions of all recordings, supported or not.
pub fn endings() -> &'static [&'static str] {
    static ALL: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let known = KNOWN.iter().map(|(ending, _)| *ending);
        let all: BTreeSet<&str> = AUDIO.iter().copied().chain(known).collect();
        all.into_iter().collect()
    });
    &ALL
}

/// The extension of a name in lower case, without the dot.
fn ending(name: &str) -> String {
    Path::new(name).extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// The diagnostic for a recording whose extension is not in `read`; `None` if it is.
pub fn fault(name: &str, read: &[&str]) -> Option<Fault> {
    const CONVERT: &str = "convert it to WAV or FLAC: `ffmpeg -i IN OUT.flac`";
    let ending = ending(name);
    if read.contains(&ending.as_str()) {
        return None;
    }
    let advice = KNOWN.iter().find(|(known, _)| *known == ending).map_or(CONVERT, |known| known.1);
    Some(Fault::new(name, format!("files ending in `.{ending}` are not read: {advice}"), advice))
}

/// Separates the recordings that can be read from the others.
pub fn partition<'f>(
    files: impl Iterator<Item = &'f FileEntry>,
    read: &[&str],
) -> (Vec<&'f FileEntry>, Vec<Fault>) {
    let (mut fit, mut unfit) = (Vec::new(), Vec::new());
    for file in files {
        match fault(&file.name, read) {
            None => fit.push(file),
            Some(fault) => unfit.push(fault),
        }
    }
    (fit, unfit)
}

/// Refuses a collection in which all recordings of a class have unsupported extensions.
///
/// # Errors
/// Names each such class, with the extensions of its files.
pub fn check(
    unsupported: &[Fault],
    label_of: impl Fn(&str) -> Option<String>,
    labels: &BTreeSet<String>,
) -> Result<(), OpError> {
    let mut lost: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    let mut advice = BTreeSet::new();
    for fault in unsupported {
        if let Some(label) = label_of(&fault.file).filter(|label| !labels.contains(label)) {
            *lost.entry(label).or_default().entry(ending(&fault.file)).or_default() += 1;
            advice.insert(fault.help);
        }
    }
    if lost.is_empty() {
        return Ok(());
    }
    let line = |(label, endings): (&String, &BTreeMap<String, usize>)| {
        let endings: Vec<_> =
            endings.iter().map(|(ending, files)| format!("{files} `.{ending}`")).collect();
        format!("\n  `{label}`: {}", endings.join(", "))
    };
    let classes: String = lost.iter().map(line).collect();
    let message = match lost.len() {
        1 => "no recording of one class can be read".to_owned(),
        many => format!("no recording of {many} classes can be read"),
    };
    let mut help: Vec<&str> = advice.into_iter().collect();
    help.push("`on_error: skip` leaves them out");
    Err(OpError::data(format!("{message}, by the endings of their files{classes}"))
        .help(help.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_is_read_or_explained() {
        assert!(endings().len() > 40 && endings().iter().all(|it| *it == it.to_lowercase()));
        assert_eq!(fault("a/b.WAV", &["wav"]), None);
        for name in ["x.OPUS", "a.b/x.wma", "x.mid"] {
            let fault = fault(name, AUDIO).expect(name);
            assert!(fault.reason.contains("are not read") && !fault.help.is_empty());
        }
    }

    #[test]
    fn a_class_that_vanishes_is_an_error() {
        let unsupported = ["bell/a.opus", "bell/b.opus", "bell/c.wma", "drone/d.opus", "e.opus"];
        let unsupported: Vec<_> =
            unsupported.iter().map(|name| fault(name, AUDIO).expect("unread")).collect();
        let label_of = |name: &str| name.split_once('/').map(|(label, _)| label.to_owned());
        let of = |labels: &[&str]| labels.iter().map(|&label| label.to_owned()).collect();
        assert!(check(&unsupported, label_of, &of(&["bell", "drone"])).is_ok());
        let error = check(&unsupported, label_of, &of(&["drone"])).expect_err("no bell");
        assert!(error.message.ends_with("\n  `bell`: 2 `.opus`, 1 `.wma`"), "{error}");
        let error = check(&unsupported, label_of, &of(&[])).expect_err("neither");
        assert!(error.message.starts_with("no recording of 2 classes"), "{error}");
    }
}
