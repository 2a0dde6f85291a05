//! Single kernels, run on the CPU as C++, beside their definitions written out as loops.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

mod cuda;
#[path = "cuda/stage.rs"]
mod stage;

use cuda::{compiler, say_skipped};
use ops::math::random::{Purpose, Random};
use ops::nn::cuda::Precision;
use ops::nn::cuda::driver::{Address, Arg};
use ops::nn::cuda::source::{Direction, Sides, units};
use stage::{Convolution, StageBuffers, close, draw, int, network};

#[test]
fn the_three_directions_of_a_convolution_are_those_of_its_definition() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let cases = [
        network(&[7, 33], 3, 2, [9, 14]),
        // Channels that fill whole steps and whole tiles of a product.
        network(&[16, 32, 48], 3, 2, [9, 14]),
        network(&[64, 128], 3, 2, [5, 6]),
        network(&[130, 2], 3, 2, [5, 4]),
        network(&[65, 8], 2, 2, [6, 5]),
        network(&[3, 9], 5, 3, [11, 13]),
        network(&[4], 1, 3, [7, 7]),
        network(&[5], 3, 1, [4, 6]),
    ];
    let precisions = [Precision::F32, Precision::Tf32];
    for (network, precision) in cases.iter().flat_map(|it| precisions.map(|of| (it, of))) {
        let mut bench = StageBuffers::new(&units(network, precision));
        for (at, layer) in network.encoder.iter().chain(&network.decoder).enumerate() {
            let Some(sides) = Sides::of(layer) else { continue };
            let case = Convolution::new(layer, precision, draw);
            for direction in Direction::ALL {
                let found = case.run(&mut bench, at, direction, sides.tile(direction, precision));
                close(&format!("{direction:?}"), &found, &case.expected(direction));
            }
        }
    }
}

/// C(m, n) = Σ a(m, k) b(k, n) in rows.
fn product(
    [rows, columns, inner]: [usize; 3],
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
) -> Vec<f64> {
    let places = (0..rows).flat_map(|m| (0..columns).map(move |n| (m, n)));
    let sum = |(m, n)| (0..inner).map(|k| f64::from(a(m, k)) * f64::from(b(k, n))).sum();
    places.map(sum).collect()
}

#[test]
fn products_of_linear_layers_are_sums_of_products() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let precisions = [Precision::F32, Precision::Tf32];
    let sizes = [(3, 5, 70, 32), (30, 32, 256, 64), (130, 40, 132, 96), (8, 1, 9, 32)];
    for (sizes, precision) in sizes.iter().flat_map(|it| precisions.map(|of| (*it, of))) {
        let mut bench = StageBuffers::new(&units(&network(&[2], 3, 2, [4, 4]), precision));
        let (rows, units, inside, each) = sizes;
        let (image, weight) = (draw(rows * inside, 0), draw(units * inside, 1));
        let (d, bias) = (draw(rows * units, 2), draw(inside, 3));
        let [image_at, weight_at, d_at, bias_at] =
            [&image, &weight, &d, &bias].map(|values| bench.put(values));
        let [lengths, with_each] = [&[rows, units, inside][..], &[rows, units, inside, each]]
            .map(|sizes| sizes.iter().map(|n| int(*n)).collect::<Vec<_>>());
        let call = |from: &[Address], middle: &[Arg], end: &[Arg]| -> Vec<Arg> {
            from.iter().map(|at| Arg::At(*at)).chain(middle.to_vec()).chain(end.to_vec()).collect()
        };
        let [x, y, wide, tall] =
            [rows.div_ceil(128), units.div_ceil(32), inside.div_ceil(128), inside.div_ceil(each)];
        let mut parts = |kernel: &str, from: &[Address], blocks: [usize; 3], expected: &[f64]| {
            let [parts, out] = [tall * expected.len(), expected.len()].map(|len| bench.room(len));
            bench.run(kernel, blocks, call(from, &with_each, &[Arg::At(parts)]));
            let mut args = vec![Arg::At(parts), int(tall), int(expected.len())];
            args.extend([Arg::At(Address::NONE), int(1), Arg::At(out)]);
            bench.run("sum_parts", [expected.len().div_ceil(32), 1, 1], args);
            close(kernel, &bench.get(out, expected.len()), expected);
        };
        let row_of = |row: usize, i: usize| image[row * inside + i];
        let expected = product([rows, units, inside], row_of, |i, u| weight[u * inside + i]);
        parts("head", &[image_at, weight_at], [x, y, tall], &expected);
        let expected = product([rows, units, inside], row_of, |i, u| weight[i * units + u]);
        parts("expand_back", &[image_at, weight_at], [x, y, tall], &expected);

        let mut whole =
            |kernel: &str, from: &[Address], blocks: [usize; 3], end: &[Arg], expected: &[f64]| {
                let out = bench.room(expected.len());
                let end: Vec<Arg> = end.iter().copied().chain([Arg::At(out)]).collect();
                bench.run(kernel, blocks, call(from, &lengths, &end));
                close(kernel, &bench.get(out, expected.len()), expected);
            };
        let expected = product([units, inside, rows], |u, row| d[row * units + u], row_of);
        let blocks = [units.div_ceil(32), wide, 1];
        whole("head_weight", &[d_at, image_at], blocks, &[], &expected);
        let expected =
            product([inside, units, rows], |i, row| row_of(row, i), |row, u| d[row * units + u]);
        whole("expand_weight", &[image_at, d_at], [wide, y, 1], &[], &expected);
        let expected = product(
            [rows, inside, units],
            |row, u| d[row * units + u],
            |u, i| weight[u * inside + i],
        );
        let none = Address::NONE;
        let blocks = [x, wide, 1];
        let end = [Arg::At(none)];
        whole("head_back", &[d_at, weight_at, none, none], blocks, &end, &expected);
        // The other head has the same numbers in another order, if they are enough.
        if inside >= rows && rows >= units {
            let other = product(
                [rows, inside, units],
                |row, u| weight[row * units + u],
                |u, i| image[u * inside + i],
            );
            let both = expected.iter().zip(&other).map(|(x, y)| x + y).zip(&image);
            let both: Vec<f64> = both.map(|(x, made)| if *made > 0.0 { x } else { 0.0 }).collect();
            let (from, end) = ([d_at, weight_at, weight_at, image_at], [Arg::At(image_at)]);
            whole("head_back", &from, blocks, &end, &both);
        }
        let mut expected = product(
            [rows, inside, units],
            |row, u| d[row * units + u],
            |u, i| weight[i * units + u],
        );
        for (at, value) in expected.iter_mut().enumerate() {
            *value = (*value + f64::from(bias[at % inside])).max(0.0);
        }
        let end = [Arg::At(bias_at), int(1)];
        whole("expand", &[d_at, weight_at], [x, wide, 1], &end, &expected);
    }
}

#[test]
fn noise_is_that_of_the_cpu() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let mut bench = StageBuffers::new(&units(&network(&[2], 3, 2, [4, 4]), Precision::F32));
    let (length, seed, step) = (1000, 0x1234_5678_9abc_def0_u64, 77_u32);
    let zeros = bench.put(&vec![0.0; length]);
    // Step, batch, weight, capacity, seed: the clock of the kernels.
    let words = [step, 0, 0, 0, seed as u32, (seed >> 32) as u32].map(f32::from_bits);
    let (clock, noise, sample) = (bench.put(&words), bench.room(length), bench.room(length));
    let mut args = vec![Arg::At(zeros), Arg::At(zeros), Arg::At(clock), int(length)];
    args.extend([noise, sample].map(Arg::At));
    bench.run("latent", [length.div_ceil(256), 1, 1], args);
    let mut random = Random::new(seed, Purpose::Noise, step);
    let expected: Vec<f32> = (0..length).map(|_| random.normal() as f32).collect();
    // The C library's logarithm and cosine may differ from Rust's in the last bit of a double.
    for (got, expected) in bench.get(noise, length).iter().zip(&expected) {
        assert!((got - expected).abs() <= f32::EPSILON * expected.abs(), "{got} {expected}");
    }
    assert_eq!(bench.get(noise, length), bench.get(sample, length));
}
