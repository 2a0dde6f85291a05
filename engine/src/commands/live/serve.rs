//! Serves the live page to browsers on this machine, and nothing else.

use super::{PAGE, SCRIPT};
use cache::{regular, store::plain};
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tracing::{info, warn};

/// The longest request, and how long it may take to come.
const MAX_REQUEST_BYTES: usize = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(2);
/// More bytes than the page or the script have.
const MAX_FILE_BYTES: u64 = 1 << 28;

/// A server of the page in one folder, until this is dropped.
pub struct Server {
    /// The address at which it listens.
    pub address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to serve the page of a study on the loopback interface, at a port or at any that is free.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn begin(study: &Path, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let (address, is_over) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let (folder, over) = (study.to_owned(), Arc::clone(&is_over));
        let thread = thread::Builder::new().name("serve".to_owned());
        let thread = thread.spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Acquire) {
                    break;
                }
                // A browser that goes away asks again if it still wants the page.
                let _ = stream.and_then(|stream| answer(stream, &folder, address));
            }
        })?;
        Ok(Self { address, is_over, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // The server waits for the next connection; this is the last.
        let woken = TcpStream::connect_timeout(&self.address, PATIENCE).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

/// Answers one request, and closes the connection.
fn answer(mut stream: TcpStream, folder: &Path, address: SocketAddr) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut bytes = Vec::new();
    let request = loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part)?;
        bytes.extend_from_slice(&part[..read]);
        match parse_request(&bytes, address) {
            None if read > 0 && bytes.len() < MAX_REQUEST_BYTES => {}
            parsed => break parsed.unwrap_or(Err("400 Bad Request")),
        }
    };
    let found = request.and_then(|(name, is_whole)| {
        let body =
            regular::read(&folder.join(name), MAX_FILE_BYTES).map_err(|_| "404 Not Found")?;
        Ok((name, body, is_whole))
    });
    let (status, kind, body, is_whole) = match found {
        Ok((PAGE, body, is_whole)) => ("200 OK", "text/html", body, is_whole),
        Ok((_, body, is_whole)) => ("200 OK", "text/javascript", body, is_whole),
        Err(status) => (status, "text/plain", status.as_bytes().to_vec(), true),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(if is_whole { &body } else { &[] })?;
    stream.flush()
}

/// Parses a request: the file, and whether its content is wanted; none while the request is not whole.
fn parse_request(
    bytes: &[u8],
    address: SocketAddr,
) -> Option<Result<(&'static str, bool), &'static str>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some(Err("400 Bad Request")),
        Ok(httparse::Status::Complete(_)) => {}
    }
    let mut hosts = request.headers.iter().filter(|it| it.name.eq_ignore_ascii_case("host"));
    let host = hosts.next().map(|host| String::from_utf8_lossy(host.value));
    let port = address.port();
    // The page of somebody else whose name leads to this machine must not read this one.
    let is_own =
        |host: &str| ["127.0.0.1", "localhost"].iter().any(|own| host == format!("{own}:{port}"));
    if !host.is_some_and(|host| is_own(host.trim())) || hosts.next().is_some() {
        return Some(Err("403 Forbidden"));
    }
    let is_whole = match request.method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return Some(Err("405 Method Not Allowed")),
    };
    let path = request.path.unwrap_or_default();
    Some(match path.split(['?', '#']).next() {
        Some("/" | "/live.html") => Ok((PAGE, is_whole)),
        Some("/live.js") => Ok((SCRIPT, is_whole)),
        _ => Err("404 Not Found"),
    })
}

/// The page of a study that may be served, for as long as this lives.
pub fn serve(study: &Path, port: u16) -> Option<Server> {
    let server = Server::begin(study, port);
    match &server {
        Ok(server) => {
            info!("the page is served at http://{}/ on this machine alone", server.address)
        }
        Err(error) => {
            let why = plain(error);
            warn!("the page is not served: port {port} of 127.0.0.1 cannot be had: {why}");
        }
    }
    server.ok()
}
