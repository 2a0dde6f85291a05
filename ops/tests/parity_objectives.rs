//! Objectives of a VAE and changes to its clips: losses and gradients of one batch against those that PyTorch computed in double
//! precision (`tests/torch/objectives.py`), on the CPU and in the kernels of a GPU.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

mod cuda;

use cache::Array;
use cuda::{Emulator, compiler, say_skipped};
use ops::Detached;
use ops::nn::augmentation::Augmentation;
use ops::nn::backend::{Backend, State};
use ops::nn::cpu::Cpu;
use ops::nn::cuda::{Precision, trainer::OnDevice};
use ops::nn::fit::Plan;
use ops::nn::layers::{Architecture, Parameter};
use ops::nn::objective::{Beta, Losses, Objective, Reduction, Regularizer, Variance};
use safetensors::SafeTensors;

const SEED: u64 = 3;
const BETA: f64 = 3.0;
const BATCH: [u32; 6] = [0, 1, 2, 3, 4, 5];
/// The clips of the data set, of which the batch is a part.
const CLIPS: usize = 40;

type Found = (Losses, Vec<f32>);

fn plan(objective: Objective) -> Plan {
    Plan {
        architecture: Architecture {
            input: [8, 10],
            channels: vec![3, 5],
            kernel: 3,
            stride: 2,
            batch_norm: false,
            latent: 4,
            variational: true,
        },
        objective,
        epochs: 1,
        batch_size: BATCH.len(),
        learning_rate: 1e-3,
        weight_decay: 0.0,
        clip_norm: None,
        validation: 0.0,
        patience: None,
        precision: Precision::F32,
        augmentation: Augmentation::default(),
    }
}

fn agrees(gradient: impl Fn(&Plan, &Array, &State) -> Found) {
    let file = SafeTensors::deserialize(include_bytes!("fixtures/nn/objectives.safetensors"));
    let file = file.unwrap();
    let get = |key: &str| -> Vec<f32> {
        let bytes = file.tensor(key).unwrap().data().to_vec();
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    let correlation = Regularizer::TotalCorrelation { clips: 0 };
    let capacity = |nats| Regularizer::Capacity { nats, epochs: 1 };
    for (name, regularizer, variance) in [
        ("beta", Regularizer::Beta, Variance::Fixed),
        ("beta_tc", correlation, Variance::Fixed),
        ("beta_tc_mean", correlation, Variance::Fixed),
        ("capacity_below", capacity(0.1), Variance::Fixed),
        ("capacity_above", capacity(50.0), Variance::Fixed),
        ("optimal", Regularizer::Beta, Variance::Optimal),
        ("optimal_mean", Regularizer::Beta, Variance::Optimal),
        ("augmented", Regularizer::Beta, Variance::Fixed),
    ] {
        let reduction = if name.ends_with("mean") { Reduction::Mean } else { Reduction::Sum };
        let (reconstruction, kl) = (reduction, reduction);
        let beta = Beta { beta: BETA, ..Beta::default() };
        let objective =
            Objective { reconstruction, kl, beta, free_bits: 0.0, regularizer, variance };
        let mut plan = plan(objective);
        if name == "augmented" {
            plan.augmentation = Augmentation { gain: 0.3, shift: 3, mask_frames: 4, mask_bands: 3 };
        }
        let network = plan.network();
        let of = |set: &str| -> Vec<f32> {
            let named = |p: &Parameter| get(&format!("{set}.{}", p.name));
            network.parameters.iter().flat_map(named).collect()
        };
        let mut clips = get("x");
        clips.resize(CLIPS * 80, 0.0);
        let state = State { parameters: of("start"), ..State::start(&network, SEED) };
        let (losses, found) = gradient(&plan, &Array::new([8, 10], clips), &state);
        let got = [losses.loss, losses.reconstruction, losses.kl];
        for (got, expected) in got.iter().zip(get(&format!("{name}.losses"))) {
            assert!((*got as f32 / expected - 1.0).abs() < 1e-5, "{name}: {got} {expected}");
        }
        let expected = of(&format!("{name}.grad"));
        for p in &network.parameters {
            let (found, expected) = (&found[p.range.clone()], &expected[p.range.clone()]);
            let most = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
            let apart = apart.fold(0.0_f32, f32::max);
            assert!(apart <= 1e-4 * most, "{name} {}: {apart} of {most}", p.name);
        }
    }
}

#[test]
fn objectives_on_the_cpu_have_the_losses_and_gradients_of_pytorch() {
    agrees(|plan, data, state| {
        let mut cpu = Cpu::new(plan, data, state).unwrap();
        cpu.gradient(&BATCH, 1, BETA, &Detached::with_seed(SEED)).unwrap()
    });
}

#[test]
fn objectives_in_kernels_have_the_losses_and_gradients_of_pytorch() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    agrees(|plan, data, state| {
        let mut device = OnDevice::new(Emulator::new(), plan, data, SEED).unwrap();
        device.restore(state).unwrap();
        device.gradient(&BATCH, 1, BETA).unwrap()
    });
}
