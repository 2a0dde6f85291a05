//! A step that is to run, and what becomes of it, as data that another process can read.

use super::StepFailure;
use cache::{Artifact, CacheKey, Digest, FileEntry, Shape, store::Finished};
use ops::{AnyOp, Device, Entry, Inputs, OpError, Port, ports::labelled};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{borrow::Borrow, collections::BTreeMap, path::PathBuf};

/// A step that is to run: all that decides its result, and what limits its work. Contents stand in
/// the store, which whoever runs the step shares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRequest {
    /// The number of the step in the plan, from 1.
    pub number: usize,
    /// The name of the step.
    pub name: String,
    /// The name of the op.
    pub op: String,
    /// The parameters of the op.
    pub params: Value,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The device for heavy work.
    pub device: Device,
    /// The numbers of the step's GPUs.
    pub gpus: Vec<usize>,
    /// The ports of the inputs, with the digest of each content.
    pub inputs: Vec<(String, Digest)>,
    /// The files of the op's sources.
    pub files: Vec<FileEntry>,
    /// The present paths of files by content, for ops that read recordings that their inputs name.
    /// Empty within the process that listed the files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paths: BTreeMap<Digest, PathBuf>,
    /// The cache key, under which the result is kept.
    pub key: CacheKey,
    /// The reason why the step runs.
    pub reason: String,
    /// True if the step runs although its result may be in the store.
    pub again: bool,
    /// The number of further tries after a failure outside the engine.
    pub retries: u32,
    /// The seconds after which the step is stopped.
    pub timeout: Option<f64>,
}

/// The result of a step request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepResult {
    /// The result is in the store.
    Done {
        /// The key, the outputs and the times of the step.
        finished: Finished,
        /// The reason why the step ran, and the rows it reused; none if another process made the
        /// result meanwhile.
        reason: Option<String>,
    },
    /// The store has lost or damaged one of the inputs.
    Lost {
        /// The input, as an index into [`StepRequest::inputs`].
        input: usize,
        /// The damage: a sentence.
        damage: String,
    },
    /// The step failed.
    Failed(StepFailure),
    /// Another process runs the step.
    Elsewhere,
}

impl StepRequest {
    /// The op with its parameters.
    ///
    /// # Errors
    /// When this engine has no such op, or another version of it, or refuses the parameters.
    pub fn op(&self) -> Result<(&'static Entry, Box<dyn AnyOp>), OpError> {
        let other = |message: String| {
            OpError::data(message).help("the request is of another version of the engine")
        };
        let entry = ops::find(&self.op).ok_or_else(|| other(format!("no op `{}`", self.op)))?;
        if entry.version != self.key.version {
            let (wanted, has) = (self.key.version, entry.version);
            return Err(other(format!("`{}` has version {has}, not {wanted}", self.op)));
        }
        let op = entry.parse(self.params.clone()).map_err(|error| other(error.message))?;
        Ok((entry, op))
    }

    /// The inputs of an op, given the artifact of each, in their order.
    ///
    /// # Errors
    /// When the op has no such port.
    pub fn inputs<'a, A: Borrow<Artifact>>(
        &'a self,
        op: &dyn AnyOp,
        artifacts: &'a [A],
    ) -> Result<Inputs<'a>, OpError> {
        let mut inputs = Inputs::new().with_files(&self.files);
        for ((name, _), artifact) in self.inputs.iter().zip(artifacts) {
            let port = op.inputs().iter().find(|port| port.takes(name));
            let port = port.ok_or_else(|| OpError::data(format!("no port `{name}`")))?;
            let label = name.split_once('@').map(|(_, label)| labelled(port.name, label));
            inputs = inputs.with(label.unwrap_or(port.name), artifact.borrow());
        }
        Ok(inputs)
    }

    /// The shapes of the artifacts, in the order of the op's ports.
    pub fn shapes<A: Borrow<Artifact>>(
        &self,
        op: &dyn AnyOp,
        artifacts: &[A],
    ) -> Vec<Option<Shape>> {
        let of_port = |port: &Port| {
            let at = self.inputs.iter().position(|(name, _)| port.takes(name))?;
            Some(artifacts[at].borrow().shape())
        };
        op.inputs().iter().map(of_port).collect()
    }
}
