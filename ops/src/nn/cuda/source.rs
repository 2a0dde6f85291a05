//! The source text of the kernels of a network, in units that compile separately.

use super::super::layers::{Layer, Network, Operation};
use super::Precision;
use std::fmt::Write as _;

macro_rules! texts {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("kernels/", $name)))),*] };
}

const PRELUDE: &str = include_str!("kernels/prelude.cuh");
const INSTRUCTIONS: &str = include_str!("kernels/instructions.cuh");
const PRODUCT: &str = include_str!("kernels/product.cuh");
const DENSE: &str = include_str!("kernels/dense.cu");

/// The texts of convolutions: the common part, the three directions, and these for one wide channel.
const CONVOLUTION: &[(&str, &str)] =
    texts!["patches.cuh", "narrow.cu", "wide.cu", "weight.cu", "thin.cu"];

/// Kernels on single numbers, rows and channels, which are the same for every network.
const SINGLE: &[(&str, &str)] = texts![
    "gather.cu",
    "augment.cu",
    "sum_parts.cu",
    "row_sums.cu",
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
    /// CUDA C++ without the definition of `PRODUCTS` and, between the two parts, without
    /// `instructions.cuh`: see [`Unit::text`].
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
        self.text_with("", INSTRUCTIONS)
    }

    /// The text after the prefix `before`, and with these definitions in place of `instructions.cuh`.
    pub fn text_with(&self, before: &str, instructions: &str) -> String {
        let products = self.precision as u32;
        let Self { prelude, body, .. } = self;
        format!("{before}\n#define PRODUCTS {products}\n{prelude}\n{instructions}\n{body}")
    }
}

/// All units for training and running this network.
pub fn units(network: &Network, precision: Precision) -> Vec<Unit> {
    let mut single = String::new();
    SINGLE.iter().for_each(|(_, text)| single.push_str(text));
    let mut units = vec![
        Unit::new("single", precision, single.clone(), kernels_of(&single)),
        Unit::new("dense", precision, format!("{PRODUCT}\n{DENSE}"), kernels_of(DENSE)),
    ];
    for (at, layer) in network.encoder.iter().chain(&network.decoder).enumerate() {
        for (text, kernel) in convolution(layer, at, precision) {
            units.push(Unit::new(&layer.name, precision, text, vec![kernel]));
        }
    }
    units
}

/// The names in `extern "C" __global__ void NAME(`, or after the bounds of a launch.
fn kernels_of(text: &str) -> Vec<String> {
    let starts = text.split("__global__ void ").skip(1);
    let named = starts.filter_map(|rest| {
        let rest = rest.strip_prefix("__launch_bounds__(THREADS, BLOCKS)").unwrap_or(rest);
        rest.trim_start().split('(').next()
    });
    named.map(str::to_owned).collect()
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

/// The threads of a block.
const THREADS: usize = 256;
/// The most runs of channels that a block of `thin.cu` has at once, and the pixels that one of its threads has.
const THIN_RUNS: usize = 32;
const THIN_EACH: usize = 8;

/// The side of a tile of a product for so many rows or columns.
pub fn tile_side(count: usize) -> usize {
    [32, 64].into_iter().find(|side| count <= *side).unwrap_or(128)
}

impl Sides {
    /// True if the wide image has one channel, for which kernels of their own are quicker.
    pub fn is_single_channel(&self) -> bool {
        self.wide[0] == 1
    }

    /// The blocks of a launch forward or backward for so many images, to the narrow image or to the wide one.
    pub fn blocks(&self, narrows: bool, images: usize, precision: Precision) -> [usize; 3] {
        let stride = self.taps[1];
        let runs = self.runs(precision);
        let across = runs.min(THIN_RUNS);
        let at_once = THREADS / across * THIN_EACH;
        let [channels, high, wide] = if narrows { self.narrow } else { self.wide };
        match (self.is_single_channel(), narrows) {
            (true, true) => [(images * high * wide).div_ceil(at_once), runs.div_ceil(across), 1],
            (true, false) => {
                let cells = [high, wide].map(|it| (it + self.taps[2]).div_ceil(stride));
                [(images * cells[0] * cells[1]).div_ceil(at_once), 1, 1]
            }
            (false, true) => {
                [(images * high * wide).div_ceil(128), channels.div_ceil(tile_side(channels)), 1]
            }
            (false, false) => {
                let pixels = images * high.div_ceil(stride) * wide.div_ceil(stride);
                let across = channels.div_ceil(tile_side(channels));
                [pixels.div_ceil(128), across, stride * stride]
            }
        }
    }

    /// The blocks of a launch for the gradient of the weight, in so many parts.
    pub fn weight_blocks(&self, parts: usize, precision: Precision) -> [usize; 3] {
        let runs = self.runs(precision);
        match self.is_single_channel() {
            true => [parts, runs.div_ceil(runs.min(THIN_RUNS)), 1],
            false => {
                let [x, y] = self.weight_tiles();
                [x, y, parts]
            }
        }
    }

    /// The tiles of the gradient of the weight, down and across.
    pub fn weight_tiles(&self) -> [usize; 2] {
        let (rows, taps) = (self.narrow[0], self.wide[0] * self.taps[0] * self.taps[0]);
        [rows.div_ceil(tile_side(rows)), taps.div_ceil(128)]
    }

    /// The runs of narrow channels.
    fn runs(&self, precision: Precision) -> usize {
        self.narrow[0].div_ceil(precision.values())
    }

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
fn convolution(layer: &Layer, at: usize, precision: Precision) -> Vec<(String, String)> {
    let Some(sides) = Sides::of(layer) else { return Vec::new() };
    let Sides { wide, narrow, taps, .. } = sides;
    let mut shared = PRODUCT.to_owned();
    CONVOLUTION.iter().for_each(|(_, part)| shared.push_str(part));
    let sizes: Vec<String> =
        wide.iter().chain(&narrow).chain(&taps).map(ToString::to_string).collect();
    let _ = write!(shared, "\ntypedef Patches<{}> Layer;\n", sizes.join(", "));
    let weight =
        if sides.is_single_channel() { "const float* weight" } else { "const value* weight" };
    // A convolution is forward to its narrow image, and a transposed one to its wide one.
    let image = |from: &str, to: &str, channels: usize, forward: bool| {
        let (kind, types, args) = match forward {
            true => ("Output", "const float* bias, int relu", "bias, relu"),
            false => ("Gradient", "const value* over", "over"),
        };
        let types = format!("{weight}, const value* {from}, int images, {types}, value* {to}");
        (types, format!("weight, {from}, images, {kind}<{channels}>{{{to}, {args}}}"))
    };
    let gradient = (
        "const value* narrow, const value* wide, int images, int each, float* parts".to_owned(),
        "narrow, wide, images, each, parts".to_owned(),
    );
    let [narrow, wide] = [narrow[0], wide[0]];
    let [high, low] = [narrow, wide].map(tile_side);
    [
        ("narrow", [128, high], image("wide", "narrow", narrow, !sides.transposed)),
        ("wide", [128, low], image("narrow", "wide", wide, sides.transposed)),
        ("weight", [high, 128], gradient),
    ]
    .map(|(name, [rows, columns], (types, args))| {
        let kernel = format!("{name}_{at}");
        let is_small = precision != Precision::F32 && columns < 128;
        let (does, blocks) = match sides.is_single_channel() {
            true => (format!("thin_{name}<Layer>"), 2),
            false => {
                let tile = format!("TileOf<{rows}, {columns}>::Tile");
                (format!("to_{name}<Layer, {tile}>"), if is_small { 3 } else { 2 })
            }
        };
        let text = format!(
            "{shared}extern \"C\" __global__ void __launch_bounds__(THREADS, {blocks}) {kernel}({types}) {{
    {does}({args});
}}
"
        );
        (text, kernel)
    })
    .to_vec()
}
