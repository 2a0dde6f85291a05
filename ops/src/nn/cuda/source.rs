//! The source text of the kernels of a network, in units that compile separately.

use super::super::layers::{Layer, Network, Operation};
use super::Precision;
use std::fmt::Write as _;

macro_rules! texts {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("kernels/", $name)))),*] };
}

const PRELUDE: &str = include_str!("kernels/prelude.cuh");
const TENSOR_CORES: &str = include_str!("kernels/tensor_cores.cuh");
const PRODUCT: &str = include_str!("kernels/product.cuh");
const DENSE: &str = include_str!("kernels/dense.cu");

/// The texts of convolutions: the common part and the three directions.
const CONVOLUTION: &[(&str, &str)] = texts!["patches.cuh", "narrow.cu", "wide.cu", "weight.cu"];

/// Kernels on single numbers, rows and channels, which are the same for every network.
const SINGLE: &[(&str, &str)] = texts![
    "gather.cu",
    "augment.cu",
    "sum_parts.cu",
    "mask.cu",
    "mask_rows.cu",
    "norm.cu",
    "latent.cu",
    "kl.cu",
    "latent_backward.cu",
    "correlation.cu",
    "correlation_backward.cu",
    "squared_error.cu",
    "likelihood.cu",
    "losses.cu",
    "squares.cu",
    "adam.cu",
    "advance.cu",
];

/// Kernels that are compiled together.
#[derive(Clone, Debug)]
pub struct Unit {
    /// A description for messages.
    pub name: String,
    /// CUDA C++ without the definition of `PRODUCTS` and, between the two parts, without the
    /// instructions of tensor cores: see [`Unit::text`].
    prelude: &'static str,
    body: String,
    /// The names of its kernels.
    pub kernels: Vec<String>,
    /// The precision of its products.
    pub precision: Precision,
}

impl Unit {
    fn new(name: &str, precision: Precision, body: String, kernels: Vec<String>) -> Self {
        Self { name: name.to_owned(), prelude: PRELUDE, body, kernels, precision }
    }

    /// The text for a GPU.
    pub fn text(&self) -> String {
        self.text_with("", TENSOR_CORES)
    }

    /// The text after the prefix `before`, and with these instructions of tensor cores.
    pub fn text_with(&self, before: &str, tensor_cores: &str) -> String {
        let products = self.precision as u32;
        let Self { prelude, body, .. } = self;
        format!("{before}\n#define PRODUCTS {products}\n{prelude}\n{tensor_cores}\n{body}")
    }
}

/// All units for training and running this network.
pub fn units(network: &Network, precision: Precision) -> Vec<Unit> {
    let mut single = String::new();
    SINGLE.iter().for_each(|(_, text)| single.push_str(text));
    let dense = format!("{PRODUCT}\n{DENSE}");
    let mut units = vec![
        Unit::new("single", precision, single.clone(), kernels_of(&single)),
        Unit::new("dense", precision, dense, DENSE_KERNELS.map(str::to_owned).to_vec()),
    ];
    for (at, layer) in network.encoder.iter().chain(&network.decoder).enumerate() {
        for (text, kernel) in convolution(layer, at) {
            units.push(Unit::new(&layer.name, precision, text, vec![kernel]));
        }
    }
    units
}

const DENSE_KERNELS: [&str; 3] = ["dense_8", "dense_32", "dense_128"];

/// The names in `extern "C" __global__ void NAME(`.
fn kernels_of(text: &str) -> Vec<String> {
    let starts = text.split("__global__ void ").skip(1);
    starts.filter_map(|rest| rest.split('(').next()).map(str::to_owned).collect()
}

/// The tile height of a product with so many rows.
pub fn height(rows: usize) -> usize {
    [1, 8, 32, 64].into_iter().find(|height| rows <= *height).unwrap_or(128)
}

/// The tile width for that height.
pub fn columns(height: usize) -> usize {
    if height == 1 { 256 } else { 128 }
}

/// The two images that a convolution of either kind connects.
#[derive(Clone, Copy, Debug)]
pub struct Sides {
    /// The larger image: input of a convolution, output of a transposed one.
    pub wide: [usize; 3],
    /// The smaller image.
    pub narrow: [usize; 3],
    /// Kernel, stride and padding.
    pub taps: [usize; 3],
    /// True if it is a transposed convolution.
    pub transposed: bool,
}

impl Sides {
    /// The images of a layer, if it is a convolution.
    pub fn of(layer: &Layer) -> Option<Self> {
        match layer.operation {
            Operation::Conv2d { kernel, stride, padding } => Some(Self {
                wide: layer.input,
                narrow: layer.output,
                taps: [kernel, stride, padding],
                transposed: false,
            }),
            Operation::ConvTranspose2d { kernel, stride, padding, .. } => Some(Self {
                wide: layer.output,
                narrow: layer.input,
                taps: [kernel, stride, padding],
                transposed: true,
            }),
            Operation::Linear | Operation::BatchNorm2d => None,
        }
    }
}

/// The units of the n-th layer if it is a convolution, one for each direction, since they take
/// longest to compile.
fn convolution(layer: &Layer, at: usize) -> Vec<(String, String)> {
    let Some(Sides { wide, narrow, taps, .. }) = Sides::of(layer) else { return Vec::new() };
    let mut shared = PRODUCT.to_owned();
    CONVOLUTION.iter().for_each(|(_, part)| shared.push_str(part));
    let sizes: Vec<String> =
        wide.iter().chain(&narrow).chain(&taps).map(ToString::to_string).collect();
    let _ = write!(shared, "\ntypedef Patches<{}> Layer;\n", sizes.join(", "));
    let (high, low) = (height(narrow[0]), height(wide[0]));
    let forward = |from: &str, to: &str| {
        let types = format!(
            "const float* weight, const value* {from}, int images, const float* bias, int relu, value* {to}"
        );
        (types, format!("weight, {from}, images, bias, relu, {to}"))
    };
    let weight = (
        "const value* narrow, const value* wide, int images, int each, float* parts".to_owned(),
        "narrow, wide, images, each, parts".to_owned(),
    );
    [
        ("narrow", high, forward("wide", "narrow")),
        ("wide", low, forward("narrow", "wide")),
        ("weight", high, weight),
    ]
    .map(|(name, tile, (types, args))| {
        let kernel = format!("{name}_{at}");
        let text = format!(
            "{shared}extern \"C\" __global__ void __launch_bounds__(THREADS, BLOCKS) {kernel}({types}) {{
    to_{name}<Layer, TileOf<{tile}>::Tile>({args});
}}
"
        );
        (text, kernel)
    })
    .to_vec()
}
