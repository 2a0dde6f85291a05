//! The forms of the names in a store. A file with any other name is never removed.

use super::objects::ENDINGS;
use crate::Digest;
use std::ffi::OsStr;

/// The process that writes a file: `<writer>-<number>`; earlier versions named only its number.
pub(super) fn writer_of_temporary(name: &str) -> Option<&str> {
    let (writer, count) = name.rsplit_once('-')?;
    (is_number(count) && (is_writer(writer) || is_number(writer))).then_some(writer)
}

/// True for the name of a process that uses the store: `<host>-<process>-<random>`.
pub(super) fn is_writer(name: &str) -> bool {
    let mut parts = name.rsplitn(3, '-');
    let (random, process, host) = (parts.next(), parts.next(), parts.next());
    let is_random = |it: &str| it.len() == 16 && it.bytes().all(|it| it.is_ascii_hexdigit());
    let is_host = |it: &str| it.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
    random.is_some_and(is_random) && process.is_some_and(is_number) && host.is_some_and(is_host)
}

/// The host of a process that uses the store.
pub(super) fn host_of(writer: &str) -> &str {
    writer.rsplitn(3, '-').nth(2).unwrap_or_default()
}

/// The process whose journal has this name: `<writer>.jsonl`, or `<writer>.<number>.jsonl`.
pub(super) fn writer_of_journal(name: &str) -> Option<&str> {
    let (writer, rest) = name.split_once('.')?;
    let number = rest.strip_suffix("jsonl")?;
    let is_own = number.is_empty() || number.strip_suffix('.').is_some_and(is_number);
    (is_own && is_writer(writer)).then_some(writer)
}

/// True for the name of what a job of a scheduler has printed: `<array>_<task>.txt`, or `<job>.txt`.
pub(super) fn is_job_log(name: &str) -> bool {
    let stem = name.strip_suffix(".txt");
    stem.is_some_and(|stem| stem.split('_').count() <= 2 && stem.split('_').all(is_number))
}

/// The key of a lease from its name: `<key>.<generation>`.
pub(super) fn lease(name: &OsStr) -> Option<Digest> {
    let (key, generation) = name.to_str()?.split_once('.')?;
    digest(OsStr::new(key), &[]).filter(|_| is_number(generation))
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
        let is_digest = |name: &str| digest(OsStr::new(name), &[]).is_some();
        assert!(is_digest(&hex) && !is_digest(&upper) && !is_digest(&hex[1..]));
        assert!(lease(OsStr::new(&format!("{hex}.12"))).is_some());
        assert!(
            lease(OsStr::new(&format!("{hex}.x"))).is_none() && lease(OsStr::new(&hex)).is_none()
        );
        assert!(object(OsStr::new(&hex[..2]), OsStr::new(&named)).is_some());
        assert!(object(OsStr::new("zz"), OsStr::new(&named)).is_none());
        for other in [&hex, "song.parquet", &format!("{hex}.parquet.aside-1")] {
            assert!(object(OsStr::new(&hex[..2]), OsStr::new(other)).is_none(), "{other}");
        }
        let writer = crate::store::entry::fresh_name();
        assert!(is_writer(&writer) && !is_writer("n1-12") && !is_writer("2026-11-27"), "{writer}");
        let temporary = format!("{writer}-3");
        assert_eq!(writer_of_temporary(&temporary), Some(&*writer));
        assert_eq!(writer_of_temporary("12-0"), Some("12"));
        assert!(
            writer_of_temporary("2026-11-27").is_none() && writer_of_temporary("12-a").is_none()
        );
        for journal in [format!("{writer}.jsonl"), format!("{writer}.2.jsonl")] {
            assert_eq!(writer_of_journal(&journal), Some(&*writer));
        }
        for other in [format!("{writer}.x.jsonl"), "mine.jsonl".to_owned(), writer.clone()] {
            assert!(writer_of_journal(&other).is_none(), "{other}");
        }
        assert!(is_job_log("12_3.txt") && is_job_log("12.txt"));
        assert!(!is_job_log("12_3_4.txt") && !is_job_log("12_.txt") && !is_job_log("notes.txt"));
        assert!(is_unfinished(OsStr::new(".tmpa1B2c3")));
        for other in [".tmp", ".tmpfile", ".tmp-notes", "tmpa1B2c3"] {
            assert!(!is_unfinished(OsStr::new(other)), "{other}");
        }
    }
}
