//! Single kernels, run on the CPU as C++, beside their definitions written out as loops.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

mod cuda;

use cuda::{Emulator, compiler, say_skipped};
use ops::math::random::{Purpose, Random};
use ops::nn::cuda::driver::{Address, Arg, Driver, Launch};
use ops::nn::cuda::source::{Sides, units};
use ops::nn::cuda::{Precision, plan};
use ops::nn::layers::{Architecture, Network};

const IMAGES: usize = 3;

/// A device with the kernels of a network.
struct StageBuffers(Emulator);

impl StageBuffers {
    fn new(network: &Network, precision: Precision) -> Self {
        let mut emulator = Emulator::new();
        emulator.load(&units(network, precision)).unwrap();
        Self(emulator)
    }

    fn put(&mut self, values: &[f32]) -> Address {
        let at = self.0.reserve(4 * values.len() as u64).unwrap();
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        // SAFETY: so much was just reserved.
        unsafe { self.0.write(at, &bytes) }.unwrap();
        at
    }

    fn room(&mut self, len: usize) -> Address {
        self.put(&vec![f32::NAN; len])
    }

    fn get(&mut self, from: Address, len: usize) -> Vec<f32> {
        let mut bytes = vec![0; 4 * len];
        // SAFETY: the emulator refuses what was not reserved.
        unsafe { self.0.read(from, &mut bytes) }.unwrap();
        bytes.chunks(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect()
    }

    fn run(&mut self, kernel: &str, blocks: [usize; 3], args: Vec<Arg>) {
        let (kernel, blocks) = (kernel.to_owned(), blocks.map(|n| n as u32));
        // SAFETY: the arguments are those of the kernel, at places of this emulator.
        unsafe { self.0.launch(Launch { kernel, blocks, threads: 256, args }) }.unwrap();
    }
}

/// Numbers of few digits: every precision holds them, so that all must find the same products.
fn draw(len: usize, index: u32) -> Vec<f32> {
    let mut random = Random::new(5, Purpose::Null, index);
    (0..len).map(|_| (random.between(-64.0, 64.0).round() / 64.0) as f32).collect()
}

fn int(n: usize) -> Arg {
    Arg::Int(n as i32)
}

#[track_caller]
fn close(what: &str, got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-3_f64, |most, x| most.max(x.abs()));
    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
        let apart = (f64::from(*got) - expected).abs();
        assert!(apart < 1e-5 * scale, "{what}: {got} instead of {expected} at {at}");
    }
}

/// Calls `meet` with (weight, wide pixel, narrow pixel) of one image, wherever a tap meets a pixel.
fn for_each_connection(sides: &Sides, mut meet: impl FnMut(usize, usize, usize)) {
    let ([wide_c, wide_h, wide_w], [narrow_c, narrow_h, narrow_w]) = (sides.wide, sides.narrow);
    let [kernel, stride, padding] = sides.taps;
    for (n, c) in (0..narrow_c).flat_map(|n| (0..wide_c).map(move |c| (n, c))) {
        for (a, b) in (0..kernel).flat_map(|a| (0..kernel).map(move |b| (a, b))) {
            for (i, j) in (0..narrow_h).flat_map(|i| (0..narrow_w).map(move |j| (i, j))) {
                let (y, x) = (i * stride + a, j * stride + b);
                let inside = y >= padding && x >= padding;
                if !inside || y - padding >= wide_h || x - padding >= wide_w {
                    continue;
                }
                // The channels of a tap or a pixel are neighbours.
                let weight = ((n * kernel + a) * kernel + b) * wide_c + c;
                let wide = ((y - padding) * wide_w + x - padding) * wide_c + c;
                meet(weight, wide, (i * narrow_w + j) * narrow_c + n);
            }
        }
    }
}

fn network(channels: &[usize], kernel: usize, stride: usize, input: [usize; 2]) -> Network {
    Network::new(&Architecture {
        input,
        channels: channels.to_vec(),
        kernel,
        stride,
        batch_norm: false,
        latent: 2,
        variational: true,
    })
}

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
        let mut bench = StageBuffers::new(network, precision);
        for (at, layer) in network.encoder.iter().chain(&network.decoder).enumerate() {
            let Some(sides) = Sides::of(layer) else { continue };
            let [wide_len, narrow_len] =
                [sides.wide, sides.narrow].map(|s| s.iter().product::<usize>());
            let weights: usize = layer.weight_len();
            let (w, wide, narrow) =
                (draw(weights, 0), draw(IMAGES * wide_len, 1), draw(IMAGES * narrow_len, 2));
            let bias = draw(sides.wide[0].max(sides.narrow[0]), 3);
            let (mut to_narrow, mut to_wide, mut to_weight) =
                (vec![0.0; IMAGES * narrow_len], vec![0.0; IMAGES * wide_len], vec![0.0; weights]);
            for image in 0..IMAGES {
                for_each_connection(&sides, |weight, y, x| {
                    let (y, x) = (image * wide_len + y, image * narrow_len + x);
                    let (a, b, c) =
                        (f64::from(w[weight]), f64::from(wide[y]), f64::from(narrow[x]));
                    to_narrow[x] += a * b;
                    to_wide[y] += a * c;
                    to_weight[weight] += b * c;
                });
            }
            // Forward there are a bias and a ReLU; backward is 0 where the output of a ReLU is.
            let forward = |values: &mut [f64], channels: usize| {
                for (at, value) in values.iter_mut().enumerate() {
                    *value = (*value + f64::from(bias[at % channels])).max(0.0);
                }
            };
            let back = |values: &mut [f64], made: &[f32]| {
                values.iter_mut().zip(made).for_each(|(sum, made)| {
                    *sum = if *made > 0.0 { *sum } else { 0.0 };
                });
            };
            let [w_at, wide_at, narrow_at, bias_at] =
                [&w, &wide, &narrow, &bias].map(|values| bench.put(values));
            let ends = |made: Address, is_forward: bool| match is_forward {
                true => vec![Arg::At(bias_at), int(1)],
                false => vec![Arg::At(made)],
            };
            let args = |from: Address, end: Vec<Arg>, out: Address| {
                let start = [Arg::At(w_at), Arg::At(from), int(IMAGES)];
                start.into_iter().chain(end).chain([Arg::At(out)]).collect::<Vec<_>>()
            };
            match sides.transposed {
                true => back(&mut to_narrow, &narrow),
                false => forward(&mut to_narrow, sides.narrow[0]),
            }
            let out = bench.room(IMAGES * narrow_len);
            let blocks = sides.blocks(true, IMAGES, precision);
            let given = args(wide_at, ends(narrow_at, !sides.transposed), out);
            bench.run(&format!("narrow_{at}"), blocks, given);
            close("narrow", &bench.get(out, IMAGES * narrow_len), &to_narrow);

            match sides.transposed {
                true => forward(&mut to_wide, sides.wide[0]),
                false => back(&mut to_wide, &wide),
            }
            let out = bench.room(IMAGES * wide_len);
            let blocks = sides.blocks(false, IMAGES, precision);
            let given = args(narrow_at, ends(wide_at, sides.transposed), out);
            bench.run(&format!("wide_{at}"), blocks, given);
            close("wide", &bench.get(out, IMAGES * wide_len), &to_wide);

            let cut = plan::weight_parts(layer, IMAGES).unwrap();
            let (parts, out) = (bench.room(cut.count * weights), bench.room(weights));
            let mut args = vec![Arg::At(narrow_at), Arg::At(wide_at)];
            args.extend([int(IMAGES), int(cut.each), Arg::At(parts)]);
            let blocks = sides.weight_blocks(cut.count, precision);
            bench.run(&format!("weight_{at}"), blocks, args);
            let mut args = vec![Arg::At(parts), int(cut.count), int(weights)];
            args.extend([Arg::At(Address::NONE), int(1), Arg::At(out)]);
            bench.run("sum_parts", [weights.div_ceil(32), 1, 1], args);
            close("weight", &bench.get(out, weights), &to_weight);
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
        let mut bench = StageBuffers::new(&network(&[2], 3, 2, [4, 4]), precision);
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
    let mut bench = StageBuffers::new(&network(&[2], 3, 2, [4, 4]), Precision::F32);
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
