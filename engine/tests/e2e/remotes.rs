//! Results from elsewhere: a remote that is read through, and a run in one file.

use crate::{study::Study, tones};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A study that has run and was pushed to a folder, and the folder. Its own store is gone.
fn pushed() -> (Study, tempfile::TempDir, String) {
    let (study, remote) = (tones::three(), tempfile::tempdir().expect("a folder"));
    let said = study.run_with(&["--push", "--remote", shown(remote.path())]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("pushed 6 steps"), "{}", said.stderr);
    let report = fs::read_to_string(study.path(said.stdout.trim())).expect("a report");
    fs::remove_dir_all(study.path(".engine")).expect("a store");
    (study, remote, table_of(&report))
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// The rows of the report's tables: what does not depend on the time of the run.
fn table_of(report: &str) -> String {
    let rows = report.lines().filter(|line| line.starts_with("| 1 |") || line.contains("PCA + K"));
    rows.collect::<Vec<_>>().join("\n")
}

/// The files below a folder whose names end so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
    let files = all.map(walkdir::DirEntry::into_path);
    files.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

#[test]
fn a_remote_restores_a_deleted_store_without_running_anything() {
    let (study, remote, table) = pushed();
    let with = ["--remote", shown(remote.path())];
    let plan = study.engine(&[&["plan", "study.yaml"][..], &with].concat());
    assert!(!plan.stdout.contains("run "), "{}", plan.stdout);
    assert!(!study.path(".engine").exists(), "a plan copies nothing");
    let said = study.run_with(&with);
    assert!(said.stderr.contains("nothing to run: all 6 steps"), "{}", said.stderr);
    let report = fs::read_to_string(study.path(said.stdout.trim())).expect("a report");
    assert_eq!(table_of(&report), table);
    // What was taken is there, and the remote is not needed any more.
    fs::remove_dir_all(remote.path()).expect("a remote");
    assert_eq!(study.ran(), [""; 0]);
}

#[test]
fn two_stores_share_a_remote_and_a_lost_object_comes_back() {
    let (study, remote, _) = pushed();
    let with = ["--remote", shown(remote.path())];
    let said = study.engine(&[&["cache", "pull"][..], &with].concat());
    assert!(said.stdout.starts_with("pulled 6 steps: "), "{}{}", said.stdout, said.stderr);
    let object = files(&study.path(".engine/objects-v1"), ".parquet").remove(0);
    fs::remove_file(&object).expect("an object");
    let said = study.run_with(&with);
    assert!(said.stderr.contains("nothing to run"), "{}", said.stderr);
    assert!(object.is_file());
    let again = study.engine(&[&["cache", "push", "latest"][..], &with].concat());
    assert!(again.stdout.contains(": 0 objects of "), "{}{}", again.stdout, again.stderr);
}

#[test]
fn damage_in_a_remote_is_named_and_made_anew() {
    let (study, remote, table) = pushed();
    for (at, object) in files(remote.path(), ".parquet").iter().enumerate() {
        let mut bytes = fs::read(object).expect("an object");
        match at % 3 {
            0 => bytes.truncate(bytes.len() / 2),
            1 => bytes.iter_mut().skip(4).step_by(5).for_each(|byte| *byte ^= 0x55),
            _ => bytes.clear(),
        }
        fs::write(object, bytes).expect("a damaged object");
    }
    let with = ["--remote", shown(remote.path())];
    let said = study.run_with(&with);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("damaged"), "{}", said.stderr);
    let report = fs::read_to_string(study.path(said.stdout.trim())).expect("a report");
    assert_eq!(table_of(&report), table);
    let whole = study.engine(&["cache", "verify"]);
    assert_eq!(whole.code, 0, "{}{}", whole.stdout, whole.stderr);
}

#[test]
fn a_step_of_another_key_and_one_that_lies_about_its_objects_are_refused() {
    let (study, remote, table) = pushed();
    let steps = files(&remote.path().join("steps-v1"), ".json");
    // One file says what belongs to another, one is no JSON, one names an object that is not there.
    fs::copy(&steps[0], &steps[1]).expect("a step of another key");
    fs::write(&steps[2], "{\"key\":").expect("half a step");
    let text = fs::read_to_string(&steps[3]).expect("a step");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let outputs = json["outputs"].as_object().expect("outputs").values();
    for output in outputs {
        let digest = output["digest"].as_str().expect("a digest");
        files(remote.path(), &format!("{digest}.parquet")).iter().for_each(|object| {
            fs::remove_file(object).expect("an object");
        });
    }
    let said = study.run_with(&["--remote", shown(remote.path())]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let report = fs::read_to_string(study.path(said.stdout.trim())).expect("a report");
    assert_eq!(table_of(&report), table);
}

/// A server that answers every request with what `answer` writes.
fn server(answer: impl Fn(&mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.read(&mut [0; 4096]);
            answer(&mut stream);
        }
    });
    address
}

#[test]
fn a_remote_that_cannot_be_reached_or_that_misbehaves_never_stops_a_run() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one");
    let says = |text: &'static str| server(move |stream| drop(stream.write_all(text.as_bytes())));
    let endless = |stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while stream.write_all(&[b' '; 1 << 16]).is_ok() {}
    };
    for (endpoint, word) in [
        (format!("http://{closed}"), "cannot be read"),
        (says("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"), "status 500"),
        (says("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), "403"),
        (
            says(
                "HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:9/x\r\nContent-Length: 0\r\n\r\n",
            ),
            "status 302",
        ),
        (says("this is not HTTP\r\n\r\n"), "cannot be read"),
        (server(endless), "longer than"),
    ] {
        let study = tones::three();
        let mut command = study.run_command(&["--remote", "s3://lab/engine"]);
        let said = study.text_of(
            &command.env("AWS_ENDPOINT_URL", &endpoint).output().expect("the binary starts"),
        );
        assert_eq!(said.code, 0, "{endpoint}: {}", said.stderr);
        let warned = said.stderr.matches("the remote `s3://lab/engine`").count();
        assert!(warned == 1 && said.stderr.contains(word), "{word}: {}", said.stderr);
        assert!(said.stderr.contains("this run goes on without it"), "{}", said.stderr);
    }
}

/// A server from a registry that speaks S3, where `S3_SERVER` names one (`moto_server`).
struct S3 {
    process: Child,
    endpoint: String,
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn s3() -> Option<S3> {
    let program = std::env::var_os("S3_SERVER")?;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let mut command = Command::new(program);
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a server");
    let server = S3 { process, endpoint: format!("http://127.0.0.1:{port}") };
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        // A bucket is made by one request; this server does not ask who it is from.
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let asked = format!(
                "PUT /lab HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let mut answer = String::new();
            let sent = stream.write_all(asked.as_bytes());
            if sent.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.contains("200")
            {
                return Some(server);
            }
        }
        assert!(Instant::now() < until, "the server does not answer");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn a_bucket_of_a_server_that_speaks_s3_is_a_remote() {
    let Some(server) = s3() else {
        eprintln!("SKIPPED: `S3_SERVER` names no server that speaks S3, such as `moto_server`");
        return;
    };
    let study = tones::three();
    let run = |arguments: &[&str]| {
        let mut command = study.command(arguments);
        command.env("AWS_ENDPOINT_URL", &server.endpoint);
        command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
        study.text_of(&command.output().expect("the binary starts"))
    };
    let remote = ["--remote", "s3://lab/studies/a"];
    study.write("study.yaml", study.text());
    let said = run(&[&["run", "study.yaml", "--push"][..], &remote].concat());
    assert_eq!(said.code, 0, "{}", said.stderr);
    fs::remove_dir_all(study.path(".engine")).expect("a store");
    let said = run(&[&["run", "study.yaml"][..], &remote].concat());
    assert!(said.stderr.contains("nothing to run: all 6 steps"), "{}", said.stderr);
    fs::remove_dir_all(study.path(".engine")).expect("a store");
    let said = run(&[&["cache", "pull"][..], &remote].concat());
    assert!(said.stdout.starts_with("pulled 6 steps"), "{}{}", said.stdout, said.stderr);
}

#[test]
fn a_run_goes_to_a_colleague_in_one_file() {
    let study = tones::three();
    let said = study.run();
    let report = fs::read(study.path(said.stdout.trim())).expect("a report");
    let packed = study.engine(&["pack", "latest", "study.tar.zst"]);
    assert_eq!((packed.code, packed.stdout.trim()), (0, "study.tar.zst"), "{}", packed.stderr);
    let colleague = tones::three();
    fs::copy(study.path("study.tar.zst"), colleague.path("study.tar.zst")).expect("a file");
    let said = colleague.engine(&["unpack", "study.tar.zst"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let folder = colleague.path(said.stdout.trim());
    assert_eq!(fs::read(folder.join("report.md")).expect("a report"), report);
    assert_eq!(colleague.ran(), [""; 0], "the colleague's recordings are the same");
    let proved = colleague.engine(&["cache", "verify", "--recompute", "study.yaml"]);
    assert_eq!(proved.code, 0, "{}{}", proved.stdout, proved.stderr);
    let again = colleague.engine(&["unpack", "study.tar.zst"]);
    assert!(again.code == 0 && again.stderr.contains("is here already"), "{}", again.stderr);
}

#[test]
fn a_damaged_archive_is_not_unpacked() {
    let study = tones::three();
    study.run();
    assert_eq!(study.engine(&["pack", "latest", "study.tar.zst"]).code, 0);
    let whole = fs::read(study.path("study.tar.zst")).expect("a file");
    let colleague = tones::three();
    let unpack = |bytes: &[u8]| {
        colleague.write("damaged.tar.zst", bytes);
        colleague.engine(&["unpack", "damaged.tar.zst"])
    };
    for part in 1..40 {
        let mut damaged = whole.clone();
        damaged[whole.len() * part / 40] ^= 1 << (part % 8);
        let said = unpack(&damaged);
        assert!(said.code == 2 && !colleague.path("runs").exists(), "{part}: {}", said.stderr);
    }
    let cut = unpack(&whole[..whole.len() - 1]);
    assert_eq!(cut.code, 2, "{}", cut.stderr);
    assert_eq!(unpack(&whole).code, 0);
}

/// An archive with one entry.
fn archive(path: &Path, header: &mut tar::Header, name: &[u8], content: &[u8]) {
    let file = fs::File::create(path).expect("a file");
    let mut builder = tar::Builder::new(zstd::Encoder::new(file, 3).expect("a compressor"));
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_size(content.len() as u64);
    header.set_cksum();
    builder.append(header, content).expect("an entry");
    builder.into_inner().expect("an end").finish().expect("a file");
}

#[test]
fn an_archive_that_was_made_to_harm_is_refused() {
    let study = tones::three();
    let file = study.path("bad.tar.zst");
    let refused = |word: &str| {
        let said = study.engine(&["unpack", "bad.tar.zst"]);
        assert!(
            said.code == 2 && said.stderr.contains(word),
            "{word}: {} {}",
            said.code,
            said.stderr
        );
        assert!(!study.path("../escaped").exists() && !study.path("runs").exists());
        assert_eq!(
            files(&study.path(".engine/objects-v1"), "").iter().filter(|it| it.is_file()).count(),
            0
        );
    };
    let mut header = tar::Header::new_gnu();
    for name in [&b"../escaped"[..], b"/tmp/escaped", b"run/../../escaped"] {
        archive(&file, &mut header.clone(), name, b"x");
        refused("no file of a run");
    }
    let mut link = header.clone();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_link_name("/etc/passwd").expect("a link");
    archive(&file, &mut link, b"run/record.json", b"");
    refused("no file of a run");
    archive(&file, &mut header.clone(), b"run/record.json", &vec![b' '; 300 << 20]);
    refused("unfolds to more than it may");
    archive(&file, &mut header, b"run/record.json", b"{}");
    refused("holds no run");
    fs::write(&file, b"not an archive").expect("a file");
    refused("is no archive of a run");
}
