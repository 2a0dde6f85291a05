//! The live page over HTTP: on this machine alone, nothing but the page, and no longer than the run.

use crate::{study::Study, tones};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A program that waits for a file.
const WAITING: &str = "name: waits
steps:
  data: { op: matrix, path: data.csv }
  mine: { op: command, command: [sh, wait.sh, \"{in.x}\", \"{out.y}\"], in: { x: data }, outputs: { y: matrix } }
";

/// Starts a command that serves a page; its address, and the lines that it says later.
fn start(command: &mut Command) -> (Child, String, impl Iterator<Item = String> + use<>) {
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(run.stderr.take().expect("a pipe")).lines();
    let mut lines = lines.map(|line| line.expect("text"));
    let said = lines.find_map(|line| {
        let (_, rest) = line.split_once("http://")?;
        Some(rest.split('/').next().unwrap_or_default().to_owned())
    });
    let address = said.expect("an address");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    (run, address, lines)
}

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
    let (mut run, address, lines) = start(&mut study.run_command(&["--serve"]));
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
fn a_watch_serves_its_page_from_run_to_run() {
    let study = tones::three();
    study.write("study.yaml", study.text());
    let watch = &mut study.command(&["watch", "study.yaml", "--threads", "1", "--serve"]);
    let (mut watch, address, lines) = start(watch);
    // Nobody who watches is stopped by a pipe that is full.
    thread::spawn(move || lines.for_each(drop));
    let get = format!("GET /live.js HTTP/1.1\r\nHost: {address}\r\n\r\n");
    // Only a page that never comes waits so long.
    let until = |wanted: &dyn Fn(&str) -> bool| {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(120) {
            let news = ask(&address, &get);
            if news.contains("\"status\":\"done\"") && wanted(&news) {
                return news;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("no such page: {}", ask(&address, &get))
    };
    let id = |news: &str| news.split("\"id\":\"").nth(1).map(|rest| rest[..21].to_owned());
    let first = until(&|news| id(news).is_some());
    study.write("study.yaml", study.text().replace("clusters: 3", "clusters: 4"));
    until(&|news| id(news) != id(&first));
    kill_process(Pid::from_child(&watch), Signal::INT).expect("a living process");
    assert!(watch.wait().expect("it ends").success());
    assert!(TcpStream::connect(&address).is_err(), "the watch has ended");
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
