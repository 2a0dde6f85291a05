//! Computes finished steps again and compares bytes: the proof that results are reproducible.

use super::{programs::Programs, study::Study};
use crate::{
    model::StepRequest,
    plan::{keys::FILES, ports, scan::scan},
};
use cache::{
    CacheKey, Digest, FileEntry, Store, panics,
    store::{Finished, sources::NotedFile},
};
use ops::{AnyOp, Cancel, Ctx, Detached, Device, Locate, Select};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// A finished step that can perhaps be computed again.
pub struct Candidate {
    /// The name to show: the step's name in the pipeline, or its op and the beginning of its key.
    pub name: String,
    finished: Finished,
    /// The request to run the step, or the reason why there can be none.
    request: Result<StepRequest, String>,
}

/// The result of a recomputation.
pub enum Recomputed {
    /// The bytes are the same at every port.
    Same,
    /// The bytes differ, with a description of the difference.
    Different(String),
    /// The step could not be computed, with the reason.
    Unproved(String),
}

impl Candidate {
    /// Every finished step of a store. `paths` gives the present path of a file by its content.
    pub fn of_store(store: &Store, paths: &HashMap<Digest, PathBuf>) -> Vec<Self> {
        let candidate = |finished: Finished| {
            let name = format!("{} {}", finished.cache_key.op, finished.key.short());
            let request = files_of(&finished, store, paths)
                .and_then(|files| request_of(&name, &finished.cache_key, files, store));
            Self { name, finished, request }
        };
        store.history().into_iter().map(candidate).collect()
    }

    /// The finished steps of a pipeline; sources read the files that the pipeline names.
    pub fn of_pipeline(study: &Study) -> Vec<Self> {
        let plan = study.plan();
        let lookups = plan.lookups.iter().enumerate();
        let candidates = lookups.filter_map(|(step, lookup)| {
            let finished = Finished::clone(lookup.finished()?);
            let key = finished.cache_key.clone();
            let inputs = ports(&key).map(|(port, digest)| (port.clone(), *digest)).collect();
            let name = study.pipeline.steps[step].name.clone();
            Some(Self { name, finished, request: Ok(plan.request(step, key, inputs)) })
        });
        candidates.collect()
    }

    /// The present paths of the step's files, by content.
    pub fn paths(&self) -> impl Iterator<Item = (Digest, PathBuf)> {
        let files = self.request.iter().flat_map(|request| &request.files);
        files.map(|file| (file.digest, file.path.clone()))
    }
}

/// The files that a step read, at their present paths; empty for a step that read none. The error
/// says which files cannot be found.
fn files_of(
    finished: &Finished,
    store: &Store,
    paths: &HashMap<Digest, PathBuf>,
) -> Result<Vec<FileEntry>, String> {
    let Some(digest) = finished.cache_key.inputs.get(FILES) else { return Ok(Vec::new()) };
    let noted = store
        .noted_files(digest)
        .ok_or("which files it read is not noted any more: name its pipeline")?;
    let files = noted.into_iter().filter_map(|NotedFile { name, digest, size }| {
        Some(FileEntry { path: paths.get(&digest)?.clone(), name, digest, size })
    });
    let files: Vec<FileEntry> = files.collect();
    match cache::store::sources::digest_of(files.iter().map(|it| (it.name.as_str(), &it.digest))) {
        found if found == *digest => Ok(files),
        _ => Err("files that it read are not where they were: name its pipeline".to_owned()),
    }
}

/// The request to run a step, from its key and from the files that it read.
fn request_of(
    name: &str,
    key: &CacheKey,
    files: Vec<FileEntry>,
    store: &Store,
) -> Result<StepRequest, String> {
    let op = op_of(key, &files, store)?;
    Ok(StepRequest {
        number: 1,
        name: name.to_owned(),
        op: key.op.clone(),
        params: op.params(),
        seed: key.seed.unwrap_or(0),
        device: Device::Cpu,
        gpus: Vec::new(),
        inputs: ports(key).map(|(port, digest)| (port.clone(), *digest)).collect(),
        files,
        paths: BTreeMap::new(),
        key: key.clone(),
        reason: String::new(),
        again: true,
        retries: 0,
        timeout: None,
    })
}

/// The op of a step, from its key and from the files that it read.
fn op_of(key: &CacheKey, files: &[FileEntry], store: &Store) -> Result<Box<dyn AnyOp>, String> {
    let entry = ::ops::find(&key.op).ok_or("its op is not in this engine")?;
    let parse = |path: &Path| {
        let mut params: Map<String, Value> =
            key.params.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        // A path is no part of a key, so it is filled in.
        let required = entry.schema()["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str).filter(|_| !files.is_empty()) {
            params.entry(name).or_insert_with(|| path.display().to_string().into());
        }
        entry.parse(Value::Object(params)).map_err(|error| error.message)
    };
    let op = parse(Path::new("."))?;
    let sources = op.sources();
    let own = match sources.first().map(|source| &source.select) {
        Some(Select::Mentioned) => {
            // The files must be the ones that the command names; otherwise they are other files.
            let found = sources.iter().flat_map(|source| scan(source, store.files())).flatten();
            let found: Vec<_> = found.map(|file| file.digest).collect();
            if files.iter().any(|file| !found.contains(&file.digest)) {
                return Err("the files of its command have changed since".to_owned());
            }
            None
        }
        Some(Select::File) => files.first(),
        Some(Select::Listed(_)) => files.iter().find(|file| {
            let ending = Path::new(&file.name).extension();
            !file.name.contains('/') && ending.is_some_and(|it| it.eq_ignore_ascii_case("csv"))
        }),
        _ => None,
    };
    own.map_or(Ok(op), |file| parse(&file.path))
}

/// A sample of the steps, chosen by key: the same steps each time, and at least one.
pub fn sampled(mut candidates: Vec<Candidate>, share: f64) -> Vec<Candidate> {
    let count = (candidates.len() as f64 * share).ceil() as usize;
    // Keys are hashes, so their order is as good as random.
    candidates.sort_by_key(|candidate| candidate.finished.key);
    candidates.truncate(count);
    candidates
}

/// The paths of recordings, and a note of a requested one that has no path.
struct Paths<'a> {
    known: &'a HashMap<Digest, PathBuf>,
    missed: AtomicBool,
}

impl Locate for Paths<'_> {
    fn path_of(&self, content: &Digest) -> Option<PathBuf> {
        let path = self.known.get(content).cloned();
        if path.is_none() {
            self.missed.store(true, Ordering::Relaxed);
        }
        path
    }
}

/// Computes a step from the contents of the store and the files, without saved states.
pub fn recompute(
    candidate: &Candidate,
    store: &Store,
    paths: &HashMap<Digest, PathBuf>,
    cancel: &dyn Cancel,
) -> Recomputed {
    let key = &candidate.finished.cache_key;
    let request = match &candidate.request {
        Ok(request) => request,
        Err(why) => return Recomputed::Unproved(why.clone()),
    };
    let version = ::ops::find(&key.op).map_or(key.version, |entry| entry.version);
    if version != key.version {
        let versions = format!("{}, now {version}", key.version);
        return Recomputed::Unproved(format!("another version of its op made it ({versions})"));
    }
    if key.numerics.as_deref().is_some_and(|device| device != "cpu") {
        return Recomputed::Unproved("another device made it".to_owned());
    }
    let op = match request.op() {
        Ok((_, op)) => op,
        Err(error) => return Recomputed::Unproved(error.message),
    };
    let read = request.inputs.iter().map(|(_, digest)| store.get(digest));
    let Ok(artifacts) = read.collect::<Result<Vec<_>, _>>() else {
        return Recomputed::Unproved("what it read is no longer in the store".to_owned());
    };
    let Ok(inputs) = request.inputs(op.as_ref(), &artifacts) else {
        return Recomputed::Unproved("its op has other inputs now".to_owned());
    };
    let paths = Paths { known: paths, missed: AtomicBool::new(false) };
    let log = tempfile::Builder::new().prefix("recompute-").tempdir();
    let Ok(log) = log else {
        return Recomputed::Unproved("there is no room for a log".to_owned());
    };
    let programs = Programs::new(log.path().join("log"), Vec::new());
    let cx = Ctx {
        seed: request.seed,
        progress: &Detached,
        cancel,
        files: &paths,
        checkpoints: &Detached,
        earlier: &Detached,
        programs: &programs,
        warnings: &Detached,
        device: &Device::Cpu,
        ops: ops::OPS,
    };
    let made = match panics::catch(|| op.run(&inputs, &cx)) {
        Ok(Ok(made)) => made.into_vec(),
        Ok(Err(_)) if paths.missed.load(Ordering::Relaxed) => {
            return Recomputed::Unproved(
                "the recordings are not where they were: name its pipeline".to_owned(),
            );
        }
        Ok(Err(error)) => return Recomputed::Different(format!("it fails now: {}", error.message)),
        Err(panic) => return Recomputed::Different(format!("the op panicked: {panic}")),
    };
    let before = &candidate.finished.outputs;
    let differing: Vec<&str> = made
        .iter()
        .filter(|(port, artifact)| {
            before.get(*port).is_none_or(|object| object.digest != artifact.digest())
        })
        .map(|(port, _)| *port)
        .collect();
    match differing.as_slice() {
        [] if made.len() == before.len() => Recomputed::Same,
        [] => Recomputed::Different("it has other outputs now".to_owned()),
        ports => Recomputed::Different(format!("other bytes at {}", ports.join(", "))),
    }
}
