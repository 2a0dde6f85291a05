//! Objects: files named by the digest of their content.

use super::{OBJECTS, Object, Store, StoreError, TMP};
use crate::{Artifact, Data, Digest, Kind, Meta, file_version::FileVersion, parquet, tensors};
use rustix::fs::OFlags;
use serde::Deserialize;
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};
use tracing::debug_span;

/// The file name extensions of objects: tables, tensors.
pub(super) const ENDINGS: [&str; 2] = ["parquet", "safetensors"];

impl Store {
    /// Keeps an artifact under its digest. An existing object is replaced only if it is damaged,
    /// since reading is faster than writing.
    ///
    /// # Errors
    /// When the file system refuses, for instance because the disk is full.
    pub fn put(&self, artifact: &Artifact) -> Result<Object, StoreError> {
        let looked = SystemTime::now();
        let digest = debug_span!("digest").in_scope(|| artifact.digest());
        let _writing = debug_span!("put", digest = %digest.short()).entered();
        let path = self.path_for(&digest, ending(artifact));
        let folder = path.parent().expect("an object lies in a folder");
        let io = |error| self.refused("write", &path, error);
        let object = |stat: FileVersion| Object {
            digest,
            shape: artifact.shape(),
            bytes: stat.size,
            // With a coarse clock, a file written just now cannot be told from one written later.
            seen: Some(stat.on_any_host())
                .filter(|stat| !stat.is_coarse() || stat.is_settled(looked)),
            warning: None,
        };
        if let Ok(stat) = self.version_of_intact(&digest, &path) {
            // The process that wrote it may have been killed before the folder was synced.
            self.disk.sync_dir(folder).map_err(io)?;
            return Ok(object(stat));
        }
        let place = self.disk.place_or_make(&path).map_err(io)?;
        let mut file = self.disk.temporary(&self.root.join(TMP)).map_err(io)?;
        match &artifact.data {
            Data::Table(table) => {
                let mut buffered = BufWriter::with_capacity(1 << 20, &mut file);
                let written = parquet::write(&mut buffered, artifact, table);
                let flushed = buffered.flush();
                drop(buffered);
                // The error of the disk is clearer than the error of the format.
                file.refusal().map_err(io)?;
                written.map_err(StoreError::Format)?;
                flushed.map_err(io)?;
            }
            Data::Tensors(tensors) => {
                let info = serde_json::json!({ "kind": artifact.kind, "meta": artifact.meta });
                let bytes =
                    tensors::to_bytes(tensors, &info.to_string()).map_err(StoreError::Format)?;
                file.write_all(&bytes).map_err(io)?;
            }
        }
        Ok(object(FileVersion::of(&file.persist_at(&place, &path).map_err(io)?)))
    }

    /// Reads an artifact and checks its digest. A damaged object is removed from the store, so that
    /// its step runs again, and so is anything else at its path.
    ///
    /// # Errors
    /// When the object is missing or damaged.
    pub fn get(&self, digest: &Digest) -> Result<Artifact, StoreError> {
        let Some(path) = self.object_path(digest) else {
            return Err(if self.root.is_dir() {
                StoreError::Missing(*digest)
            } else {
                StoreError::Gone(self.root.clone())
            });
        };
        let _reading = debug_span!("get", digest = %digest.short()).entered();
        let read = self.read(digest, &path);
        if matches!(read, Err(StoreError::Damaged { .. })) {
            // If it cannot be removed, the next read finds it damaged again.
            let _ = self.disk.clear(&path);
        }
        read
    }

    /// Reads an object only to check that it is intact; returns the version of its file.
    ///
    /// # Errors
    /// When the object is missing or damaged. It is not removed.
    pub fn verify(&self, digest: &Digest) -> Result<FileVersion, StoreError> {
        let path = self.object_path(digest).ok_or(StoreError::Missing(*digest))?;
        self.version_of_intact(digest, &path)
    }

    /// The version of the file of an object, which is read to check that it is intact.
    fn version_of_intact(&self, digest: &Digest, path: &Path) -> Result<FileVersion, StoreError> {
        // The version is taken before reading, so that a write in between shows as another version.
        let stat = path.symlink_metadata().map_err(|_| StoreError::Missing(*digest))?;
        self.read(digest, path).map(|_| FileVersion::of(&stat))
    }

    fn read(&self, digest: &Digest, path: &Path) -> Result<Artifact, StoreError> {
        let damaged = |reason| StoreError::Damaged { digest: *digest, reason };
        let file = self.disk.open(path, OFlags::RDONLY);
        let file = file.map_err(|error| damaged(super::plain(&error)))?;
        let artifact = read_object(path, file).map_err(damaged)?;
        if artifact.digest() == *digest {
            Ok(artifact)
        } else {
            Err(damaged("its content does not match its name".to_owned()))
        }
    }

    /// True if the file of an object still has the version that the journal names, or the one that this host last
    /// verified.
    pub(super) fn is_as_seen(&self, object: &Object) -> bool {
        let of_kind = ENDINGS[usize::from(object.shape.kind == Kind::Model)];
        let stat = fs::symlink_metadata(self.path_for(&object.digest, of_kind));
        let Ok(stat) = stat.map(|it| FileVersion::of(&it)) else { return false };
        let of_journal = object.seen.map(FileVersion::on_any_host);
        of_journal == Some(stat.on_any_host())
            || self.verified_version(&object.digest) == Some(stat)
    }

    /// The path of an object, if something has its name.
    pub fn object_path(&self, digest: &Digest) -> Option<PathBuf> {
        let mut paths = ENDINGS.iter().map(|ending| self.path_for(digest, ending));
        paths.find(|path| path.symlink_metadata().is_ok())
    }

    pub(super) fn path_for(&self, digest: &Digest, ending: &str) -> PathBuf {
        let name = digest.to_string();
        let mut path = self.root.as_os_str().to_owned();
        for part in ["/", OBJECTS, "/", &name[..2], "/", &name, ".", ending] {
            path.push(part);
        }
        path.into()
    }
}

fn ending(artifact: &Artifact) -> &'static str {
    match artifact.data {
        Data::Table(_) => ENDINGS[0],
        Data::Tensors(_) => ENDINGS[1],
    }
}

fn read_object(path: &Path, file: File) -> Result<Artifact, String> {
    if path.extension().is_some_and(|ending| ending == ENDINGS[0]) {
        return parquet::read(&file);
    }
    #[derive(Deserialize)]
    struct Info {
        kind: Kind,
        meta: Meta,
    }
    let (tensors, info) = tensors::read(&file)?;
    let info: Info = serde_json::from_str(&info).map_err(|error| error.to_string())?;
    Ok(Artifact { kind: info.kind, meta: info.meta, data: Data::Tensors(tensors) })
}
