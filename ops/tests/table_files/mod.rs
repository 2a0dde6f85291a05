//! The op `matrix` on fixtures and on bytes.

use cache::{Digest, FileEntry, Table};
use ops::{Detached, Inputs, OpError, Outputs, find};
use serde_json::Value;
use std::path::PathBuf;

/// A file of the fixtures.
pub fn bytes(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/tables/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs an op on a file of these bytes.
pub fn run(op: &str, name: &str, bytes: &[u8], params: Value) -> Result<Outputs, OpError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a file");
    run_at(op, path, bytes, params)
}

/// Runs an op on a file that is there with these bytes.
pub fn run_at(
    op: &str,
    path: PathBuf,
    bytes: &[u8],
    mut params: Value,
) -> Result<Outputs, OpError> {
    params["path"] = path.to_str().expect("text").into();
    let op = find(op).expect("an op").parse(params).map_err(|error| error.message);
    let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    let files = [FileEntry { name, path, digest, size }];
    op.expect("parameters").run(&Inputs::new().with_files(&files), &Detached::with_seed(0))
}

/// Runs `matrix` on a file of these bytes.
pub fn read(name: &str, bytes: &[u8], params: Value) -> Result<Outputs, OpError> {
    run("matrix", name, bytes, params)
}

/// Runs `matrix` on a fixture.
#[allow(dead_code, reason = "not every test that shares this file needs it")]
pub fn matrix(name: &str, params: Value) -> Result<Outputs, OpError> {
    read(name, &bytes(name), params)
}

/// The message of the error, which has advice.
#[allow(dead_code, reason = "not every test that shares this file needs it")]
pub fn error(result: Result<Outputs, OpError>) -> String {
    let error = result.expect_err("a fault");
    assert!(error.help.is_some(), "no advice: {error}");
    error.message
}

/// A column of text.
#[allow(dead_code, reason = "not every test that shares this file needs it")]
pub fn texts<'a>(table: &'a Table, name: &str) -> &'a [String] {
    table.text(name).expect("a column of text")
}
