//! The tiles of products: every one gives the same bits, and the quickest is chosen and kept.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

mod cuda;
#[path = "cuda/plans.rs"]
mod plans;
#[path = "cuda/stage.rs"]
mod stage;

use cuda::{Clock, Emulator, compiler, say_skipped};
use ops::Detached;
use ops::nn::backend::{Backend, Batches, State};
use ops::nn::cuda::Precision::{self, Bf16, F32, Tf32};
use ops::nn::cuda::driver::{CudaError, TuningContext};
use ops::nn::cuda::parity::clips;
use ops::nn::cuda::source::{Direction, Sides, product, units};
use ops::nn::cuda::trainer::OnDevice;
use ops::nn::cuda::tuning::candidates;
use ops::nn::fit::Plan;
use plans::plan;
use stage::{Convolution, StageBuffers, draw_apart, network};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Numbers that tf32 cannot hold, next to ones that it can.
fn draw_unrounded(len: usize, index: u32) -> Vec<f32> {
    draw_apart(len, index).iter().map(|x| x * (1.0 + 2.0_f32.powi(-12))).collect()
}

#[test]
fn every_tile_gives_the_same_bits_and_the_numbers_of_the_definition() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let mut tiles = BTreeSet::new();
    // More pixels than the largest tile has rows, channels below and above each side of the table, whole chunks and not.
    // Only whole ones are copied past the registers, so the last two are for tiles that do that.
    let networks = [&[20, 40, 70][..], &[72, 20], &[16, 40, 72], &[72, 32]];
    for (which, channels) in networks.into_iter().enumerate() {
        let network = network(channels, 3, 2, [40, 44]);
        for precision in [Tf32, Bf16] {
            for (at, layer) in network.encoder.iter().enumerate().skip(1) {
                let sides = Sides::of(layer).unwrap();
                let unrounded = which >= 2 && precision == Tf32;
                let draw = if unrounded { draw_unrounded } else { draw_apart };
                let case = Convolution::new(layer, precision, draw);
                for direction in Direction::ALL {
                    let table = sides.tile(direction, precision);
                    let all: Vec<_> = [table]
                        .into_iter()
                        .chain(candidates(&sides, direction, precision))
                        .filter(|tile| which < 2 || *tile == table || tile.stages > 2)
                        .collect();
                    assert!(all.len() > 1, "{direction:?} of {sides:?}");
                    let of = |tile| product("a layer", &sides, at, precision, direction, tile);
                    let mut loaded: Vec<_> = all.iter().map(|tile| of(*tile)).collect();
                    loaded.push(units(&network, precision).remove(0));
                    let mut bench = StageBuffers::new(&loaded);
                    let expected = case.expected(direction);
                    let first = case.run(&mut bench, at, direction, table);
                    // Other factors are exact; an image of bf16 is rounded.
                    let rounded = precision == Bf16 && direction != Direction::Weight;
                    let most = match (rounded, unrounded) {
                        (true, _) => 1.0 / 256.0,
                        (_, true) => 1e-3,
                        _ => 1e-5,
                    };
                    let scale = expected.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
                    for (got, expected) in first.iter().zip(&expected) {
                        let apart = (f64::from(*got) - expected).abs();
                        assert!(apart <= most * scale, "{got} instead of {expected}");
                    }
                    let bits =
                        |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    for (turn, tile) in all.into_iter().enumerate() {
                        bench.0.backwards = turn % 2 == 1;
                        let found = case.run(&mut bench, at, direction, tile);
                        assert!(
                            bits(&found) == bits(&first),
                            "{direction:?} {tile} in {precision:?}: {:?}",
                            found.iter().zip(&first).position(|(a, b)| a.to_bits() != b.to_bits())
                        );
                        tiles.insert(format!("{precision:?} {direction:?} {tile}"));
                    }
                }
            }
        }
    }
    // Which there are: each product has two to six beside that of the table.
    insta::assert_snapshot!(tiles.into_iter().collect::<Vec<_>>().join("\n"));
}

/// A network with six products whose tiles may be chosen.
fn small(precision: Precision) -> Plan {
    Plan { precision, ..plan(&[4, 40], true) }
}

/// A device with a tuning context, and the kernels that it times.
struct Bed {
    folder: Option<PathBuf>,
    device: &'static str,
    timed: Arc<Mutex<Vec<String>>>,
}

impl Bed {
    fn new(folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()), device: "a GPU", timed: Arc::default() }
    }

    fn emulator(&self, seconds: fn(&str) -> Result<Option<f64>, CudaError>) -> Emulator {
        let timed = Arc::clone(&self.timed);
        let clock: Clock = Arc::new(move |launch| {
            timed.lock().unwrap().push(launch.kernel.clone());
            seconds(&launch.kernel)
        });
        let tuning = TuningContext { folder: self.folder.clone(), device: self.device.to_owned() };
        Emulator { tuning: Some((tuning, clock)), ..Emulator::new() }
    }

    /// How many launches were timed since this was last asked.
    fn timed(&self) -> usize {
        std::mem::take(&mut *self.timed.lock().unwrap()).len()
    }
}

/// Two steps of training: the kernels of its products, all kernels that were loaded for them, and the state after it.
fn train(plan: &Plan, driver: Emulator) -> (Vec<String>, Vec<String>, State) {
    let data = clips(21, plan.architecture.input);
    let mut model = OnDevice::new(driver, plan, &data, 1).unwrap();
    model.restore(&State::start(&plan.network(), 1)).unwrap();
    let order: Vec<u32> = (0..16).collect();
    let batches = Batches { epoch: 1, order: &order, beta: 1.0, steps_before: 0 };
    model.train(&batches, &Detached::with_seed(1), &mut |_, _| Ok(())).unwrap();
    let state = model.state().unwrap();
    let is_product = |name: &&String| {
        let directions = ["narrow_", "wide_", "weight_"];
        // Those of the first and the last layer have one wide channel.
        let is_thin = name.ends_with("_0") || name.ends_with("_4");
        directions.iter().any(|it| name.starts_with(it)) && !is_thin
    };
    let device = model.driver();
    let launched = device.recordings[0].iter().map(|launch| &launch.kernel).filter(is_product);
    let launched: BTreeSet<String> = launched.cloned().collect();
    let loaded: BTreeSet<String> = device.kernels.keys().filter(is_product).cloned().collect();
    (launched.into_iter().collect(), loaded.into_iter().collect(), state)
}

/// The first of the other tiles of each product is twice as quick.
fn large_is_quick(kernel: &str) -> Result<Option<f64>, CudaError> {
    Ok(Some(if kernel.contains("256") { 1e-5 } else { 2e-5 }))
}

fn never(kernel: &str) -> Result<Option<f64>, CudaError> {
    panic!("{kernel} is timed")
}

const TABLE: [&str; 6] = ["narrow_1", "narrow_3", "weight_1", "weight_3", "wide_1", "wide_3"];
const LARGE: [&str; 6] = [
    "narrow_1_256x64x2",
    "narrow_3_256x64x2",
    "weight_1_64x256x2",
    "weight_3_64x256x2",
    "wide_1_256x32x2",
    "wide_3_256x32x2",
];
/// The table's tile of each, and three others.
const ALL: usize = 6 * 4;
/// In tf32 the channels are whole chunks: there is one more, which copies past the registers.
const ALL_IN_TF32: usize = 6 * 5;

#[test]
fn the_quickest_tile_is_chosen_and_kept() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let root = tempfile::tempdir().unwrap();
    let bed = Bed::new(root.path());
    let plan = small(Bf16);
    let (kernels, _, state) = train(&plan, Emulator::new());
    assert_eq!(kernels, TABLE);

    let first = train(&plan, bed.emulator(large_is_quick));
    assert_eq!((&first.0[..], &first.2), (&LARGE.map(str::to_owned)[..], &state));
    assert_eq!((bed.timed(), first.1.len()), (ALL, ALL), "all are timed, and loaded for that");

    // The next model takes them up: it times nothing and loads no others.
    let next = train(&plan, bed.emulator(never));
    assert_eq!((&next.0, &next.1, &next.2), (&first.0, &first.0, &state));

    let mut files: Vec<PathBuf> =
        root.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 6);
    // A damaged file, and one that belongs to another product.
    let whole = std::fs::read(&files[0]).unwrap();
    std::fs::write(&files[0], &whole[..whole.len() - 1]).unwrap();
    let chosen = |path: &PathBuf| {
        let text = String::from_utf8(std::fs::read(path).unwrap()).unwrap();
        text.split("chosen").nth(1).unwrap().to_owned()
    };
    let mut rest = files[1..].iter();
    let alike = rest.find_map(|one| {
        let other = files[1..].iter().find(|it| *it != one && chosen(it) == chosen(one));
        Some((one, other?))
    });
    let (one, other) = alike.unwrap();
    std::fs::copy(one, other).unwrap();
    let mended = train(&plan, bed.emulator(large_is_quick));
    assert_eq!((&mended.0, &mended.2, bed.timed()), (&first.0, &state, 8));
    assert_eq!(std::fs::read(&files[0]).unwrap(), whole);
    assert_eq!(train(&plan, bed.emulator(never)).0, first.0);

    // Other batches, and another GPU or compiler.
    train(&Plan { batch_size: 7, ..plan.clone() }, bed.emulator(large_is_quick));
    assert_eq!(bed.timed(), ALL);
    let other = Bed { device: "another GPU", ..bed };
    let all_alike = train(&plan, other.emulator(|_| Ok(Some(1e-5))));
    assert_eq!((&all_alike.0[..], other.timed()), (&TABLE.map(str::to_owned)[..], ALL));
    // That nothing is quicker than the table is kept too.
    let (kernels, loaded, _) = train(&plan, other.emulator(never));
    assert_eq!((&kernels, &loaded), (&all_alike.0, &all_alike.0));
}

#[test]
fn whatever_fails_in_timing_leaves_the_table() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let root = tempfile::tempdir().unwrap();
    let bed = Bed::new(root.path());
    let plan = small(Tf32);
    let (table, _, state) = train(&plan, Emulator::new());
    // It does not time in single precision.
    assert_eq!(train(&small(F32), bed.emulator(never)).0, TABLE);

    let fails = |_: &str| Err(CudaError::new("cuEventElapsedTime", "no"));
    let none = |_: &str| Ok(None);
    let senseless = |_: &str| Ok(Some(f64::NAN));
    for (clock, timed) in [(fails as fn(&str) -> _, 1), (none, 1), (senseless, 1)] {
        let found = train(&plan, bed.emulator(clock));
        assert_eq!((&found.0, &found.2, bed.timed()), (&table, &state, timed));
    }
    // What was chosen before a failure stays.
    let late = |kernel: &str| match kernel.starts_with("weight") {
        true => Err(CudaError::new("cuEventElapsedTime", "no")),
        false => large_is_quick(kernel),
    };
    let found = train(&plan, bed.emulator(late));
    assert_eq!((&found.0[0][..], &found.0[2][..], &found.2), (LARGE[0], TABLE[2], &state));
    assert_eq!(root.path().read_dir().unwrap().count(), 2);
    bed.timed();

    // A folder that cannot be made.
    let file = root.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let nowhere = Bed::new(&file.join("below"));
    for _ in 0..2 {
        let found = train(&plan, nowhere.emulator(large_is_quick));
        assert_eq!((&found.0[..], &found.2), (&LARGE.map(str::to_owned)[..], &state));
        assert_eq!(nowhere.timed(), ALL_IN_TF32);
    }

    // The second launch is the first other tile of the first product: what it wrote is wrong.
    let wrong = Emulator { falsifies: Some(2), ..nowhere.emulator(large_is_quick) };
    let found = train(&plan, wrong);
    assert_eq!((&found.0[0][..], &found.0[1][..], &found.2), (TABLE[0], LARGE[1], &state));
    assert_eq!(nowhere.timed(), ALL_IN_TF32 - 1);
}

#[test]
fn models_that_open_at_once_time_once() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let root = tempfile::tempdir().unwrap();
    let (bed, plan) = (Bed::new(root.path()), small(Bf16));
    let opened = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                assert_eq!(train(&plan, bed.emulator(large_is_quick)).0, LARGE);
                opened.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!((opened.into_inner(), bed.timed()), (3, ALL));
}
