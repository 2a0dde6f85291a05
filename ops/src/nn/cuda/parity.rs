//! The comparison of a device with the CPU: the checks that a GPU must pass.

use super::super::backend::{Backend, Batches, State};
use super::super::cpu::Cpu;
use super::super::fit::Plan;
use super::driver::{CudaError, Driver};
use super::trainer::OnDevice;
use crate::math::random::{Purpose, Random};
use crate::op::{Detached, OpError};
use cache::Array;

/// The differences of a training from that on the CPU.
#[derive(Clone, Debug)]
pub struct Differences {
    /// The largest relative difference of losses.
    pub curve: f64,
    /// The name of each layer and ‖g − g′‖ ÷ ‖g‖ of the first step's gradients. Weight and bias are
    /// combined, since a bias before a normalisation has no gradient.
    pub gradients: Vec<(String, f64)>,
    /// The largest difference of latent means, relative to the largest mean.
    pub latents: f64,
}

impl Differences {
    /// The largest difference of a gradient.
    pub fn gradient(&self) -> f64 {
        self.gradients.iter().map(|(_, apart)| *apart).fold(0.0, f64::max)
    }
}

/// The comparison of a device with the CPU.
#[derive(Clone, Debug)]
pub struct Parity {
    /// The losses of each step on the CPU and on the device.
    pub losses: [Vec<f64>; 2],
    /// The differences of the device from the CPU.
    pub device: Differences,
    /// The differences of the CPU from itself when each number of the clips and each weight moves to a neighbouring
    /// one: no device whose sums have another order can be expected to be closer. A ReLU loses the whole gradient of a
    /// number that comes to lie on its other side, so a few numbers in a million make large differences.
    pub rounding: Differences,
    /// True if a second training on the device gave the same bits.
    pub repeats: bool,
    /// True if a training that went on from a state half-way gave the same bits.
    pub resumes: bool,
}

/// Synthetic clips for training: a few waves and a little noise.
pub fn clips(count: usize, input: [usize; 2]) -> Array {
    let [height, width] = input;
    let mut random = Random::new(1, Purpose::Null, 0);
    let mut values = Vec::with_capacity(count * height * width);
    for clip in 0..count {
        let (pitch, tilt) = (0.2 + 0.15 * (clip % 5) as f64, 0.1 + 0.05 * (clip % 7) as f64);
        for at in 0..height * width {
            let (y, x) = ((at / width) as f64, (at % width) as f64);
            values.push(((x * pitch + y * tilt).sin() + random.between(-0.3, 0.3)) as f32);
        }
    }
    Array::new(input, values)
}

/// The results of one training.
struct Trained {
    losses: Vec<f64>,
    gradient: Vec<f32>,
    means: Vec<f32>,
}

/// The number of times the CPU's gradient is computed with other rounding: a number that lies next to zero before a
/// ReLU comes to lie on its other side in about half of them.
const ROUNDINGS: u32 = 8;

/// The same numbers, each of which is moved to one of the two nearest of single precision: what another order of sums does
/// to numbers between layers.
fn perturbed(values: &[f32], index: u32) -> Vec<f32> {
    let mut random = Random::new(2, Purpose::Null, index);
    let perturb =
        |value: &f32| if random.uniform() < 0.5 { value.next_up() } else { value.next_down() };
    values.iter().map(perturb).collect()
}

/// ‖a − b‖ ÷ ‖a‖.
fn relative_difference(a: &[f32], b: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let apart: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(a - b))).sum();
    let whole: f64 = a.iter().map(|a| square(f64::from(*a))).sum();
    (apart / whole.max(1e-30)).sqrt()
}

/// Trains `steps` batches on the CPU, once more with clips and weights that differ by rounding, and three times on the device.
///
/// # Errors
/// When either fails.
pub fn compare<D: Driver>(
    open: &dyn Fn() -> Result<D, CudaError>,
    plan: &Plan,
    data: &Array,
    steps: usize,
) -> Result<Parity, OpError> {
    let (cx, network, clips) = (Detached::with_seed(11), plan.network(), data.rows());
    let start = State::start(&network, cx.seed);
    let order: Vec<u32> = Random::new(cx.seed, Purpose::Shuffle, 1).permutation(clips);
    let beta = plan.objective.beta.beta;
    // With `halves` the training goes on half-way from the state that it has then, as after a kill.
    type Run = (Vec<f64>, State);
    let run = |backend: &mut dyn Backend, start: &State, halves: bool| -> Result<Run, OpError> {
        backend.restore(start)?;
        let (mut losses, mut epoch, mut is_first_half) = (Vec::new(), 0, halves);
        while losses.len() < steps {
            if is_first_half && losses.len() >= steps / 2 {
                let state = backend.state()?;
                backend.restore(start)?;
                backend.restore(&state)?;
                is_first_half = false;
            }
            epoch += 1;
            let steps_before = losses.len() as u64;
            let batches = Batches { epoch, order: &order, beta, steps_before };
            backend.train(&batches, &cx, &mut |_, step_losses| {
                losses.push(step_losses.loss);
                Ok(())
            })?;
        }
        losses.truncate(steps);
        Ok((losses, backend.state()?))
    };
    let made = |error: CudaError| error.during(None);
    let batch = &order[..plan.batch_size.min(clips)];
    let all: Vec<u32> = (0..clips as u32).collect();

    let mut device = OnDevice::new(open().map_err(made)?, plan, data, cx.seed)?;
    device.restore(&start)?;
    let (_, gradient) = device.gradient(batch, 1, beta).map_err(made)?;
    device.restore(&start)?;
    let means = device.encode(&all, &cx)?.means;
    let (losses, state) = run(&mut device, &start, false)?;
    let found = Trained { losses, gradient, means };
    let on_cpu = |data: &Array, start: &State| -> Result<Trained, OpError> {
        let mut cpu = Cpu::new(plan, data, start)?;
        let (_, gradient) = cpu.gradient(batch, 1, beta, &cx)?;
        cpu.restore(start)?;
        let means = cpu.encode(&all, &cx)?.means;
        Ok(Trained { losses: run(&mut cpu, start, false)?.0, gradient, means })
    };
    let rounded = |index: u32| {
        let parameters = perturbed(&start.parameters, index);
        let data = Array::new(data.shape(), perturbed(data.values(), index));
        (data, State { parameters, ..start.clone() })
    };
    let (expected, (clips, weights)) = (on_cpu(data, &start)?, rounded(0));
    let once_more = on_cpu(&clips, &weights)?;
    let others = (1..ROUNDINGS).map(|index| {
        let (clips, weights) = rounded(index);
        Ok(Cpu::new(plan, &clips, &weights)?.gradient(batch, 1, beta, &cx)?.1)
    });
    let others = others.collect::<Result<Vec<_>, OpError>>()?;

    let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let mut same = |halves| -> Result<bool, OpError> {
        let (again, other) = run(&mut device, &start, halves)?;
        Ok(bits(&found.losses) == bits(&again) && state == other)
    };
    let (repeats, resumes) = (same(false)?, same(true)?);
    let heads = [Some(&network.mean), network.log_variance.as_ref()].into_iter().flatten();
    let layers: Vec<_> = network.encoder.iter().chain(heads).chain(&network.decoder).collect();
    let gradients = |gradients: &[&Vec<f32>]| {
        let of = |range: &std::ops::Range<usize>| {
            let expected = &expected.gradient[range.clone()];
            let all = gradients.iter().map(|it| relative_difference(expected, &it[range.clone()]));
            all.fold(0.0, f64::max)
        };
        layers.iter().map(|layer| (layer.name.clone(), of(&layer.parameters))).collect()
    };
    let latents = |other: &Trained| {
        let largest = expected.means.iter().fold(1e-12_f64, |most, x| most.max(f64::from(x.abs())));
        let pairs = expected.means.iter().zip(&other.means);
        pairs.map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max) / largest
    };
    let differences = |other: &Trained, further: &[Vec<f32>]| Differences {
        curve: curve(&expected.losses, &other.losses),
        gradients: gradients(&[&other.gradient].into_iter().chain(further).collect::<Vec<_>>()),
        latents: latents(other),
    };
    let (device, rounding) = (differences(&found, &[]), differences(&once_more, &others));
    Ok(Parity { losses: [expected.losses, found.losses], device, rounding, repeats, resumes })
}

/// The largest relative difference of losses.
fn curve(a: &[f64], b: &[f64]) -> f64 {
    let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs() / a.abs().max(1e-12));
    apart.fold(0.0, f64::max)
}
