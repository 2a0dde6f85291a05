//! The encoder of a network as an ONNX file, so that other programs can run it.
//!
//! The few messages of the format that it takes are written here by hand: a crate would bring a
//! code generator along for five of them.

use super::cpu_network::LOG_VARIANCE;
use super::layers::{Layer, Network, Operation};
use crate::op::OpError;
use cache::Artifact;

/// The version of ONNX's set of operators, and of its file format.
const OPERATORS: u64 = 13;
const FORMAT: u64 = 8;

/// A message of Protocol Buffers.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn int(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn put(self, field: u64, inner: Self) -> Self {
        self.bytes(field, &inner.0)
    }
}

/// An attribute of a node: a name and whole numbers, or one real number.
enum Attribute<'a> {
    Int(&'a str, u64),
    Ints(&'a str, &'a [usize]),
    Real(&'a str, f32),
}

impl Attribute<'_> {
    fn message(&self) -> Message {
        const KINDS: [u64; 3] = [1, 2, 7];
        let [real, int, ints] = KINDS;
        match self {
            Self::Int(name, value) => Message::default().text(1, name).int(3, *value).int(20, int),
            Self::Ints(name, values) => {
                let named = Message::default().text(1, name);
                values.iter().fold(named, |made, value| made.int(8, *value as u64)).int(20, ints)
            }
            Self::Real(name, value) => {
                let mut named = Message::default().text(1, name);
                named.varint(2 << 3 | 5);
                named.0.extend_from_slice(&value.to_le_bytes());
                named.int(20, real)
            }
        }
    }
}

/// A graph that grows node by node.
struct Graph {
    message: Message,
}

impl Graph {
    fn node(&mut self, kind: &str, inputs: &[&str], output: &str, attributes: &[Attribute<'_>]) {
        let node = inputs.iter().fold(Message::default(), |node, name| node.text(1, name));
        let node = node.text(2, output).text(3, output).text(4, kind);
        let node = attributes.iter().fold(node, |node, own| node.put(5, own.message()));
        self.message = std::mem::take(&mut self.message).put(1, node);
    }

    fn tensor(&mut self, name: &str, shape: &[usize], kind: u64, bytes: &[u8]) {
        let tensor = shape.iter().fold(Message::default(), |made, it| made.int(1, *it as u64));
        let tensor = tensor.int(2, kind).text(8, name).bytes(9, bytes);
        self.message = std::mem::take(&mut self.message).put(5, tensor);
    }

    fn reals(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        const FLOAT: u64 = 1;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, shape, FLOAT, &bytes);
    }

    /// An input (field 11) or an output (field 12) of as many clips as there are.
    fn value(&mut self, field: u64, name: &str, row: &[usize]) {
        let clips = Message::default().put(1, Message::default().text(2, "clips"));
        let axes = row
            .iter()
            .fold(clips, |axes, length| axes.put(1, Message::default().int(1, *length as u64)));
        let tensor = Message::default().int(1, 1).put(2, axes);
        let value = Message::default().text(1, name).put(2, Message::default().put(1, tensor));
        self.message = std::mem::take(&mut self.message).put(field, value);
    }
}

/// The encoder in a model's weights as an ONNX file.
///
/// Its input `features` are images `[clips, 1, rows, columns]`, or `[clips, columns]` of vectors; its
/// outputs `latent` and, of a variational network, `latent_std` are those of the op.
///
/// # Errors
/// When the model is of another kind, or lacks weights.
pub fn encoder(model: &Artifact) -> Result<Vec<u8>, OpError> {
    let other = || {
        OpError::data("the model is of no network with an encoder")
            .help("export the `model` of an autoencoder as .onnx, and others as .safetensors")
    };
    let tensors = model.as_tensors().ok_or_else(other)?;
    let network = super::layers::Architecture::described(&model.meta).ok_or_else(other)?;
    network.sizes().ok_or_else(other)?;
    let network = Network::new(&network);
    let (weights, statistics) = network.join_tensors(tensors).ok_or_else(other)?;

    let [rows, columns] = network.architecture.input;
    let mut graph = Graph { message: Message::default() };
    let mut at = "features".to_owned();
    if rows == 1 {
        let axes: Vec<u8> = [1_i64, 2].iter().flat_map(|axis| axis.to_le_bytes()).collect();
        graph.tensor("axes", &[2], 7, &axes);
        graph.node("Unsqueeze", &["features", "axes"], "image", &[]);
        at = "image".to_owned();
    }
    for layer in &network.encoder {
        at = add(&mut graph, layer, &at, &weights, &statistics);
    }
    graph.node("Flatten", &[&at], "flat", &[Attribute::Int("axis", 1)]);
    head(&mut graph, &network.mean, "latent", &weights);
    if let Some(layer) = &network.log_variance {
        head(&mut graph, layer, "log_variance", &weights);
        let [least, most] = LOG_VARIANCE;
        for (name, value) in [("least", least), ("most", most), ("half", 0.5)] {
            graph.reals(name, &[], &[value]);
        }
        graph.node("Clip", &["log_variance", "least", "most"], "held", &[]);
        graph.node("Mul", &["held", "half"], "halved", &[]);
        graph.node("Exp", &["halved"], "latent_std", &[]);
    }
    let image = [1, rows, columns];
    graph.value(11, "features", if rows == 1 { &image[2..] } else { &image });
    let units = [network.architecture.latent];
    graph.value(12, "latent", &units);
    if network.log_variance.is_some() {
        graph.value(12, "latent_std", &units);
    }
    let graph = graph.message.text(2, "encoder");
    let operators = Message::default().text(1, "").int(2, OPERATORS);
    let file = Message::default().int(1, FORMAT).text(2, env!("CARGO_PKG_NAME"));
    Ok(file.put(7, graph).put(8, operators).0)
}

/// Adds a layer of the encoder, and gives the name of its output.
fn add(graph: &mut Graph, layer: &Layer, from: &str, weights: &[f32], running: &[f32]) -> String {
    let parameters = &weights[layer.parameters.clone()];
    let (weight, bias) = parameters.split_at(layer.weight_len());
    let name = |part: &str| format!("{}.{part}", layer.name);
    let [weight_name, bias_name] = ["weight", "bias"].map(name);
    let made = layer.name.clone();
    graph.reals(&weight_name, &layer.weight_shape(), weight);
    graph.reals(&bias_name, &[bias.len()], bias);
    match layer.operation {
        Operation::Conv2d { kernel, stride, padding } => {
            let attributes = [
                Attribute::Ints("kernel_shape", &[kernel; 2]),
                Attribute::Ints("strides", &[stride; 2]),
                Attribute::Ints("pads", &[padding; 4]),
            ];
            graph.node("Conv", &[from, &weight_name, &bias_name], &made, &attributes);
        }
        Operation::BatchNorm2d => {
            let statistics = &running[layer.statistics.clone()];
            let (mean, variance) = statistics.split_at(statistics.len() / 2);
            let [mean_name, variance_name] = ["running_mean", "running_var"].map(name);
            graph.reals(&mean_name, &[mean.len()], mean);
            graph.reals(&variance_name, &[variance.len()], variance);
            let inputs = [from, &weight_name, &bias_name, &mean_name, &variance_name];
            let attributes = [Attribute::Real("epsilon", super::norm::EPSILON as f32)];
            graph.node("BatchNormalization", &inputs, &made, &attributes);
        }
        Operation::ConvTranspose2d { .. } | Operation::Linear => {
            unreachable!("BUG: an encoder of other layers")
        }
    }
    if !layer.relu {
        return made;
    }
    let active = name("relu");
    graph.node("Relu", &[&made], &active, &[]);
    active
}

/// Adds a linear layer on the flattened image.
fn head(graph: &mut Graph, layer: &Layer, output: &str, weights: &[f32]) {
    let (weight, bias) = weights[layer.parameters.clone()].split_at(layer.weight_len());
    let [weight_name, bias_name] = ["weight", "bias"].map(|it| format!("{}.{it}", layer.name));
    graph.reals(&weight_name, &layer.weight_shape(), weight);
    graph.reals(&bias_name, &[bias.len()], bias);
    let turned = [Attribute::Int("transB", 1)];
    graph.node("Gemm", &["flat", &weight_name, &bias_name], output, &turned);
}
