//! Artifacts as files that other programs read and write.

use crate::{Artifact, Data, Table, parquet, tensors};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

/// The ending of the file of an artifact.
pub fn extension(artifact: &Artifact) -> &'static str {
    match artifact.data {
        Data::Table(_) => "parquet",
        Data::Tensors(_) => "safetensors",
    }
}

/// Writes an artifact as Parquet, or as safetensors if it holds tensors: the same file that the
/// store keeps, but not synced to the disk.
///
/// # Errors
/// When the file system refuses.
pub fn write(path: &Path, artifact: &Artifact) -> Result<(), String> {
    let io = |fault: std::io::Error| fault.to_string();
    match &artifact.data {
        Data::Table(table) => {
            let file = File::create(path).map_err(io)?;
            let mut file = BufWriter::with_capacity(1 << 20, file);
            parquet::write(&mut file, artifact, table)?;
            file.flush().map_err(io)
        }
        Data::Tensors(tensors) => {
            let info = serde_json::json!({ "kind": artifact.kind, "meta": artifact.meta });
            fs::write(path, tensors::to_bytes(tensors, &info.to_string())?).map_err(io)
        }
    }
}

/// Reads a table that any program wrote as Parquet.
///
/// # Errors
/// When it is no Parquet file, or a column is of a type that an artifact cannot hold.
pub fn read(path: &Path) -> Result<Table, String> {
    parquet::read_foreign(path)
}
