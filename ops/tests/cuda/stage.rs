//! Single kernels on the emulated device, and the definition of convolutions, written out as loops.

#![allow(dead_code, reason = "each test takes what it needs")]

use crate::cuda::Emulator;
use ops::math::random::{Purpose, Random};
use ops::nn::cuda::driver::{Address, Arg, Driver, Launch};
use ops::nn::cuda::source::{Direction, Sides, Tile, Unit};
use ops::nn::cuda::{Precision, plan};
use ops::nn::layers::{Architecture, Layer, Network};

const IMAGES: usize = 3;

/// A device with some kernels.
pub struct StageBuffers(pub Emulator);

impl StageBuffers {
    pub fn new(units: &[Unit]) -> Self {
        let mut emulator = Emulator::new();
        emulator.load(units).unwrap();
        Self(emulator)
    }

    pub fn put(&mut self, values: &[f32]) -> Address {
        let at = self.0.reserve(4 * values.len() as u64).unwrap();
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        // SAFETY: so much was just reserved.
        unsafe { self.0.write(at, &bytes) }.unwrap();
        at
    }

    pub fn room(&mut self, len: usize) -> Address {
        self.put(&vec![f32::NAN; len])
    }

    pub fn get(&mut self, from: Address, len: usize) -> Vec<f32> {
        let mut bytes = vec![0; 4 * len];
        // SAFETY: the emulator refuses what was not reserved.
        unsafe { self.0.read(from, &mut bytes) }.unwrap();
        bytes.chunks(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect()
    }

    /// The numbers of an image as a device keeps them.
    fn put_image(&mut self, values: &[f32], precision: Precision) -> Address {
        if precision != Precision::Bf16 {
            return self.put(values);
        }
        let pairs = values.chunks(2).map(|pair| {
            let [low, high] = [pair[0], *pair.get(1).unwrap_or(&0.0)].map(f32::to_bits);
            assert!(low << 16 == 0 && high << 16 == 0, "bf16 holds these numbers");
            f32::from_bits(low >> 16 | high)
        });
        self.put(&pairs.collect::<Vec<_>>())
    }

    fn get_image(&mut self, from: Address, len: usize, precision: Precision) -> Vec<f32> {
        if precision != Precision::Bf16 {
            return self.get(from, len);
        }
        let words = self.get(from, len.div_ceil(2));
        let halves =
            words.iter().map(|word| word.to_bits()).flat_map(|it| [it << 16, it >> 16 << 16]);
        halves.take(len).map(f32::from_bits).collect()
    }

    pub fn run(&mut self, kernel: &str, blocks: [usize; 3], args: Vec<Arg>) {
        let (kernel, blocks) = (kernel.to_owned(), blocks.map(|n| n as u32));
        // SAFETY: the arguments are those of the kernel, at places of this emulator.
        unsafe { self.0.launch(Launch { kernel, blocks, threads: 256, args }) }.unwrap();
    }
}

/// Numbers of few digits: every precision holds them, so that all must find the same products.
pub fn draw(len: usize, index: u32) -> Vec<f32> {
    let mut random = Random::new(5, Purpose::Null, index);
    (0..len).map(|_| (random.between(-64.0, 64.0).round() / 64.0) as f32).collect()
}

/// Numbers that every precision holds too, so far apart that their sums are rounded: another order gives other bits.
pub fn draw_apart(len: usize, index: u32) -> Vec<f32> {
    let mut random = Random::new(6, Purpose::Null, index);
    let exponents: Vec<i32> = (0..len).map(|_| random.below(14) as i32).collect();
    draw(len, index).iter().zip(exponents).map(|(x, power)| x * 2.0_f32.powi(-power)).collect()
}

pub fn int(n: usize) -> Arg {
    Arg::Int(n as i32)
}

#[track_caller]
pub fn close(what: &str, got: &[f32], expected: &[f64]) {
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

pub fn network(channels: &[usize], kernel: usize, stride: usize, input: [usize; 2]) -> Network {
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

/// A convolution of either kind with all numbers that its three directions read.
pub struct Convolution<'l> {
    layer: &'l Layer,
    sides: Sides,
    precision: Precision,
    weight: Vec<f32>,
    wide: Vec<f32>,
    narrow: Vec<f32>,
    bias: Vec<f32>,
}

impl<'l> Convolution<'l> {
    /// The numbers are drawn by the given function, of as many and of an index.
    pub fn new(layer: &'l Layer, precision: Precision, draw: fn(usize, u32) -> Vec<f32>) -> Self {
        let sides = Sides::of(layer).unwrap();
        let [wide, narrow] = [sides.wide, sides.narrow].map(|s| s.iter().product::<usize>());
        Self {
            layer,
            sides,
            precision,
            weight: draw(layer.weight_len(), 0),
            wide: draw(IMAGES * wide, 1),
            narrow: draw(IMAGES * narrow, 2),
            bias: draw(sides.wide[0].max(sides.narrow[0]), 3),
        }
    }

    /// True if the direction is that of the layer, and not back to the gradient of its input.
    fn is_forward(&self, direction: Direction) -> bool {
        (direction == Direction::Narrow) != self.sides.transposed
    }

    /// The image that a direction makes, before it does: its channels, and the values that are there.
    fn made(&self, direction: Direction) -> (usize, &[f32]) {
        match direction {
            Direction::Narrow => (self.sides.narrow[0], &self.narrow),
            _ => (self.sides.wide[0], &self.wide),
        }
    }

    /// What a direction makes by the definition.
    pub fn expected(&self, direction: Direction) -> Vec<f64> {
        let [wide, narrow] = [&self.wide, &self.narrow].map(|all| all.len() / IMAGES);
        let (channels, made) = self.made(direction);
        let len = if direction == Direction::Weight { self.weight.len() } else { made.len() };
        let mut sums = vec![0.0; len];
        for image in 0..IMAGES {
            for_each_connection(&self.sides, |weight, y, x| {
                let (y, x) = (image * wide + y, image * narrow + x);
                let [a, b, c] = [self.weight[weight], self.wide[y], self.narrow[x]].map(f64::from);
                match direction {
                    Direction::Narrow => sums[x] += a * b,
                    Direction::Wide => sums[y] += a * c,
                    Direction::Weight => sums[weight] += b * c,
                }
            });
        }
        if direction == Direction::Weight {
            return sums;
        }
        // Forward there are a bias and a ReLU; backward is 0 where the output of a ReLU is.
        for (at, sum) in sums.iter_mut().enumerate() {
            if self.is_forward(direction) {
                *sum = (*sum + f64::from(self.bias[at % channels])).max(0.0);
            } else if made[at] <= 0.0 {
                *sum = 0.0;
            }
        }
        sums
    }

    /// What the kernel of the layer with this number makes in a direction, with this tile.
    pub fn run(
        &self,
        bench: &mut StageBuffers,
        at: usize,
        direction: Direction,
        tile: Tile,
    ) -> Vec<f32> {
        let Self { layer, sides, precision, .. } = self;
        let kernel = sides.kernel(at, direction, *precision, tile);
        let blocks = |count| sides.blocks(direction, count, *precision, tile);
        let [wide, narrow] =
            [&self.wide, &self.narrow].map(|values| bench.put_image(values, *precision));
        if direction == Direction::Weight {
            let (cut, len) = (plan::weight_parts(layer, IMAGES).unwrap(), self.weight.len());
            let (parts, out) = (bench.room(cut.count * len), bench.room(len));
            let mut args = vec![Arg::At(narrow), Arg::At(wide)];
            args.extend([int(IMAGES), int(cut.each), Arg::At(parts)]);
            bench.run(&kernel, blocks(cut.count), args);
            let mut args = vec![Arg::At(parts), int(cut.count), int(len)];
            args.extend([Arg::At(Address::NONE), int(1), Arg::At(out)]);
            bench.run("sum_parts", [len.div_ceil(32), 1, 1], args);
            return bench.get(out, len);
        }
        let weight = match sides.is_single_channel() {
            true => bench.put(&self.weight),
            false => bench.put_image(&self.weight, *precision),
        };
        let narrows = direction == Direction::Narrow;
        let (from, made) = if narrows { (wide, narrow) } else { (narrow, wide) };
        let (_, values) = self.made(direction);
        let out = bench.room(values.len());
        let mut args = vec![Arg::At(weight), Arg::At(from), int(IMAGES)];
        match self.is_forward(direction) {
            true => args.extend([Arg::At(bench.put(&self.bias)), int(1)]),
            false => args.push(Arg::At(made)),
        }
        args.push(Arg::At(out));
        bench.run(&kernel, blocks(IMAGES), args);
        bench.get_image(out, values.len(), *precision)
    }
}
