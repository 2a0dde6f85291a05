//! The op `onnx`: features from a network of the user's.

mod network;
mod onnxruntime;
mod rten_network;

use self::{
    network::{Network, Refusal},
    onnxruntime::OnnxRuntime,
    rten_network::RtenNetwork,
};
use crate::{
    Ctx, Inputs, Op, OpError, Outputs, Port, Select, Source,
    memory::{Features, whole},
};
use cache::{
    Artifact, Kind, Shape, Table,
    verified::{Hashed, ReadError},
};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

/// Features from a network in an ONNX file, such as a pretrained encoder: any of its tensors, pooled.
///
/// Each clip goes through the network by itself, in single precision, so that a clip's features do
/// not depend on other clips. The network has one input of floats. An image of bands × frames takes
/// the form that the input has: `[N, 1, bands, frames]`, `[N, bands, frames]`, or `[N, bands · frames]`;
/// with `transpose` frames come before bands. Vectors go to an input `[N, width]`. What the network
/// expects, such as decibels or powers, a number of frames, or a scale, must be what the step before
/// makes, or stand in the graph itself.
///
/// `output` names a tensor, also an inner one; the network's own output if it has just one. Of a tensor
/// of more axes than one, `pool` takes the mean, the mean and the standard deviation, or the largest
/// value of each channel (the first axis after N) over all axes behind it; `none` keeps all numbers.
///
/// The content of the file is part of the key, its path is not. Weights in files beside it are not read.
///
/// `rten` is part of the engine. With `runtime: onnxruntime` a large network takes less time: ONNX Runtime is not
/// part of the engine, and its library is looked for where `ORT_DYLIB_PATH` says, in the Python package `onnxruntime`
/// of the active virtual or conda environment, and in the usual folders of libraries. The content of the library is
/// part of the key. Each thread then holds the weights once more.
///
/// Source: ONNX (onnx.ai); run by the crate `rten`, within 1e-5 of ONNX Runtime.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Onnx {
    /// The ONNX file.
    #[schemars(extend("examples" = ["model.onnx"]))]
    pub path: String,
    /// The name of the tensor that is taken.
    #[serde(default)]
    pub output: Option<String>,
    /// The pooling of the axes behind the channels.
    #[serde(default)]
    pub pool: Pool,
    /// True if frames come before bands at the input.
    #[serde(default)]
    pub transpose: bool,
    /// The library that runs the network.
    #[serde(default)]
    pub runtime: Runtime,
}

/// A library that runs networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// The crate rten, which is part of the engine.
    #[default]
    Rten,
    /// ONNX Runtime, whose library must be there.
    Onnxruntime,
}

/// The pooling of the axes behind the channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// The mean.
    #[default]
    Mean,
    /// The mean, then the standard deviation.
    MeanStd,
    /// The largest value.
    Max,
    /// All numbers.
    None,
}

impl Op for Onnx {
    const NAME: &'static str = "onnx";
    const TITLE: &'static str = "ONNX network";
    const VERSION: u32 = 1;
    const ROW_WISE: bool = true;
    const INPUTS: &'static [Port] = &[Port::FEATURES];
    const OUTPUTS: &'static [Port] =
        &[Port::new("vectors", &[Kind::Matrix], "The pooled tensor, one row a clip.")];

    fn sources(&self) -> Vec<Source> {
        let network = Source {
            param: "path",
            path: self.path.clone().into(),
            select: Select::File,
            missing: Some("give `path` an ONNX file"),
        };
        let library = (self.runtime == Runtime::Onnxruntime).then(|| Source {
            param: "runtime",
            path: onnxruntime::LIBRARY.name.into(),
            select: Select::Library(&onnxruntime::LIBRARY),
            missing: Some(
                "`pip install onnxruntime` into the active virtual environment, or name the library in \
                 `ORT_DYLIB_PATH`; without `runtime` the engine runs the network itself",
            ),
        });
        [network].into_iter().chain(library).collect()
    }

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let rows = inputs.first().and_then(Option::as_ref).and_then(|shape| shape.rows);
        Ok(vec![Shape::of(Kind::Matrix).with_rows(rows)])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        // What the network takes is not known; the features are the least.
        whole(2.0 * Features::of(inputs)?.bytes)
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        let network = self.network(inputs)?;
        let shape = shape(network.axes(), features.shape(), self.transpose);
        let shape = shape.map_err(|reason| self.error(reason))?;
        let done = AtomicU64::new(0);
        let rows: Result<Vec<Vec<f32>>, OpError> = (0..ids.len())
            .into_par_iter()
            .map(|at| {
                cx.stop_if_cancelled()?;
                let row = match (features.shape(), self.transpose) {
                    (&[bands, frames], true) => transposed(features.row(at), bands, frames),
                    _ => features.row(at).to_vec(),
                };
                let made = network.run((shape.clone(), row));
                let (shape, values) = made.map_err(|reason| {
                    self.error(format!("cannot take clip `{}`: {reason}", ids[at]))
                })?;
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                cx.progress.at(done, ids.len() as u64, "clips");
                Ok(self.pooled(&shape, values))
            })
            .collect();
        let rows = rows?;
        let width = rows.first().map_or(0, Vec::len);
        if width == 0 || rows.iter().any(|row| row.len() != width) {
            return Err(self.error("gives no numbers, or not as many for each clip".to_owned()));
        }
        if let Some(at) = rows.iter().position(|row| row.iter().any(|value| !value.is_finite())) {
            return Err(self
                .error(format!("gives numbers that are not finite for clip `{}`", ids[at]))
                .help("check that the features are what the network was trained on"));
        }
        let table = Table::new().with_text("clip_id", ids.iter().cloned()).with_array(
            "features",
            [width],
            rows.concat(),
        );
        Ok(Outputs::new().with("vectors", Artifact::table(Kind::Matrix, table)))
    }
}

impl Onnx {
    fn error(&self, reason: String) -> OpError {
        OpError::param("path", format!("`{}` {reason}", self.path))
    }

    fn network(&self, inputs: &Inputs<'_>) -> Result<Box<dyn Network>, OpError> {
        let bytes = inputs.first_file(&self.path)?;
        let bytes = bytes.ok_or_else(|| self.error("is not there".to_owned()))?;
        let output = self.output.as_deref();
        let made: Result<Box<dyn Network>, Refusal> = match self.runtime {
            Runtime::Rten => RtenNetwork::new(bytes, output).map(|made| Box::new(made) as _),
            Runtime::Onnxruntime => {
                let library = inputs.files().get(1).ok_or_else(|| {
                    OpError::param("runtime", "the library of ONNX Runtime is not there")
                })?;
                let opened = Hashed::open(&library.path).map_err(ReadError::from);
                opened.and_then(|file| file.finish(&library.digest)).map_err(|why| {
                    OpError::failure(format!("`{}` {why}", library.path.display()))
                })?;
                OnnxRuntime::new(&library.path, bytes, output).map(|made| Box::new(made) as _)
            }
        };
        made.map_err(|refusal| match refusal {
            Refusal::File(reason) => self.error(reason),
            Refusal::Output(reason, help) => {
                OpError::param("output", format!("`{}` {reason}", self.path)).help(help)
            }
            Refusal::Library(reason) => {
                OpError::param("runtime", format!("ONNX Runtime cannot be used: {reason}"))
                    .help(format!("name another library in `{}`", onnxruntime::LIBRARY.variable))
            }
        })
    }

    /// The pooled numbers of a tensor with a first axis of one clip.
    fn pooled(&self, shape: &[usize], values: Vec<f32>) -> Vec<f32> {
        let channels = shape.get(1).copied().unwrap_or(1).max(1);
        let each = values.len() / channels;
        if self.pool == Pool::None || shape.len() < 3 || each == 0 {
            return values;
        }
        let mean = |own: &[f32]| own.iter().map(|it| f64::from(*it)).sum::<f64>() / each as f64;
        let parts = || values.chunks_exact(each);
        let means = parts().map(mean);
        match self.pool {
            Pool::Max => {
                parts().map(|own| own.iter().copied().fold(f32::NEG_INFINITY, f32::max)).collect()
            }
            Pool::MeanStd => {
                let deviations = parts().map(|own| {
                    let mean = mean(own);
                    let squares = own.iter().map(|it| (f64::from(*it) - mean).powi(2));
                    (squares.sum::<f64>() / each as f64).sqrt()
                });
                means.chain(deviations).map(|it| it as f32).collect()
            }
            _ => means.map(|it| it as f32).collect(),
        }
    }
}

fn transposed(row: &[f32], bands: usize, frames: usize) -> Vec<f32> {
    (0..bands * frames).map(|at| row[at % bands * frames + at / bands]).collect()
}

/// The shape in which a row goes into an input of so many axes.
fn shape(axes: usize, row: &[usize], transpose: bool) -> Result<Vec<usize>, String> {
    let width: usize = row.iter().product();
    let sides = match (row, transpose) {
        (&[bands, frames], false) => vec![bands, frames],
        (&[bands, frames], true) => vec![frames, bands],
        _ => vec![width],
    };
    Ok(match (axes, sides.len()) {
        (2, _) => vec![1, width],
        (3, 2) => [vec![1], sides].concat(),
        (4, 2) => [vec![1, 1], sides].concat(),
        (axes, _) => {
            let what = if sides.len() == 2 { "an image" } else { "a vector" };
            return Err(format!("has an input of {axes} axes, into which {what} does not go"));
        }
    })
}
