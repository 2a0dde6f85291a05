//! The tiles of products that are worth timing.

use super::super::source::{Direction, Sides, Tile};
use super::super::{Precision, Precision::Bf16};

/// What is timed beside the table's tile, by the most channels of the image that is made. A larger tile reads less shared
/// memory for a multiplication. With more blocks a processor has more to do while one waits for memory, with smaller
/// tiles more processors have something to do, and with more stages a block asks earlier for what it multiplies and keeps
/// nothing of it in registers. What does not fit into registers is not here.
const OF_IMAGES: [(usize, &[Tile]); 3] = [
    (
        32,
        &[
            Tile::new(256, 32, 2),
            Tile::new(128, 32, 2),
            Tile::new(128, 32, 4),
            Tile::new(128, 32, 3).staged(4),
        ],
    ),
    (
        64,
        &[
            Tile::new(256, 64, 2),
            Tile::new(128, 64, 2),
            Tile::new(64, 64, 4),
            Tile::new(128, 64, 3).staged(3),
        ],
    ),
    (
        usize::MAX,
        &[
            Tile::new(256, 128, 1),
            Tile::new(256, 64, 2),
            Tile::new(128, 64, 3),
            Tile::new(64, 128, 3),
            Tile::new(128, 128, 2).staged(3),
            Tile::new(128, 64, 3).staged(3),
        ],
    ),
];
/// The same for gradients of weights, by the most narrow channels. These have few tiles and long sums.
const OF_WEIGHTS: [(usize, &[Tile]); 3] = [
    (32, &[Tile::new(32, 256, 2), Tile::new(32, 128, 3), Tile::new(32, 128, 3).staged(3)]),
    (
        64,
        &[
            Tile::new(64, 256, 2),
            Tile::new(64, 128, 3),
            Tile::new(64, 64, 4),
            Tile::new(64, 128, 3).staged(3),
        ],
    ),
    (
        usize::MAX,
        &[
            Tile::new(128, 256, 1),
            Tile::new(64, 256, 2),
            Tile::new(64, 128, 3),
            Tile::new(128, 64, 3),
            Tile::new(128, 128, 2).staged(3),
            Tile::new(64, 128, 3).staged(3),
        ],
    ),
];

/// The bytes of shared memory that a block may have without asking.
const SHARED: usize = 48 << 10;
/// The tiles that are timed beside the table's; none in single precision.
pub fn candidates(sides: &Sides, direction: Direction, precision: Precision) -> Vec<Tile> {
    if precision == Precision::F32 || sides.is_single_channel() {
        return Vec::new();
    }
    let (table, channels, transposed) = match direction {
        Direction::Narrow => (OF_IMAGES, sides.narrow[0], 0),
        Direction::Wide => (OF_IMAGES, sides.wide[0], 1),
        Direction::Weight => (OF_WEIGHTS, sides.narrow[0], 2),
    };
    // Each stage has both factors, of 64 bytes a row; where one lies transposed, words have a margin.
    let margin = if precision == Bf16 { 0 } else { 256 * transposed };
    let fits = |tile: &Tile| tile.stages * (64 * (tile.rows + tile.columns) + margin) <= SHARED;
    // Copies past the registers move whole chunks alone.
    let is_whole =
        [sides.wide, sides.narrow].iter().all(|image| image[0] % precision.values() == 0);
    let row = table.iter().find(|(most, _)| channels <= *most);
    let all = row.into_iter().flat_map(|(_, tiles)| tiles.iter().copied());
    all.filter(|tile| fits(tile) && (tile.stages == 2 || is_whole)).collect()
}
