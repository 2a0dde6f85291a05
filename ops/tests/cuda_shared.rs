//! How the products of matrices use shared memory, counted on the CPU: the passes that a GPU takes to serve each warp.
//!
//! Shared memory has 32 banks, and a pass gets one word from each. Eight lanes are served at once where each moves sixteen
//! bytes (also those that name the rows of a square to `ldmatrix`), all 32 where each moves four. Words of one bank take
//! as many passes as they are; a word that several lanes read takes one.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

mod cuda;

use cuda::{Emulator, compiler, say_skipped};
use ops::nn::cuda::driver::{Address, Arg, Driver, Launch};
use ops::nn::cuda::source::{Direction, Sides, Unit, product, units};
use ops::nn::cuda::tuning::candidates;
use ops::nn::cuda::{Precision, plan};
use ops::nn::layers::{Architecture, Network};

/// One image has more pixels than the largest tile has rows.
const IMAGES: usize = 1;
/// Rows of the products of linear layers.
const ROWS: usize = 8;

fn int(n: usize) -> Arg {
    Arg::Int(n as i32)
}

/// The products of a network's convolutions and linear layers, each with one block of each kind, and the units of those
/// whose tile is not the table's. The decoder's tiles are those of the encoder.
fn launches(
    network: &Network,
    precision: Precision,
    mut room: impl FnMut(usize) -> Arg,
) -> (Vec<Launch>, Vec<Unit>) {
    let none = Arg::At(Address::NONE);
    let (mut launches, mut others) = (Vec::new(), Vec::new());
    let mut add = |kernel: String, blocks: u32, args: Vec<Arg>| {
        launches.push(Launch { kernel, blocks: [1, 1, blocks], threads: 256, args });
    };
    for (at, layer) in network.encoder.iter().chain(&network.decoder).enumerate() {
        let Some(sides) = Sides::of(layer).filter(|sides| !sides.is_single_channel()) else {
            continue;
        };
        let [wide, narrow] =
            [sides.wide, sides.narrow].map(|s| room(IMAGES * s.iter().product::<usize>()));
        let weight = room(layer.weight_len());
        let stride = sides.taps[1] as u32;
        let ends = |is_forward: bool| if is_forward { vec![none, int(1)] } else { vec![none] };
        let args = |from, is_forward, to| {
            let end = ends(is_forward).into_iter().chain([to]);
            [weight, from, int(IMAGES)].into_iter().chain(end).collect()
        };
        let cut = plan::weight_parts(layer, IMAGES).unwrap();
        let parts = room(cut.count * layer.weight_len());
        for direction in Direction::ALL {
            let (blocks, args): (_, Vec<Arg>) = match direction {
                Direction::Narrow => (1, args(wide, !sides.transposed, narrow)),
                Direction::Wide => (stride * stride, args(narrow, sides.transposed, wide)),
                Direction::Weight => (1, vec![narrow, wide, int(IMAGES), int(cut.each), parts]),
            };
            let table = sides.tile(direction, precision);
            add(sides.kernel(at, direction, precision, table), blocks, args.clone());
            for tile in candidates(&sides, direction, precision) {
                if at < network.encoder.len() {
                    others.push(product("other", &sides, at, precision, direction, tile));
                    add(sides.kernel(at, direction, precision, tile), blocks, args.clone());
                }
            }
        }
    }
    let (head, expand) = (&network.mean, &network.decoder[0]);
    let (units, inside) = (head.output_len(), head.input_len());
    let [image, other, few, weight, parts] =
        [ROWS * inside, ROWS * inside, ROWS * units, units * inside, units * inside].map(room);
    let lengths = [ROWS, units, inside].map(int);
    let args = |from: &[Arg], end: &[Arg]| [from, &lengths, end].concat();
    let each = plan::head_parts(head, ROWS).each;
    add("head".to_owned(), 1, args(&[image, weight], &[int(each), parts]));
    let each = plan::sample_parts(expand, ROWS).each;
    add("expand_back".to_owned(), 1, args(&[image, weight], &[int(each), parts]));
    add("head_weight".to_owned(), 1, args(&[few, image], &[parts]));
    add("expand_weight".to_owned(), 1, args(&[image, few], &[parts]));
    add("head_back".to_owned(), 1, args(&[few, weight, few, weight], &[none, other]));
    add("expand".to_owned(), 1, args(&[few, weight], &[none, int(1), other]));
    (launches, others)
}

#[test]
fn products_meet_no_bank_of_shared_memory_twice_in_a_pass() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let network = Network::new(&Architecture::published(true));
    let mut table = String::new();
    for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
        let mut emulator = Emulator::new();
        let room = |len| Arg::At(emulator.reserve(4 * len as u64).unwrap());
        let (launches, others) = launches(&network, precision, room);
        let mut wanted = units(&network, precision);
        wanted.retain(|unit| launches.iter().any(|it| unit.kernels.contains(&it.kernel)));
        wanted.extend(others);
        emulator.load(&wanted).unwrap();
        for launch in &launches {
            let counted = emulator.count(launch);
            let [writes, reads] = counted.map(|it| {
                let [passes, least] =
                    [it.passes, it.least].map(|passes| passes as f64 / it.count as f64);
                format!("{passes:.2} passes of at least {least:.2}")
            });
            let kernel = &launch.kernel;
            // Of other tiles than the table's there are many; what is asserted below is enough.
            if kernel.matches('_').count() < 2 {
                table +=
                    &format!("{precision:?} {kernel}: a write takes {writes}, a read {reads}\n");
            }
            for (it, what) in counted.iter().zip(["write", "read"]) {
                assert!(it.count > 0, "{kernel} does not {what} shared memory");
                assert_eq!(
                    it.passes, it.least,
                    "{precision:?} {kernel}: banks conflict when it {what}s"
                );
            }
        }
    }
    insta::assert_snapshot!(table);
}
