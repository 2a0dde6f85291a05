//! The browser of this machine, and pages that tell a test what came of them.

use std::{
    env,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

/// The browser, if there is one; if not, says what was not looked at.
#[expect(clippy::print_stderr, reason = "says that it did not look")]
pub fn find(otherwise: &str) -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let paths = env::var_os("PATH")?;
    let found = env::split_paths(&paths).flat_map(|folder| names.map(|name| folder.join(name)));
    let browser = found.into_iter().find(|path| path.is_file());
    if browser.is_none() {
        eprintln!("\n*** SKIPPED, NOTHING CHECKED: there is no chromium here: {otherwise} ***\n");
    }
    browser
}

/// A page that is open until this is dropped, at the pace of the clock.
pub struct Page {
    listener: TcpListener,
    browser: Child,
    _profile: tempfile::TempDir,
}

impl Page {
    /// Writes a page into a folder, and opens it. It is made for the address to which its scripts send what they
    /// have to tell, as the body of a request.
    pub fn open(browser: &Path, folder: &Path, page: impl FnOnce(&str) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}/", listener.local_addr().expect("an address"));
        listener.set_nonblocking(true).expect("no waiting");
        let file = folder.join("report.html");
        std::fs::write(&file, page(&address)).expect("written");
        let profile = tempfile::tempdir().expect("a folder");
        let browser = Command::new(browser)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio"])
            .args(["--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("file://{}", file.display()))
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the browser starts");
        Self { listener, browser, _profile: profile }
    }

    /// Waits for the next message of its scripts; `None` if they send nothing within a minute.
    pub fn receive(&self) -> Option<String> {
        let end = Instant::now() + Duration::from_secs(60);
        let poll = || (Instant::now() < end).then(|| request(&self.listener));
        std::iter::from_fn(poll).flatten().next()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.browser.kill().and_then(|()| self.browser.wait());
    }
}

/// The body of the request that waits, if one does.
fn request(listener: &TcpListener) -> Option<String> {
    let Ok((mut stream, _)) = listener.accept() else {
        std::thread::sleep(Duration::from_millis(20));
        return None;
    };
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut piece).ok()?;
        bytes.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let wanted = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        if wanted.is_some_and(|wanted: usize| body.len() >= wanted) {
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()?;
            return Some(body.to_owned());
        }
        if length == 0 {
            return None;
        }
    }
}
