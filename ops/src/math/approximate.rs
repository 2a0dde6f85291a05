//! Approximate nearest neighbours, for points so many that comparing all pairs takes too long.
//!
//! k-means divides the points into cells, and each point is compared with those of the cells whose
//! centres are nearest to it (an inverted file). How many cells that must be, the exact neighbours
//! of some points tell. What is missed is looked for among the neighbours of neighbours, and other
//! points tell how much was found.
//!
//! Sources: Jégou, Douze & Schmid 2011 and `IndexIVFFlat` of Faiss for the cells; Dong, Moses & Li
//! 2011 (NN-descent) for the neighbours of neighbours.

use super::{
    kmeans::{Cancelled, Points, lloyd, random_rows},
    nearest::Nearest,
    neighbors::Neighbors,
    pairwise::{LANES, Packed, Stored},
    random::{Purpose, Random},
};
use rayon::prelude::*;
use std::array::from_fn;

/// The number of points whose exact neighbours decide how many cells are searched, and of others
/// that tell what was found.
pub const SAMPLED: usize = 1000;
/// The share of exact neighbours that the searched cells must hold.
const HELD: f64 = 0.9;
/// The number of passes over neighbours of neighbours.
const PASSES: usize = 1;
/// The points of the sample that places the centres, for each cell.
const SAMPLE: usize = 40;
/// The iterations of k-means: cells need not be the best ones.
const ITERATIONS: usize = 8;
/// The number of points that one thread takes at once.
const CHUNK: usize = 512;
/// The number of rows whose distances are computed at once.
const ROWS: usize = 4;

/// Neighbours of which some may not be the nearest.
#[derive(Clone, Debug)]
pub struct Approximate {
    /// The neighbours found.
    pub near: Neighbors,
    /// The share of the true neighbours of `sampled` points that are among those found.
    pub recall: f64,
    /// The number of points whose true neighbours were computed for it.
    pub sampled: usize,
}

impl Approximate {
    /// Finds `each` neighbours of all row-major points, from 2 up to the number of points. `None`
    /// if `cancelled` returns true.
    pub fn new<S: Stored>(
        x: &[S],
        n_features: usize,
        each: usize,
        seed: u64,
        cancelled: Cancelled<'_>,
    ) -> Option<Self> {
        let n = x.len() / n_features;
        let sampled = SAMPLED.min(n / 2).max(1);
        let [first, second] = [0, n / sampled / 2].map(|shift| -> Vec<usize> {
            (0..sampled).map(|at| at * n / sampled + shift).collect()
        });
        let cells = Cells::new(x, n_features, seed, cancelled)?;
        let exact = Neighbors::of_rows(x, n_features, &first, each, cancelled)?;
        let searched = cells.holding(&exact, &first);
        if 2 * searched > cells.members.len() {
            // Nothing would be saved.
            let near = Neighbors::new(x, n_features, each, cancelled)?;
            return Some(Self { near, recall: 1.0, sampled: n });
        }
        let mut near = cells.search(searched, each, cancelled)?;
        for _ in 0..PASSES {
            near = improved(x, n_features, &near, cancelled)?;
        }
        let exact = Neighbors::of_rows(x, n_features, &second, each, cancelled)?;
        let recall = recall(&near, &exact, &second);
        Some(Self { near, recall, sampled })
    }
}

/// The share of the exact neighbours of some points that are found; equally near ones will do.
fn recall(near: &Neighbors, exact: &Neighbors, rows: &[usize]) -> f64 {
    let each = near.each;
    let found = rows.iter().zip(exact.rows()).map(|(row, (_, exact))| {
        let farthest = exact[each - 1];
        near.squares[row * each..][1..each].iter().filter(|square| **square <= farthest).count()
    });
    found.sum::<usize>() as f64 / (rows.len() * (each - 1)).max(1) as f64
}

/// Points in cells around centres.
struct Cells<'a, S> {
    x: &'a [S],
    n_features: usize,
    centres: Packed<f64>,
    of: Vec<u32>,
    members: Vec<Vec<u32>>,
    points: Vec<Packed<S>>,
}

impl<'a, S: Stored> Cells<'a, S> {
    /// About 2 √n cells, so that finding a cell costs what searching some of them does.
    fn new(x: &'a [S], n_features: usize, seed: u64, cancelled: Cancelled<'_>) -> Option<Self> {
        let n = x.len() / n_features;
        let count = ((2.0 * (n as f64).sqrt()) as usize).clamp(1, n);
        let sample = (SAMPLE * count).min(n);
        let row = |index: usize| &x[index * n_features..][..n_features];
        let sample: Vec<S> = (0..sample).flat_map(|at| row(at * n / sample)).copied().collect();
        let points = Points::new(&sample, n_features);
        let start = random_rows(&points, count, &mut Random::new(seed, Purpose::Cells, 0));
        let centres = lloyd(&points, &start, 0.0, ITERATIONS, cancelled).centres;
        let fit = lloyd(&Points::new(x, n_features), &centres, 0.0, 0, cancelled);
        if cancelled() {
            return None;
        }
        let mut members = vec![Vec::new(); count];
        for (index, &cell) in (0..).zip(&fit.labels) {
            members[cell as usize].push(index);
        }
        let pack = |members: &Vec<u32>| {
            Packed::new(members.iter().map(|&index| row(index as usize)), n_features)
        };
        let points = members.par_iter().map(pack).collect();
        let centres = Packed::new(centres.chunks_exact(n_features), n_features);
        Some(Self { x, n_features, centres, of: fit.labels, members, points })
    }

    fn row(&self, index: usize) -> Vec<f64> {
        self.x[index * self.n_features..][..self.n_features].iter().map(|&x| x.into()).collect()
    }

    /// The cells with the squared distances of their centres from a point.
    fn squares(&self, row: &[f64]) -> Vec<(u64, u32)> {
        let mut squares = vec![0.0; self.centres.groups() * LANES];
        self.centres.squares([row], 0, &mut squares);
        // The bits of non-negative numbers have the order of the values.
        let cells = squares[..self.centres.len()].iter().zip(0..);
        cells.map(|(square, cell)| (square.to_bits(), cell)).collect()
    }

    /// The number of nearest cells that hold [`HELD`] of these exact neighbours of points.
    fn holding(&self, exact: &Neighbors, rows: &[usize]) -> usize {
        let ranks = |(&row, (near, _)): (&usize, (&[u32], _))| {
            let mut order = self.squares(&self.row(row));
            order.sort_unstable();
            let mut rank = vec![0; order.len()];
            order.iter().zip(0..).for_each(|(&(_, cell), at)| rank[cell as usize] = at);
            near[1..].iter().map(|&at| rank[self.of[at as usize] as usize]).collect::<Vec<usize>>()
        };
        let mut ranks: Vec<usize> = rows.iter().zip(exact.rows()).flat_map(ranks).collect();
        ranks.sort_unstable();
        ranks.get((ranks.len() as f64 * HELD) as usize).map_or(1, |rank| rank + 1)
    }

    /// The nearest cells of a point, the very nearest first: `count`, or as many as hold `least`
    /// points.
    fn nearest(&self, row: &[f64], count: usize, least: usize) -> Vec<u32> {
        let mut order = self.squares(row);
        order.select_nth_unstable(count - 1);
        order[..count].sort_unstable();
        let size = |cells: &[(u64, u32)]| -> usize {
            cells.iter().map(|cell| self.members[cell.1 as usize].len()).sum()
        };
        let mut taken = count;
        if size(&order[..count]) < least {
            order.sort_unstable();
            while size(&order[..taken]) < least {
                taken += 1;
            }
        }
        order[..taken].iter().map(|cell| cell.1).collect()
    }

    /// The neighbours of all points in the `searched` cells nearest to each.
    fn search(&self, searched: usize, each: usize, cancelled: Cancelled<'_>) -> Option<Neighbors> {
        // Points of a cell look into about the same ones.
        let order: Vec<u32> = self.members.concat();
        let found: Option<Vec<Vec<Nearest>>> = order
            .par_chunks(CHUNK)
            .map(|chunk| (!cancelled()).then(|| self.search_for(chunk, searched, each)))
            .collect();
        let mut found: Vec<Nearest> = found?.into_iter().flatten().collect();
        found.sort_unstable_by_key(Nearest::of);
        Some(Neighbors::from_nearest(found, each))
    }

    fn search_for(&self, chunk: &[u32], searched: usize, each: usize) -> Vec<Nearest> {
        let rows: Vec<Vec<f64>> = chunk.iter().map(|&index| self.row(index as usize)).collect();
        let cells: Vec<Vec<u32>> =
            rows.iter().map(|row| self.nearest(row, searched, each)).collect();
        let mut found: Vec<Nearest> =
            chunk.iter().map(|&index| Nearest::new(index as usize, each)).collect();
        let mut squares = Vec::new();
        // Near ones first, so that most of the others are seen to be farther at once.
        for is_first in [true, false] {
            let mut looking: Vec<Vec<usize>> = vec![Vec::new(); self.members.len()];
            for (place, cells) in cells.iter().enumerate() {
                let (own, others) = cells.split_at(1);
                let cells = if is_first { own } else { others };
                cells.iter().for_each(|&cell| looking[cell as usize].push(place));
            }
            for ((members, points), places) in self.members.iter().zip(&self.points).zip(&looking) {
                let length = points.groups() * LANES;
                squares.resize(ROWS * length, 0.0);
                for block in places.chunks(ROWS) {
                    let near: [&[f64]; ROWS] =
                        from_fn(|at| rows[block[at.min(block.len() - 1)]].as_slice());
                    points.squares(near, 0, &mut squares);
                    for (line, &place) in squares.chunks_exact(length.max(1)).zip(block) {
                        found[place].offer(&line[..members.len()], |at| members[at]);
                    }
                }
            }
        }
        found
    }
}

/// The nearest of the neighbours of each point and of their neighbours.
fn improved<S: Stored>(
    x: &[S],
    n_features: usize,
    near: &Neighbors,
    cancelled: Cancelled<'_>,
) -> Option<Neighbors> {
    let (each, n) = (near.each, x.len() / n_features);
    let row = |index: u32| &x[index as usize * n_features..][..n_features];
    let own = |index: u32| &near.indices[index as usize * each..][..each];
    let found: Option<Vec<Vec<Nearest>>> = (0..n.div_ceil(CHUNK))
        .into_par_iter()
        .map_init(
            || vec![u32::MAX; n],
            |seen, chunk| {
                let better = |index: u32| {
                    let mut others = Vec::with_capacity(each * each);
                    for &other in own(index).iter().flat_map(|&other| own(other)) {
                        if std::mem::replace(&mut seen[other as usize], index) != index {
                            others.push(other);
                        }
                    }
                    let points = Packed::new(others.iter().map(|&other| row(other)), n_features);
                    let from: Vec<f64> = row(index).iter().map(|&value| value.into()).collect();
                    let mut squares = vec![0.0; points.groups() * LANES];
                    points.squares([&from], 0, &mut squares);
                    let mut nearest = Nearest::new(index as usize, each);
                    nearest.offer(&squares[..others.len()], |at| others[at]);
                    nearest
                };
                let first = chunk * CHUNK;
                let rows = first as u32..(first + CHUNK).min(n) as u32;
                (!cancelled()).then(|| rows.map(better).collect())
            },
        )
        .collect();
    Some(Neighbors::from_nearest(found?.into_iter().flatten().collect(), each))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clouds around twelve places.
    fn clouds(n: usize, n_features: usize) -> Vec<f32> {
        let mut random = Random::new(3, Purpose::Null, 0);
        let places: Vec<f64> = (0..12 * n_features).map(|_| 2.0 * random.normal()).collect();
        let value = |at: usize| {
            let place = places[at / n_features % 12 * n_features + at % n_features];
            (place + random.normal()) as f32
        };
        (0..n * n_features).map(value).collect()
    }

    fn find(x: &[f32], n_features: usize, each: usize) -> Approximate {
        Approximate::new(x, n_features, each, 5, &|| false).expect("it is not cancelled")
    }

    #[test]
    fn most_neighbours_are_found_and_the_recall_is_what_is_said() {
        let (n, width, each) = (6000, 10, 12);
        let x = clouds(n, width);
        let found = find(&x, width, each);
        let exact = Neighbors::new(&x, width, each, &|| false).expect("neighbours");
        let all: Vec<usize> = (0..n).collect();
        let of_all = recall(&found.near, &exact, &all);
        assert!(of_all > 0.97 && of_all < 1.0, "{of_all}");
        assert!((found.recall - of_all).abs() < 0.01, "{} {of_all}", found.recall);
        for (row, (indices, squares)) in found.near.rows().enumerate() {
            assert_eq!((indices[0], squares[0]), (row as u32, 0.0));
            assert!(squares.windows(2).all(|pair| pair[0] <= pair[1]));
            let mut others = indices.to_vec();
            others.sort_unstable();
            others.dedup();
            assert_eq!(others.len(), each, "{row}");
            for (&other, &square) in indices.iter().zip(squares) {
                let of = |at: usize| x[at * width..][..width].iter().map(|x| f64::from(*x));
                let true_one = of(row).zip(of(other as usize)).map(|(a, b)| (b - a).powi(2));
                assert_eq!(square, true_one.sum::<f64>());
            }
        }
    }

    #[test]
    fn it_is_the_same_at_any_number_of_threads() {
        let x = clouds(3000, 6);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads").install(|| find(&x, 6, 8).near)
        };
        let (one, three) = (with(1), with(3));
        assert_eq!(one.indices, three.indices);
        assert_eq!(one.squares, three.squares);
    }

    #[test]
    fn few_points_many_neighbours_and_points_that_coincide() {
        for (n, each) in [(2, 2), (9, 9), (400, 300), (500, 3)] {
            let x = clouds(n, 4);
            let found = find(&x, 4, each);
            assert_eq!(found.near.indices.len(), n * each, "{n} {each}");
            assert!(found.recall > 0.9, "{n} {each}: {}", found.recall);
        }
        let found = find(&[1.5; 3 * 900], 3, 10);
        assert!(found.near.squares.iter().all(|square| *square == 0.0));
        assert_eq!(found.recall, 1.0);
        assert!(Approximate::new(&[0.0, 1.0, 2.0], 1, 2, 0, &|| true).is_none());
    }
}
