//! The live page over HTTP: on this machine alone, nothing but the page, and no longer than the run.

use crate::study::Study;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Stdio,
};

/// A program that waits for a file.
const WAITING: &str = "name: waits
steps:
  data: { op: matrix, path: data.csv }
  mine: { op: command, command: [sh, wait.sh, \"{in.x}\", \"{out.y}\"], in: { x: data }, outputs: { y: matrix } }
";

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(request.as_bytes()).expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn the_page_of_a_run_is_served_as_long_as_it_goes_on() {
    let study = Study::new().pipeline(WAITING);
    study.write("data.csv", "clip_id,u,v\na,0,1\nb,0.5,1\n");
    study.write("wait.sh", "while [ ! -e go ]; do sleep 0.05; done; cp \"$1\" \"$2\"\n");
    let mut run = study
        .run_command(&["--serve"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a run");
    let mut lines = BufReader::new(run.stderr.take().expect("a pipe")).lines();
    let said = lines.find_map(|line| {
        let line = line.expect("text");
        let (_, rest) = line.split_once("http://")?;
        Some(rest.split('/').next().unwrap_or_default().to_owned())
    });
    let address = said.expect("an address");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let get = |path: &str, host: &str| {
        ask(&address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    };
    let page = get("/", &address);
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("<title>"), "{page}");
    let news = get("/live.js?1", &address.replace("127.0.0.1", "localhost"));
    assert!(news.contains("text/javascript") && news.contains("live({"), "{news}");
    let head = ask(&address, &format!("HEAD /live.html HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"), "{head}");
    // No other file, for no other page, and nothing but reading.
    for path in
        ["/study.yaml", "/../../study.yaml", "//live.html", "/%2e%2e/live.html", "/x/../live.html"]
    {
        assert!(get(path, &address).starts_with("HTTP/1.1 404 "), "{path}");
    }
    assert!(get("/", "evil.example").starts_with("HTTP/1.1 403 "));
    assert!(ask(&address, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 403 "));
    let post = format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
    assert!(ask(&address, &post).starts_with("HTTP/1.1 405 "));
    assert!(ask(&address, "\0\0\r\n\r\n").starts_with("HTTP/1.1 400 "));
    study.write("go", "");
    lines.for_each(drop);
    assert!(run.wait().expect("an end").success());
    assert!(TcpStream::connect(&address).is_err(), "the run has ended");
    assert!(study.path("runs/waits/live.html").is_file());
}

#[test]
fn a_port_that_is_taken_is_said_and_stops_no_run() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let study = Study::new().pipeline(WAITING);
    study.write("data.csv", "clip_id,u,v\na,0,1\nb,0.5,1\n");
    study.write("wait.sh", "cp \"$1\" \"$2\"\n");
    let said = study.run_with(&[&format!("--serve={port}")]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(
        said.stderr.contains(&format!("port {port} of 127.0.0.1 cannot be had")),
        "{}",
        said.stderr
    );
}
