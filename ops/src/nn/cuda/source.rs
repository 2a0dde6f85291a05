//! The source text of the kernels of a network, in units that compile separately.

use super::super::layers::{Layer, Network, Operation};
use super::Precision;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter, Write as _};

macro_rules! texts {
    ($($name:literal),* $(,)?) => { &[$(include_str!(concat!("kernels/", $name))),*] };
}

const PRELUDE: &str = include_str!("kernels/prelude.cuh");
const INSTRUCTIONS: &str = include_str!("kernels/instructions.cuh");
const DENSE: &str = include_str!("kernels/dense.cu");

/// What all products of matrices share.
const PRODUCT: &[&str] = texts!["chunks.cuh", "tiles.cuh", "product.cuh", "outputs.cuh"];

/// The texts of convolutions: the common part, the three directions, and these for one wide channel.
const CONVOLUTION: &[&str] = texts!["patches.cuh", "narrow.cu", "wide.cu", "weight.cu", "thin.cu"];

/// Kernels on single numbers, rows and channels, which are the same for every network.
const SINGLE: &[&str] = texts![
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

/// All units for training and running this network, with tiles of the table.
pub fn units(network: &Network, precision: Precision) -> Vec<Unit> {
    units_with(network, precision, |_, sides, direction| sides.tile(direction, precision))
}

/// The same with these tiles; the first argument is the number of the layer.
pub fn units_with(
    network: &Network,
    precision: Precision,
    tile: impl Fn(usize, &Sides, Direction) -> Tile,
) -> Vec<Unit> {
    let single = SINGLE.concat();
    let mut units = vec![
        Unit::new("single", precision, single.clone(), kernels_of(&single)),
        Unit::new("dense", precision, PRODUCT.concat() + DENSE, kernels_of(DENSE)),
    ];
    for (at, layer) in network.encoder.iter().chain(&network.decoder).enumerate() {
        let Some(sides) = Sides::of(layer) else { continue };
        for direction in Direction::ALL {
            let tile = tile(at, &sides, direction);
            units.push(product(&layer.name, &sides, at, precision, direction, tile));
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

/// The three products of a convolution: to the narrow image, to the wide one, and to the gradient of the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the narrow image.
    Narrow,
    /// To the wide image.
    Wide,
    /// To the gradient of the weight.
    Weight,
}

impl Direction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Narrow, Self::Wide, Self::Weight];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Narrow => "narrow",
            Self::Wide => "wide",
            Self::Weight => "weight",
        }
    }
}

/// The part of a product that a block makes. Whatever it is, a sum is taken in the same order, so the bits are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tile {
    /// The rows.
    pub rows: usize,
    /// The columns.
    pub columns: usize,
    /// The blocks for which a processor must have registers.
    pub blocks: usize,
    /// The stages of shared memory: two go by way of registers, more are copied past them.
    pub stages: usize,
}

impl Tile {
    /// A tile of this shape, with two stages.
    pub const fn new(rows: usize, columns: usize, blocks: usize) -> Self {
        Self { rows, columns, blocks, stages: 2 }
    }

    /// The same tile with so many stages.
    pub const fn staged(self, stages: usize) -> Self {
        Self { stages, ..self }
    }
}

impl Display for Tile {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let Self { rows, columns, blocks, stages } = self;
        write!(to, "{rows}x{columns}x{blocks}")?;
        if *stages == 2 { Ok(()) } else { write!(to, "x{stages}") }
    }
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
/// The most vectors of channels that a block of `thin.cu` has at once, and the pixels that one of its threads has.
const THIN_VECTORS: usize = 32;
const THIN_EACH: usize = 8;

/// The side of the table's tiles for so many rows or columns.
fn tile_side(count: usize) -> usize {
    [32, 64].into_iter().find(|side| count <= *side).unwrap_or(128)
}

impl Sides {
    /// True if the wide image has one channel, for which kernels of their own are quicker.
    pub fn is_single_channel(&self) -> bool {
        self.wide[0] == 1
    }

    /// The tile of a product in the table.
    pub fn tile(&self, direction: Direction, precision: Precision) -> Tile {
        let [narrow, wide] = [self.narrow, self.wide].map(|[channels, ..]| tile_side(channels));
        let [rows, columns] = match direction {
            Direction::Narrow => [128, narrow],
            Direction::Wide => [128, wide],
            Direction::Weight => [narrow, 128],
        };
        let is_small = precision != Precision::F32 && columns < 128 && !self.is_single_channel();
        Tile::new(rows, columns, if is_small { 3 } else { 2 })
    }

    /// The blocks of a launch in this direction for so many images, or for the gradient of the weight in so many parts.
    pub fn blocks(
        &self,
        direction: Direction,
        count: usize,
        precision: Precision,
        tile: Tile,
    ) -> [usize; 3] {
        let Tile { rows, columns, .. } = tile;
        let stride = self.taps[1];
        let vectors = self.vectors(precision);
        let across = vectors.min(THIN_VECTORS);
        let at_once = THREADS / across * THIN_EACH;
        let ([wide_channels, wide_high, wide_wide], [channels, high, wide]) =
            (self.wide, self.narrow);
        match (self.is_single_channel(), direction) {
            (true, Direction::Narrow) => {
                [(count * high * wide).div_ceil(at_once), vectors.div_ceil(across), 1]
            }
            (true, Direction::Wide) => {
                let cells = [wide_high, wide_wide].map(|it| (it + self.taps[2]).div_ceil(stride));
                [(count * cells[0] * cells[1]).div_ceil(at_once), 1, 1]
            }
            (true, Direction::Weight) => [count, vectors.div_ceil(across), 1],
            (false, Direction::Narrow) => {
                [(count * high * wide).div_ceil(rows), channels.div_ceil(columns), 1]
            }
            (false, Direction::Wide) => {
                let pixels = count * wide_high.div_ceil(stride) * wide_wide.div_ceil(stride);
                [pixels.div_ceil(rows), wide_channels.div_ceil(columns), stride * stride]
            }
            (false, Direction::Weight) => {
                let [down, across] = self.weight_tiles(tile);
                [down, across, count]
            }
        }
    }

    /// The tiles of the gradient of the weight, down and across.
    pub fn weight_tiles(&self, tile: Tile) -> [usize; 2] {
        let (rows, taps) = (self.narrow[0], self.wide[0] * self.taps[0] * self.taps[0]);
        [rows.div_ceil(tile.rows), taps.div_ceil(tile.columns)]
    }

    /// The name of the kernel of the n-th layer; a tile that is not the table's is in it.
    pub fn kernel(
        &self,
        at: usize,
        direction: Direction,
        precision: Precision,
        tile: Tile,
    ) -> String {
        let name = format!("{}_{at}", direction.name());
        if tile == self.tile(direction, precision) { name } else { format!("{name}_{tile}") }
    }

    /// The vectors of narrow channels.
    fn vectors(&self, precision: Precision) -> usize {
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

/// The unit of a product of the n-th layer, by itself, since these take longest to compile.
pub fn product(
    layer: &str,
    sides: &Sides,
    at: usize,
    precision: Precision,
    direction: Direction,
    tile: Tile,
) -> Unit {
    let Sides { wide, narrow, taps, transposed } = sides;
    let mut text = [PRODUCT, CONVOLUTION].concat().concat();
    let sizes: Vec<String> =
        wide.iter().chain(narrow).chain(taps).map(ToString::to_string).collect();
    let _ = write!(text, "\ntypedef Patches<{}> Layer;\n", sizes.join(", "));
    let is_single = sides.is_single_channel();
    let weight = if is_single { "const float* weight" } else { "const value* weight" };
    // A convolution is forward to its narrow image, and a transposed one to its wide one.
    let image = |from: &str, to: &str, channels: usize, forward: bool| {
        let (kind, types, args) = match forward {
            true => ("Output", "const float* bias, int relu", "bias, relu"),
            false => ("Gradient", "const value* over", "over"),
        };
        let types = format!("{weight}, const value* {from}, int images, {types}, value* {to}");
        (types, format!("weight, {from}, images, {kind}<{channels}>{{{to}, {args}}}"))
    };
    let (types, args) = match direction {
        Direction::Narrow => image("wide", "narrow", narrow[0], !transposed),
        Direction::Wide => image("narrow", "wide", wide[0], *transposed),
        Direction::Weight => (
            "const value* narrow, const value* wide, int images, int each, float* parts".to_owned(),
            "narrow, wide, images, each, parts".to_owned(),
        ),
    };
    let (kernel, name) = (sides.kernel(at, direction, precision, tile), direction.name());
    let Tile { rows, columns, blocks, stages } = tile;
    let does = match is_single {
        true => format!("thin_{name}<Layer>"),
        false => format!("to_{name}<Layer, TileOf<{rows}, {columns}, {stages}>::Tile>"),
    };
    let _ = write!(
        text,
        "extern \"C\" __global__ void __launch_bounds__(THREADS, {blocks}) {kernel}({types}) {{
    {does}({args});
}}
"
    );
    Unit::new(layer, precision, text, vec![kernel])
}
