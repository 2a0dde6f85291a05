//! The forms of the names in a store. Nothing that has another name is ever removed.

use super::objects::ENDINGS;
use crate::Digest;
use std::ffi::OsStr;

/// A file that is being written: `<process>-<number>`.
pub(super) fn is_temporary(name: &str) -> bool {
    name.split_once('-').is_some_and(|(process, count)| is_number(process) && is_number(count))
}

/// A digest and nothing else.
pub(super) fn is_digest(name: &str) -> bool {
    digest(OsStr::new(name), &[]).is_some()
}

/// An object: `<digest>` and one of the endings, in the folder of its first two digits.
pub(super) fn object(folder: &OsStr, name: &OsStr) -> Option<Digest> {
    let digest = digest(name, &ENDINGS)?;
    (*folder == digest.to_string()[..2]).then_some(digest)
}

/// A digest with one of some endings; without an ending where there is none to choose from.
pub(super) fn digest(name: &OsStr, endings: &[&str]) -> Option<Digest> {
    let name = name.to_str()?;
    let stem = match endings {
        [] => name,
        endings => {
            let (stem, ending) = name.split_once('.')?;
            endings.contains(&ending).then_some(stem)?
        }
    };
    // Other spellings of the same number are not ours.
    Digest::from_hex(stem.as_bytes()).filter(|digest| digest.to_string() == stem)
}

/// A file that another version of the engine left half written: `.tmp` and six letters or digits.
pub(super) fn is_unfinished(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(".tmp"));
    random.is_some_and(|it| it.len() == 6 && it.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_their_own_form_are_known() {
        let hex = Digest::of(b"one").to_string();
        let (named, upper) = (format!("{hex}.parquet"), hex.to_uppercase());
        assert!(is_digest(&hex) && !is_digest(&upper) && !is_digest(&hex[1..]));
        assert!(object(OsStr::new(&hex[..2]), OsStr::new(&named)).is_some());
        assert!(object(OsStr::new("zz"), OsStr::new(&named)).is_none());
        for other in [&hex, "song.parquet", &format!("{hex}.parquet.aside-1")] {
            assert!(object(OsStr::new(&hex[..2]), OsStr::new(other)).is_none(), "{other}");
        }
        assert!(is_temporary("12-0") && !is_temporary("2026-11-27") && !is_temporary("12-a"));
        assert!(is_unfinished(OsStr::new(".tmpa1B2c3")));
        for other in [".tmp", ".tmpfile", ".tmp-notes", "tmpa1B2c3"] {
            assert!(!is_unfinished(OsStr::new(other)), "{other}");
        }
    }
}
