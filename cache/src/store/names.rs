//! The forms of the names in a store. A file with any other name is never removed.

use super::objects::ENDINGS;
use crate::Digest;
use std::ffi::OsStr;

/// True for the name of a file being written: `<process>-<number>`.
pub(super) fn is_temporary(name: &str) -> bool {
    name.split_once('-').is_some_and(|(process, count)| is_number(process) && is_number(count))
}

/// True for a digest and nothing else.
pub(super) fn is_digest(name: &str) -> bool {
    digest(OsStr::new(name), &[]).is_some()
}

/// The digest of an object from its path: `<digest>` and one of the endings, in the folder of its
/// first two digits.
pub(super) fn object(folder: &OsStr, name: &OsStr) -> Option<Digest> {
    let digest = digest(name, &ENDINGS)?;
    (*folder == digest.to_string()[..2]).then_some(digest)
}

/// The digest of a name that has one of the endings, or no ending if `endings` is empty.
pub(super) fn digest(name: &OsStr, endings: &[&str]) -> Option<Digest> {
    let name = name.to_str()?;
    let stem = match endings {
        [] => name,
        endings => {
            let (stem, ending) = name.split_once('.')?;
            endings.contains(&ending).then_some(stem)?
        }
    };
    // A name in another spelling of the digest does not belong to the store.
    Digest::from_hex(stem.as_bytes()).filter(|digest| digest.to_string() == stem)
}

/// True for the name of an unfinished file of another version: `.tmp` and six letters or digits.
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
