//! The comparison of a device with the CPU: the checks that a GPU must pass.

use super::super::backend::{Backend, Batches, State};
use super::super::cpu::Cpu;
use super::super::fit::Plan;
use super::driver::{CudaError, Driver};
use super::trainer::OnDevice;
use crate::math::random::{Purpose, Random};
use crate::op::{Detached, OpError};
use cache::Array;

/// The differences between a device and the CPU.
#[derive(Clone, Debug)]
pub struct Parity {
    /// The losses of each step on the CPU.
    pub cpu: Vec<f64>,
    /// The losses of each step on the device.
    pub device: Vec<f64>,
    /// The name of each layer and ‖g − g′‖ ÷ ‖g‖ of the first step's gradients. Weight and bias are
    /// combined, since a bias before a normalisation has no gradient.
    pub gradients: Vec<(String, f64)>,
    /// The largest difference of latent means, relative to the largest mean.
    pub latents: f64,
    /// True if a second training on the device gave the same bits.
    pub repeats: bool,
    /// True if a training that went on from a state half-way gave the same bits.
    pub resumes: bool,
}

impl Parity {
    /// The largest relative difference of losses.
    pub fn curve(&self) -> f64 {
        let pairs = self.cpu.iter().zip(&self.device);
        pairs.map(|(a, b)| (a - b).abs() / a.abs().max(1e-12)).fold(0.0, f64::max)
    }

    /// The largest relative difference of a gradient.
    pub fn gradient(&self) -> f64 {
        self.gradients.iter().map(|(_, apart)| *apart).fold(0.0, f64::max)
    }
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

/// Trains `steps` batches on the CPU and three times on the device.
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
    let run = |backend: &mut dyn Backend, halves: bool| -> Result<(Vec<f64>, State), OpError> {
        backend.restore(&start)?;
        let (mut losses, mut epoch, mut is_first_half) = (Vec::new(), 0, halves);
        while losses.len() < steps {
            if is_first_half && losses.len() >= steps / 2 {
                let state = backend.state()?;
                backend.restore(&start)?;
                backend.restore(&state)?;
                is_first_half = false;
            }
            epoch += 1;
            let steps_before = losses.len() as u64;
            let batches = Batches { epoch, order: &order, beta, steps_before };
            backend.train(&batches, &cx, &mut |_, heard| {
                losses.push(heard.loss);
                Ok(())
            })?;
        }
        losses.truncate(steps);
        Ok((losses, backend.state()?))
    };
    let made = |error: CudaError| error.during(None);
    let batch = &order[..plan.batch_size.min(clips)];

    let mut device = OnDevice::new(open().map_err(made)?, plan, data, cx.seed)?;
    device.restore(&start)?;
    let (_, got) = device.gradient(batch, 1, beta).map_err(made)?;
    let mut cpu = Cpu::new(plan, data, &start)?;
    let (_, expected) = cpu.gradient(batch, 1, beta, &cx)?;
    let heads = [Some(&network.mean), network.log_variance.as_ref()].into_iter().flatten();
    let layers = network.encoder.iter().chain(heads).chain(&network.decoder);
    let gradients = layers.map(|layer| {
        let (a, b) = (&expected[layer.parameters.clone()], &got[layer.parameters.clone()]);
        let square = |x: f64| x * x;
        let apart: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(a - b))).sum();
        let whole: f64 = a.iter().map(|a| square(f64::from(*a))).sum();
        (layer.name.clone(), (apart / whole.max(1e-30)).sqrt())
    });
    let gradients = gradients.collect();

    let all: Vec<u32> = (0..clips as u32).collect();
    cpu.restore(&start)?;
    device.restore(&start)?;
    let (a, b) = (cpu.encode(&all, &cx)?.means, device.encode(&all, &cx)?.means);
    let largest = a.iter().fold(1e-12_f64, |most, x| most.max(f64::from(x.abs())));
    let apart = a.iter().zip(&b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    let latents = apart / largest;

    let (cpu, _) = run(&mut cpu, false)?;
    let (losses, state) = run(&mut device, false)?;
    let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let mut same = |halves| -> Result<bool, OpError> {
        let (again, other) = run(&mut device, halves)?;
        Ok(bits(&losses) == bits(&again) && state == other)
    };
    let (repeats, resumes) = (same(false)?, same(true)?);
    Ok(Parity { cpu, device: losses, gradients, latents, repeats, resumes })
}
