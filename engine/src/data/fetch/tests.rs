//! Tests of downloads from a local server that misbehaves.

use super::*;
use std::{
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// The answer of the server to one request.
#[derive(Clone, Copy)]
enum Answer {
    /// The whole file, or the range that is asked for.
    Serve,
    /// The same, but the connection ends after this many bytes of the body.
    Drop(usize),
    /// The whole file, whatever range is asked for.
    Whole,
    /// The whole file, cut off after this many bytes.
    WholeDrop(usize),
    /// A status without a body.
    Status(u16),
    /// The bytes that are asked for, followed by more without an end.
    Endless,
    /// Bytes without an end and without a total.
    NoLength,
}

struct Server {
    url: String,
    /// The lines of each request that the server received.
    seen: Arc<Mutex<Vec<Vec<String>>>>,
}

/// Serves `content` under the tag `tag`, each request by the next answer; the last one repeats.
fn server(content: Vec<u8>, tag: &'static str, answers: Vec<Answer>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/data.zip", listener.local_addr().expect("an address"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let answer = answers[number.min(answers.len() - 1)];
            let mut stream = stream.expect("a connection");
            let lines = request(&stream);
            // The request is noted before the answer, since a test counts as soon as it has one.
            log.lock().expect("the log").push(lines.clone());
            let _ = respond(&mut stream, &lines, &content, tag, answer);
        }
    });
    Server { url, seen }
}

fn request(stream: &TcpStream) -> Vec<String> {
    let lines = BufReader::new(stream).lines().map(|line| line.unwrap_or_default());
    lines.take_while(|line| !line.is_empty()).map(|line| line.to_ascii_lowercase()).collect()
}

fn respond(
    stream: &mut TcpStream,
    lines: &[String],
    content: &[u8],
    tag: &str,
    answer: Answer,
) -> io::Result<()> {
    let header = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name));
    let asked = header("range: bytes=").and_then(|span| span.strip_suffix('-')?.parse().ok());
    let unchanged = header("if-range: ").is_none_or(|own| own == tag);
    let start: usize = match answer {
        Answer::Serve | Answer::Drop(_) | Answer::Endless if unchanged => asked.unwrap_or(0),
        Answer::Status(status) => {
            return write!(
                stream,
                "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        _ => 0,
    };
    if start >= content.len() {
        let total = content.len();
        return write!(
            stream,
            "HTTP/1.1 416 No\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let body = &content[start..];
    if start > 0 {
        let (last, total) = (content.len() - 1, content.len());
        write!(stream, "HTTP/1.1 206 Part\r\nContent-Range: bytes {start}-{last}/{total}\r\n")?;
    } else {
        write!(stream, "HTTP/1.1 200 OK\r\n")?;
    }
    if let Answer::Endless | Answer::NoLength = answer {
        write!(stream, "ETag: {tag}\r\nConnection: close\r\n\r\n")?;
        stream.write_all(body)?;
        loop {
            // The write fails once the client is gone.
            stream.write_all(&[0; 1 << 16])?;
        }
    }
    write!(stream, "ETag: {tag}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    let length = match answer {
        Answer::Drop(length) | Answer::WholeDrop(length) => length.min(body.len()),
        _ => body.len(),
    };
    stream.write_all(&body[..length])
}

#[derive(Default)]
struct Recorder {
    lines: Vec<String>,
    last: (u64, Option<u64>),
}

impl Ui for Recorder {
    fn log(&mut self, line: &str) {
        self.lines.push(line.to_owned());
    }
    fn bytes(&mut self, done: u64, total: Option<u64>) {
        self.last = (done, total);
    }
}

const QUICK: RetryLimits =
    RetryLimits { tries: 3, pause: Duration::from_millis(1), most: 1_000_000 };

fn content() -> Vec<u8> {
    (0..300_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).expect("a folder");
    let mut names: Vec<_> = names
        .map(|entry| entry.expect("a file").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_server_without_an_end_is_left_where_the_file_ends() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("data.zip");
    // The answer to a range also gives the total.
    let server_of = |answers| server(content(), "\"v1\"", answers);
    let sized = server_of(vec![Answer::Drop(100_000), Answer::Endless]);
    let mut recorder = Recorder::default();
    fetch(&sized.url, &md5(&content()), &file, QUICK, &mut recorder).expect("a file");
    assert_eq!(fs::read(&file).expect("a file"), content());
    fs::remove_file(&file).expect("removed");
    let sizeless = server_of(vec![Answer::NoLength]);
    let error =
        fetch(&sizeless.url, &md5(&content()), &file, QUICK, &mut recorder).expect_err("no end");
    assert!(error.message.contains("more than 1000000 bytes and no end"), "{error}");
    let kept = fs::metadata(dir.path().join("data.zip.part")).map_or(0, |part| part.len());
    assert_eq!(kept, 0, "it is not kept");
}

#[test]
fn a_dropped_download_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("data.zip");
    let server = server(
        content(),
        "\"v1\"",
        vec![Answer::Drop(100_000), Answer::Drop(50_000), Answer::Serve],
    );
    let mut recorder = Recorder::default();
    fetch(&server.url, &md5(&content()), &file, QUICK, &mut recorder).expect("a file");
    assert_eq!(fs::read(&file).expect("the file"), content());
    assert_eq!(names(dir.path()), ["data.zip"]);
    assert_eq!(recorder.last, (300_000, Some(300_000)));
    let seen = server.seen.lock().expect("the log");
    assert!(seen[1].iter().any(|line| line == "if-range: \"v1\""), "{seen:?}");
    assert!(seen[1].iter().any(|line| line.starts_with("range: bytes=")), "{seen:?}");
    assert!(seen.len() == 3, "{seen:?}");
}

#[test]
fn a_later_call_continues_and_a_finished_one_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("data.zip");
    let cut = server(content(), "\"v1\"", vec![Answer::Drop(100_000), Answer::Status(503)]);
    let mut recorder = Recorder::default();
    let error =
        fetch(&cut.url, &md5(&content()), &file, QUICK, &mut recorder).expect_err("no file");
    assert!(error.message.contains("the server answered 503 (3 tries in a row)"), "{error}");
    assert_eq!(names(dir.path()), ["data.zip.part", "data.zip.part.version"]);
    let whole = server(content(), "\"v1\"", vec![Answer::Serve]);
    fetch(&whole.url, &md5(&content()), &file, QUICK, &mut recorder).expect("a file");
    let first = whole.seen.lock().expect("the log")[0].join("\n");
    assert!(first.contains("range: bytes="), "{first}");
    fetch(&whole.url, &md5(&content()), &file, QUICK, &mut recorder).expect("a file");
    assert!(recorder.lines.last().expect("a line").contains("already here and whole"));
    assert_eq!(whole.seen.lock().expect("the log").len(), 1);
}

#[test]
fn a_file_that_changed_meanwhile_is_not_spliced() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("data.zip");
    let old = server(vec![1; 300_000], "\"v1\"", vec![Answer::Drop(100_000), Answer::Status(500)]);
    let mut recorder = Recorder::default();
    fetch(&old.url, &md5(&content()), &file, QUICK, &mut recorder).expect_err("no file");
    let new = server(content(), "\"v2\"", vec![Answer::Serve]);
    fetch(&new.url, &md5(&content()), &file, QUICK, &mut recorder).expect("a file");
    assert_eq!(new.seen.lock().expect("the log").len(), 1);
    assert_eq!(fs::read(&file).expect("the file"), content());
}

#[test]
fn bytes_of_unknown_version_are_dropped_when_the_sum_is_wrong() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("data.zip");
    fs::write(dir.path().join("data.zip.part"), [9; 1000]).expect("a part");
    let server = server(content(), "\"v1\"", vec![Answer::Serve]);
    let mut recorder = Recorder::default();
    fetch(&server.url, &md5(&content()), &file, QUICK, &mut recorder).expect("a file");
    assert!(
        recorder.lines.iter().any(|line| line.contains("starting over")),
        "{:?}",
        recorder.lines
    );
    assert_eq!(server.seen.lock().expect("the log").len(), 2);
}

#[test]
fn a_whole_part_needs_only_its_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("data.zip");
    fs::write(dir.path().join("data.zip.part"), content()).expect("a part");
    let server = server(content(), "\"v1\"", vec![Answer::Serve]);
    fetch(&server.url, &md5(&content()), &file, QUICK, &mut Recorder::default()).expect("a file");
    assert_eq!(names(dir.path()), ["data.zip"]);
}

#[test]
fn a_server_without_ranges_starts_over_and_is_not_asked_for_ever() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("data.zip");
    let mut recorder = Recorder::default();
    let kind = server(content(), "\"v1\"", vec![Answer::WholeDrop(100_000), Answer::Whole]);
    fetch(&kind.url, &md5(&content()), &file, QUICK, &mut recorder).expect("a file");
    assert_eq!(fs::read(&file).expect("the file"), content());
    let file = dir.path().join("other.zip");
    let cruel = server(content(), "\"v1\"", vec![Answer::WholeDrop(100_000)]);
    let error =
        fetch(&cruel.url, &md5(&content()), &file, QUICK, &mut recorder).expect_err("no file");
    assert!(error.message.contains("tries in a row"), "{error}");
}

#[test]
fn refusals_and_wrong_bytes_leave_nothing_wrong() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("data.zip");
    let mut recorder = Recorder::default();
    let none = server(content(), "\"v1\"", vec![Answer::Status(404)]);
    let error =
        fetch(&none.url, &md5(&content()), &file, QUICK, &mut recorder).expect_err("no file");
    assert!(error.message.contains("the server answered 404"), "{error}");
    assert!(error.help.contains("--url"), "{}", error.help);
    assert_eq!(none.seen.lock().expect("the log").len(), 1);
    let wrong = server(vec![1; 1000], "\"v1\"", vec![Answer::Serve]);
    let error =
        fetch(&wrong.url, &md5(&content()), &file, QUICK, &mut recorder).expect_err("no file");
    assert!(error.message.contains("it was not kept"), "{error}");
    assert!(names(dir.path()).is_empty(), "{:?}", names(dir.path()));
    fs::write(&file, b"something else").expect("a file");
    let error =
        fetch(&wrong.url, &md5(&content()), &file, QUICK, &mut recorder).expect_err("no file");
    assert!(error.help.contains("move it away"), "{error}");
    assert_eq!(fs::read(&file).expect("the file"), b"something else");
}

#[test]
fn the_licence_comes_first() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = server(content(), "\"v1\"", vec![Answer::Serve]);
    let mut recorder = Recorder::default();
    let file =
        fetch_irmas(&server.url, &md5(&content()), dir.path(), &mut recorder).expect("a file");
    assert!(file.ends_with("IRMAS-TrainingData.zip"));
    assert!(recorder.lines[0].contains("CC BY-NC-SA 3.0") && recorder.lines[0].contains("cite"));
}
