//! Single kernels, run on the CPU as C++, beside their definitions written out as loops.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

mod cuda;

use cuda::{Emulator, compiler, say_skipped};
use ops::math::random::{Purpose, Random};
use ops::nn::cuda::driver::{Address, Arg, Driver, Launch};
use ops::nn::cuda::plan::tiles;
use ops::nn::cuda::source::{Sides, height, units};
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
fn meetings(sides: &Sides, mut meet: impl FnMut(usize, usize, usize)) {
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
                let weight = ((n * wide_c + c) * kernel + a) * kernel + b;
                let wide = (c * wide_h + y - padding) * wide_w + x - padding;
                meet(weight, wide, (n * narrow_h + i) * narrow_w + j);
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
                meetings(&sides, |weight, y, x| {
                    let (y, x) = (image * wide_len + y, image * narrow_len + x);
                    let (a, b, c) =
                        (f64::from(w[weight]), f64::from(wide[y]), f64::from(narrow[x]));
                    to_narrow[x] += a * b;
                    to_wide[y] += a * c;
                    to_weight[weight] += b * c;
                });
            }
            let areas = [sides.wide, sides.narrow].map(|s| s[1] * s[2]);
            let finish = |values: &mut [f64], area: usize, channels: usize| {
                for (at, value) in values.iter_mut().enumerate() {
                    *value = (*value + f64::from(bias[at / area % channels])).max(0.0);
                }
            };
            finish(&mut to_narrow, areas[1], sides.narrow[0]);

            let [w_at, wide_at, narrow_at, bias_at] =
                [&w, &wide, &narrow, &bias].map(|values| bench.put(values));
            let out = bench.room(IMAGES * narrow_len);
            let [x, y] = tiles(height(sides.narrow[0]), sides.narrow[0], IMAGES * areas[1]);
            let args = |from, bias, relu, out| {
                vec![
                    Arg::At(w_at),
                    Arg::At(from),
                    int(IMAGES),
                    Arg::At(bias),
                    int(relu),
                    Arg::At(out),
                ]
            };
            bench.run(&format!("narrow_{at}"), [x, y, 1], args(wide_at, bias_at, 1, out));
            close("narrow", &bench.get(out, IMAGES * narrow_len), &to_narrow);

            let (out, stride) = (bench.room(IMAGES * wide_len), sides.taps[1]);
            let pixels = sides.wide[1].div_ceil(stride) * sides.wide[2].div_ceil(stride);
            let [x, y] = tiles(height(sides.wide[0]), sides.wide[0], IMAGES * pixels);
            let blocks = [x, y, stride * stride];
            bench.run(&format!("wide_{at}"), blocks, args(narrow_at, Address::NONE, 0, out));
            close("wide", &bench.get(out, IMAGES * wide_len), &to_wide);

            let cut = plan::weight_parts(layer, IMAGES).unwrap();
            let (parts, out) = (bench.room(cut.count * weights), bench.room(weights));
            let taps = sides.wide[0] * sides.taps[0] * sides.taps[0];
            let [x, y] = tiles(height(sides.narrow[0]), sides.narrow[0], taps);
            let mut args = vec![Arg::At(narrow_at), Arg::At(wide_at)];
            args.extend([int(IMAGES), int(cut.each), Arg::At(parts)]);
            bench.run(&format!("weight_{at}"), [x, y, cut.count], args);
            let mut args = vec![Arg::At(parts), int(cut.count), int(weights)];
            args.extend([Arg::At(Address::NONE), int(1), Arg::At(out)]);
            bench.run("sum_parts", [weights.div_ceil(32), 1, 1], args);
            close("weight", &bench.get(out, weights), &to_weight);
        }
    }
}

#[test]
fn products_of_any_strides_and_parts_are_sums_of_products() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let mut bench = StageBuffers::new(&network(&[2], 3, 2, [4, 4]), Precision::F32);
    for (rows, across, inner, each, tall) in
        [(3, 5, 70, 16, 8), (30, 9, 33, 48, 32), (130, 140, 20, 32, 128), (8, 129, 1, 16, 8)]
    {
        let (a, b) = (draw(rows * inner, 0), draw(inner * across, 1));
        let mut expected = vec![0.0; rows * across];
        for (m, n) in (0..rows).flat_map(|m| (0..across).map(move |n| (m, n))) {
            let term = |k: usize| f64::from(a[m * inner + k]) * f64::from(b[n * inner + k]);
            expected[n * rows + m] = (0..inner).map(term).sum();
        }
        let count = inner.div_ceil(each);
        let (a, b) = (bench.put(&a), bench.put(&b));
        let (parts, out) = (bench.room(count * rows * across), bench.room(rows * across));
        let [x, y] = tiles(tall, rows, across);
        let mut args = vec![Arg::At(a), int(0), int(inner), int(1)];
        args.extend([Arg::At(b), int(0), int(1), int(inner)]);
        args.extend([rows, across, inner, each].map(int));
        args.extend([parts, Address::NONE, Address::NONE].map(Arg::At));
        args.extend([0, 0, 1, rows].map(int));
        bench.run(&format!("dense_{tall}"), [x, y, count], args);
        let mut args = vec![Arg::At(parts), int(count), int(rows * across)];
        args.extend([Arg::At(Address::NONE), int(1), Arg::At(out)]);
        bench.run("sum_parts", [(rows * across).div_ceil(32), 1, 1], args);
        close("dense", &bench.get(out, rows * across), &expected);
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
