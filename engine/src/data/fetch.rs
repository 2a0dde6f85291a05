//! Downloads data: continues and retries downloads, checks them, and keeps no file that is wrong.

use md5::{Digest as _, Md5};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use ureq::{
    Agent, Body,
    http::{HeaderMap, Response},
};

#[cfg(test)]
mod tests;

/// The address of the training set of IRMAS.
pub const IRMAS_URL: &str =
    "https://zenodo.org/record/1290750/files/IRMAS-TrainingData.zip?download=1";

/// The MD5 of that archive.
pub const IRMAS_MD5: &str = "4fd9f5ed5a18d8e2687e6360b5f60afe";

/// More bytes than that archive or a repacked one takes.
const MAX_ARCHIVE_BYTES: u64 = 8_000_000_000;

const IRMAS_FILE: &str = "IRMAS-TrainingData.zip";

/// The terms that are printed before anything is downloaded.
const IRMAS_TERMS: &str = "\
IRMAS: a dataset for instrument recognition in musical audio signals (training set, 3.2 GB)
licence: CC BY-NC-SA 3.0, for non-commercial use, https://creativecommons.org/licenses/by-nc-sa/3.0/
please cite: J. J. Bosch, J. Janer, F. Fuhrmann, P. Herrera. A Comparison of Sound Segregation
  Techniques for Predominant Instrument Recognition in Musical Audio Signals. ISMIR 2012.";

/// Receives the messages of a download.
pub trait Ui {
    /// Prints a line for the user.
    fn log(&mut self, line: &str);
    /// Reports how many bytes have arrived, and the total if the server gave it.
    fn bytes(&mut self, done: u64, total: Option<u64>);
}

/// The error of a download: a lower-case sentence and the advice to the user.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct FetchError {
    /// The error message.
    pub message: String,
    /// The advice to the user.
    pub help: String,
}

fn failed(message: String, help: &str) -> FetchError {
    FetchError { message, help: help.to_owned() }
}

/// The limits of a download.
#[derive(Clone, Copy, Debug)]
pub struct RetryLimits {
    /// The number of failed tries in a row after which the download ends.
    pub tries: u32,
    /// The pause after the first failed try; it doubles each time.
    pub pause: Duration,
    /// The most bytes that are taken from a server that gives no total.
    pub most: u64,
}

impl Default for RetryLimits {
    fn default() -> Self {
        Self { tries: 6, pause: Duration::from_secs(1), most: MAX_ARCHIVE_BYTES }
    }
}

/// Downloads IRMAS into `dir` after printing its licence.
///
/// # Errors
/// As for [`fetch`].
pub fn fetch_irmas(
    url: &str,
    md5: &str,
    dir: &Path,
    ui: &mut dyn Ui,
) -> Result<PathBuf, FetchError> {
    ui.log(IRMAS_TERMS);
    let file = fetch(url, md5, &dir.join(IRMAS_FILE), RetryLimits::default(), ui)?;
    ui.log(&format!("it is read as it is, without unpacking: path: \"{}\"", dir.display()));
    Ok(file)
}

/// Downloads `url` to `file`, unless the file exists. Bytes go to `file` + `.part` first, which a
/// later call continues; only a file with the right MD5 gets the name `file`.
///
/// # Errors
/// When the server refuses or does not answer, when the disk fails, or when the MD5 is wrong.
pub fn fetch(
    url: &str,
    md5: &str,
    file: &Path,
    limits: RetryLimits,
    ui: &mut dyn Ui,
) -> Result<PathBuf, FetchError> {
    let disk = |error: io::Error| {
        failed(
            format!("cannot write `{}`: {error}", file.display()),
            "check the folder and the disk",
        )
    };
    if file.exists() {
        let found = md5_of(file).map_err(disk)?;
        if found.eq_ignore_ascii_case(md5) {
            ui.log(&format!("`{}` is already here and whole", file.display()));
            return Ok(file.to_owned());
        }
        let message = format!("`{}` is here, but its md5 is {found}, not {md5}", file.display());
        return Err(failed(message, "move it away, then fetch again"));
    }
    fs::create_dir_all(file.parent().unwrap_or(Path::new("."))).map_err(disk)?;
    let mut part = PartialFile::open(file).map_err(disk)?;
    loop {
        let continued = part.length > 0;
        if continued {
            ui.log(&format!("continuing after {} bytes", part.length));
        }
        download(url, &mut part, limits, ui)?;
        let found = md5_of(&part.path).map_err(disk)?;
        if found.eq_ignore_ascii_case(md5) {
            part.finish(file).map_err(disk)?;
            ui.log(&format!("`{}` is whole: md5 {found}", file.display()));
            return Ok(file.to_owned());
        }
        part.remove().map_err(disk)?;
        if !continued {
            let message =
                format!("`{url}` gave a file with md5 {found}, not {md5}; it was not kept");
            return Err(failed(message, "fetch again, or name another source with `--url`"));
        }
        // The bytes of an earlier call may belong to another file.
        ui.log("the continued file is damaged; starting over");
        part = PartialFile::open(file).map_err(disk)?;
    }
}

/// The bytes that have arrived so far.
struct PartialFile {
    path: PathBuf,
    file: File,
    length: u64,
    /// The server's name for this version of the file, kept beside the bytes.
    version: Option<String>,
}

impl PartialFile {
    fn open(target: &Path) -> io::Result<Self> {
        let path = with_suffix(target, ".part");
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        let length = file.seek(io::SeekFrom::End(0))?;
        let version = fs::read_to_string(with_suffix(&path, ".version")).ok();
        Ok(Self { path, file, length, version })
    }

    fn start_over(&mut self, version: Option<String>) -> io::Result<()> {
        self.file.set_len(0)?;
        self.length = 0;
        let note = with_suffix(&self.path, ".version");
        match &version {
            Some(version) => fs::write(note, version)?,
            None => ignore_not_found(fs::remove_file(note))?,
        }
        self.version = version;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn finish(self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, target)?;
        ignore_not_found(fs::remove_file(with_suffix(&self.path, ".version")))
    }

    fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        ignore_not_found(fs::remove_file(with_suffix(&self.path, ".version")))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn ignore_not_found(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The reason why a try ended before the file was complete.
enum TryError {
    /// Another try may help.
    Retry(String),
    /// No further try will help.
    Fatal(FetchError),
}

/// Sends requests until all bytes have arrived.
fn download(
    url: &str,
    part: &mut PartialFile,
    limits: RetryLimits,
    ui: &mut dyn Ui,
) -> Result<(), FetchError> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .build()
        .into();
    // A server without ranges may start over each time, so only a new maximum is progress.
    let (mut fruitless, mut best) = (0, part.length);
    loop {
        let reason = match attempt(&agent, url, part, limits.most, ui) {
            Ok(()) => return Ok(()),
            Err(TryError::Fatal(error)) => return Err(error),
            Err(TryError::Retry(reason)) => reason,
        };
        fruitless = if part.length > best { 1 } else { fruitless + 1 };
        best = best.max(part.length);
        if fruitless >= limits.tries {
            let message = format!("`{url}` does not come: {reason} ({fruitless} tries in a row)");
            let help = "what has come is kept: fetch again to continue, or use `--url`";
            return Err(failed(message, help));
        }
        let pause = limits.pause * (1 << (fruitless - 1).min(5));
        ui.log(&format!("{reason}; trying again in {} s", pause.as_secs_f64()));
        thread::sleep(pause);
    }
}

/// Sends one request and keeps the part of its body that arrives.
fn attempt(
    agent: &Agent,
    url: &str,
    part: &mut PartialFile,
    most: u64,
    ui: &mut dyn Ui,
) -> Result<(), TryError> {
    let mut request = agent.get(url).header("Accept-Encoding", "identity");
    if part.length > 0 {
        request = request.header("Range", format!("bytes={}-", part.length));
        if let Some(version) = &part.version {
            request = request.header("If-Range", version);
        }
    }
    let response = request.call().map_err(|error| match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => TryError::Fatal(failed(
            format!("`{url}` is no address: {error}"),
            "use http:// or https://",
        )),
        error => TryError::Retry(format!("no answer: {error}")),
    })?;
    let status = response.status().as_u16();
    let total = match (status, range(&response)) {
        (200, _) => {
            let version = version(response.headers());
            part.start_over(version).map_err(disk)?;
            response.body().content_length()
        }
        (206, Some((Some(start), total)))
            if start == part.length && same_version(&part.version, response.headers()) =>
        {
            total
        }
        (416, Some((None, Some(total)))) if total == part.length => return Ok(()),
        (206 | 416, _) => {
            part.start_over(None).map_err(disk)?;
            return Err(TryError::Retry("the server sent another part than asked".to_owned()));
        }
        (408 | 425 | 429 | 500..=599, _) => {
            return Err(TryError::Retry(format!("the server answered {status}")));
        }
        _ => {
            let message = format!("the server answered {status} for `{url}`");
            return Err(TryError::Fatal(failed(message, "name another source with `--url`")));
        }
    };
    let mut body = response.into_body().into_reader();
    let mut piece = vec![0; 1 << 16];
    ui.bytes(part.length, total);
    loop {
        match body.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                // Bytes behind the end do not belong to the file.
                let left = total.unwrap_or(most).saturating_sub(part.length);
                let taken = usize::try_from(left).map_or(length, |left| length.min(left));
                part.append(&piece[..taken]).map_err(disk)?;
                if taken < length && total.is_none() {
                    part.start_over(None).map_err(disk)?;
                    let message = format!("`{url}` sends more than {most} bytes and no end");
                    return Err(TryError::Fatal(failed(
                        message,
                        "name another source with `--url`",
                    )));
                }
                if total == Some(part.length) {
                    ui.bytes(part.length, total);
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(TryError::Retry(format!("the connection broke: {error}"))),
        }
        ui.bytes(part.length, total);
    }
    match total {
        Some(total) if part.length < total => Err(TryError::Retry(format!(
            "the connection ended after {} of {total} bytes",
            part.length
        ))),
        _ => Ok(()),
    }
}

fn disk(error: io::Error) -> TryError {
    TryError::Fatal(failed(
        format!("cannot write the download: {error}"),
        "check the folder and the disk",
    ))
}

/// The version for `If-Range`: a strong tag, or else a date.
fn version(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    text("etag").filter(|tag| !tag.starts_with("W/")).or_else(|| text("last-modified"))
}

/// True if a server that ignores `If-Range` still sends the version of which a part has arrived.
fn same_version(own: &Option<String>, headers: &HeaderMap) -> bool {
    match (own, version(headers)) {
        (Some(own), Some(other)) => *own == other,
        _ => true,
    }
}

/// The start and the total of `bytes 5-9/10`; of `bytes */10` only the total.
fn range(response: &Response<Body>) -> Option<(Option<u64>, Option<u64>)> {
    let text = response.headers().get("content-range")?.to_str().ok()?;
    let (span, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let start = span.split_once('-').and_then(|(start, _)| start.parse().ok());
    Some((start, total.parse().ok()))
}

/// The MD5 of a file in hexadecimal digits.
fn md5_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Md5::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => hasher.update(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
