//! The op `onnx`: features from a network of the user's.

use crate::{
    Ctx, Inputs, Op, OpError, Outputs, Port, Select, Source,
    memory::{Features, whole},
};
use cache::{Artifact, Kind, Shape, Table, panics};
use rayon::prelude::*;
use rten::{Dimension, Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use rten_tensor::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

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
/// Source: ONNX (onnx.ai); run by the crate `rten`, within 1e-5 of onnxruntime.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Onnx {
    /// The ONNX file.
    #[schemars(extend("examples" = ["model.onnx"]))]
    pub path: String,
    /// The name of the tensor that is taken.
    #[serde(default)]
    pub output: Option<String>,
    /// How axes behind the channels are pooled.
    #[serde(default)]
    pub pool: Pool,
    /// Whether frames come before bands at the input.
    #[serde(default)]
    pub transpose: bool,
}

/// How axes behind the channels are pooled.
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

/// A network with its input and the tensor that is taken.
struct Network {
    model: Model,
    input: NodeId,
    output: NodeId,
    /// The number of axes of the input.
    axes: usize,
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
        vec![Source {
            param: "path",
            path: self.path.clone().into(),
            select: Select::File,
            missing: Some("give `path` an ONNX file"),
        }]
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
        let shape = network.shape(features.shape(), self.transpose).map_err(|it| self.fault(it))?;
        let done = AtomicU64::new(0);
        // A thread of its own for each clip: the bytes must not depend on how many there are.
        let alone = || Arc::new(ThreadPool::with_num_threads(1));
        let rows: Result<Vec<Vec<f32>>, OpError> = (0..ids.len())
            .into_par_iter()
            .map_init(alone, |threads, at| {
                cx.stop_if_cancelled()?;
                let row = match (features.shape(), self.transpose) {
                    (&[bands, frames], true) => transposed(features.row(at), bands, frames),
                    _ => features.row(at).to_vec(),
                };
                let made = network.run(&shape, row, threads.clone());
                let (shape, values) = made.map_err(|reason| {
                    self.fault(format!("cannot take clip `{}`: {reason}", ids[at]))
                })?;
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                cx.progress.at(done, ids.len() as u64, "clips");
                Ok(self.pooled(&shape, values))
            })
            .collect();
        let rows = rows?;
        let width = rows.first().map_or(0, Vec::len);
        if width == 0 || rows.iter().any(|row| row.len() != width) {
            return Err(self.fault("gives no numbers, or not as many for each clip".to_owned()));
        }
        if let Some(at) = rows.iter().position(|row| row.iter().any(|value| !value.is_finite())) {
            return Err(self
                .fault(format!("gives numbers that are not finite for clip `{}`", ids[at]))
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
    fn fault(&self, reason: String) -> OpError {
        OpError::param("path", format!("`{}` {reason}", self.path))
    }

    fn network(&self, inputs: &Inputs<'_>) -> Result<Network, OpError> {
        let bytes = inputs.first_file(&self.path)?;
        let bytes = bytes.ok_or_else(|| self.fault("is not there".to_owned()))?;
        // Without the optimiser, so that inner tensors keep their names.
        let load = || {
            let mut options = ModelOptions::with_all_ops();
            options.enable_optimization(self.output.is_none()).load(bytes)
        };
        let model = panics::caught(load).map_err(|_| "is damaged".to_owned());
        let model = model.and_then(|made| made.map_err(|why| format!("is no network: {why}")));
        let model = model.map_err(|reason| self.fault(reason.replace('\n', " ")))?;
        let &[input] = model.input_ids() else {
            let count = model.input_ids().len();
            return Err(self.fault(format!("has {count} inputs, not one")));
        };
        let output = match (&self.output, model.output_ids()) {
            (Some(name), _) => model.find_node(name).ok_or_else(|| {
                let names = named(&model, model.output_ids());
                OpError::param("output", format!("`{}` has no tensor `{name}`", self.path))
                    .help(format!("its outputs are {names}; inner tensors have names too"))
            })?,
            (None, &[output]) => output,
            (None, outputs) => {
                let message = format!("has {} outputs", outputs.len());
                let names = named(&model, outputs);
                return Err(self.fault(message).help(format!("name one as `output`: {names}")));
            }
        };
        let axes = model.input_shape(0).map_or(0, |shape: Vec<Dimension>| shape.len());
        Ok(Network { model, input, output, axes })
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

/// The names of tensors in a sentence.
fn named(model: &Model, ids: &[NodeId]) -> String {
    let name = |id: &NodeId| {
        let info = model.node_info(*id)?;
        Some(format!("`{}`", info.name()?))
    };
    ids.iter().filter_map(name).collect::<Vec<_>>().join(", ")
}

fn transposed(row: &[f32], bands: usize, frames: usize) -> Vec<f32> {
    (0..bands * frames).map(|at| row[at % bands * frames + at / bands]).collect()
}

impl Network {
    /// The shape in which a row goes in.
    fn shape(&self, row: &[usize], transpose: bool) -> Result<Vec<usize>, String> {
        let width: usize = row.iter().product();
        let sides = match (row, transpose) {
            (&[bands, frames], false) => vec![bands, frames],
            (&[bands, frames], true) => vec![frames, bands],
            _ => vec![width],
        };
        Ok(match (self.axes, sides.len()) {
            (2, _) => vec![1, width],
            (3, 2) => [vec![1], sides].concat(),
            (4, 2) => [vec![1, 1], sides].concat(),
            (axes, _) => {
                let what = if sides.len() == 2 { "an image" } else { "a vector" };
                return Err(format!("has an input of {axes} axes, into which {what} does not go"));
            }
        })
    }

    /// The tensor for one clip, with its shape.
    fn run(
        &self,
        shape: &[usize],
        row: Vec<f32>,
        threads: Arc<ThreadPool>,
    ) -> Result<(Vec<usize>, Vec<f32>), String> {
        let value = Value::from_shape(shape, row).map_err(|why| why.to_string())?;
        let inputs = vec![(self.input, ValueOrView::from(value))];
        let options = RunOptions::default().with_thread_pool(Some(threads));
        let work = || self.model.run(inputs, &[self.output], Some(options));
        let made = panics::caught(work).map_err(|_| "the network panics".to_owned())?;
        let made = made.map_err(|why| why.to_string().replace('\n', " "))?;
        let value = made.into_iter().next().ok_or("there is no output")?;
        let Value::FloatTensor(tensor) = value else {
            return Err("the tensor does not hold floats".to_owned());
        };
        Ok((tensor.shape().to_vec(), tensor.to_vec()))
    }
}
