//! Damaged tables and archives: an error or a table, without a panic that anybody sees, and in little
//! memory.

mod peak;
mod table_files;

use peak::peak;
use serde_json::json;
use std::{
    io::{Cursor, Write},
    panic::{set_hook, take_hook},
    sync::atomic::{AtomicUsize, Ordering},
};
use table_files::{bytes, read, run, run_at};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Panics that were printed: whoever catches one keeps it from here.
static PRINTED: AtomicUsize = AtomicUsize::new(0);

/// Numbers that look random and are the same everywhere.
struct Draws(u64);

impl Draws {
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % most.max(1) as u64) as usize
    }

    /// A damaged copy: cut, overwritten, or with a piece of itself in another place.
    fn damaged(&mut self, whole: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        for _ in 0..=self.below(3) {
            // Headers and footers decide most.
            let span = bytes.len().min(400);
            let at = match self.below(3) {
                0 => self.below(span),
                1 => bytes.len() - span + self.below(span),
                _ => self.below(bytes.len()),
            };
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => {
                    let to = self.below(bytes.len());
                    let piece = bytes[at..bytes.len().min(at + 16)].to_vec();
                    bytes.splice(to..to, piece);
                }
                2 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                3 if !bytes.is_empty() => bytes[at] = [0, 0x7f, 0x80, 0xff][self.below(4)],
                _ if !bytes.is_empty() => bytes[at] = self.below(256) as u8,
                _ => {}
            }
            if bytes.is_empty() {
                break;
            }
        }
        bytes
    }
}

fn zip(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        archive.start_file(*name, options).expect("an entry");
        archive.write_all(bytes).expect("its bytes");
    }
    archive.finish().expect("an archive").into_inner()
}

fn wav(frames: u32) -> Vec<u8> {
    let data = frames * 2;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x22\x56\0\0\x44\xac\0\0\x02\0\x10\0data");
    bytes.extend(data.to_le_bytes());
    bytes.extend((0..frames).flat_map(|at| ((at % 200) as i16 * 50).to_le_bytes()));
    bytes
}

/// One test, since what it measures belongs to the process.
#[test]
fn damaged_tables_are_errors_and_take_little_memory() {
    let usual = take_hook();
    set_hook(Box::new(move |info| {
        PRINTED.fetch_add(1, Ordering::SeqCst);
        usual(info);
    }));
    let mut draws = Draws(7);
    let mut tables: Vec<(String, Vec<u8>)> = (0..100)
        .map(|at| match at {
            ..60 => format!("{at:02}.parquet"),
            60..75 => format!("{at}.csv"),
            _ => format!("{at}.npy"),
        })
        .map(|name| (name.clone(), bytes(&name)))
        .collect();
    for name in [
        "index_named.parquet",
        "missing.parquet",
        "unfolds.parquet",
        "wide.parquet",
        "thrift.parquet",
        "shared.parquet",
        "shared_long.parquet",
    ] {
        tables.push((name.to_owned(), bytes(name)));
    }
    for (name, whole) in &tables {
        let _ = read(name, whole, json!({}));
        for _ in 0..40 {
            let _ = read(name, &draws.damaged(whole), json!({}));
        }
    }
    let names = ["cel/[cel][cla]0001__1.wav", "pia/[pia][cla]0002__1.wav"];
    let archive = zip(&names.map(|name| (name, wav(400))));
    assert!(
        run("irmas", "a.zip", &archive, json!({})).is_ok(),
        "the archive is read when it is whole"
    );
    let list = b"path,label,group\na.wav,x,1\nb.wav,\"y\",2\n";
    for _ in 0..1500 {
        let _ = run("manifest", "list.csv", &draws.damaged(list), json!({}));
    }
    // An archive is opened only once its time stamp has settled: all are written first.
    let folder = tempfile::tempdir().expect("a folder");
    let archives: Vec<Vec<u8>> = (0..2000).map(|_| draws.damaged(&archive)).collect();
    let path = |at: usize| folder.path().join(format!("{at}.zip"));
    for (at, bytes) in archives.iter().enumerate() {
        std::fs::write(path(at), bytes).expect("a file");
    }
    for (at, bytes) in archives.iter().enumerate() {
        let _ = run_at("irmas", path(at), bytes, json!({}));
    }
    assert_eq!(PRINTED.load(Ordering::SeqCst), 0, "panics were printed");
    // Zero where the system does not tell.
    let mebibytes = peak().unwrap_or(0) >> 20;
    assert!(mebibytes < 500, "{mebibytes} MiB of memory");

    // What was made to fill a memory: much in one entry, and entries that lie over each other.
    let bomb = zip(&[(names[0], vec![0; 300 << 20]), (names[1], wav(400))]);
    let error = run("irmas", "a.zip", &bomb, json!({})).expect_err("a bomb").message;
    assert!(error.contains("unfolds to more than it may"), "{error}");
    let over = overlapping(&archive, names);
    let error = run("irmas", "a.zip", &over, json!({})).expect_err("a bomb").message;
    assert!(error.contains("lie over each other"), "{error}");
    assert_eq!(PRINTED.load(Ordering::SeqCst), 0, "panics were printed");
}

/// The archive with both names for its first entry.
fn overlapping(archive: &[u8], names: [&str; 2]) -> Vec<u8> {
    let central = b"PK\x01\x02";
    let mut starts = (0..archive.len() - 4).filter(|&at| &archive[at..at + 4] == central);
    let (first, second) = (starts.next().expect("an entry"), starts.next().expect("another"));
    let mut over = archive.to_vec();
    // Sizes, checksum and place of the first, under the name of the second.
    over.copy_within(first..first + 46, second);
    assert_eq!(names[0].len(), names[1].len());
    over
}
