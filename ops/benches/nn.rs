//! Networks of the default size: 128 × 130 clips, channels 32-64-128, latent 32, batch 128.
//!
//! `cargo bench -p ops --bench nn` times a training step, its parts, and encoding. The same work
//! in PyTorch: `python ops/tests/torch/speed.py`, best run in turn with this one.

#![allow(clippy::unwrap_used, reason = "a failure stops the benchmark")]

use cache::Array;
use divan::{Bencher, counter::ItemsCount};
use ops::math::random::{Purpose, Random};
use ops::nn::cpu_network::{CpuNetwork, StageId};
use ops::nn::layers::{Architecture, Network};
use ops::nn::objective::{Beta, BetaSchedule, Objective, Reduction};
use ops::nn::tape::Trainer;

const BATCH: u32 = 128;

fn main() {
    divan::main();
}

fn network(variational: bool) -> Network {
    Network::new(&Architecture::published(variational))
}

fn model(variational: bool) -> CpuNetwork {
    let mut random = Random::new(0, Purpose::Null, 0);
    let values = (0..BATCH as usize * 128 * 130).map(|_| random.between(-1.5, 1.5) as f32);
    let data = Array::new([128, 130], values.collect::<Vec<_>>());
    let network = network(variational);
    let (parameters, statistics) = (network.initial_parameters(0), network.initial_statistics());
    CpuNetwork::new(network, data, parameters, statistics)
}

fn objective() -> Objective {
    let beta = Beta {
        beta: 4.0,
        schedule: BetaSchedule::Constant,
        warmup_epochs: 1,
        cycle_epochs: 1,
        cycle_ratio: 1.0,
    };
    let kl = Reduction::Mean;
    Objective { reconstruction: Reduction::Mean, kl, beta, ..Objective::default() }
}

/// One training step, update included.
#[divan::bench(args = [false, true], sample_count = 12)]
fn step(bencher: Bencher, variational: bool) {
    let mut trainer = Trainer::new(model(variational), 1e-3, 0.0).unwrap();
    let clips: Vec<u32> = (0..BATCH).collect();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let noise = variational.then(|| vec![0.5; BATCH as usize * 32]);
        let step = trainer.step(&clips, &objective(), 4.0, noise, &|| Ok(())).unwrap();
        trainer.update(step, 1, None).unwrap();
    });
}

/// The update alone.
#[divan::bench(sample_count = 12)]
fn adam(bencher: Bencher) {
    let trainer = std::cell::RefCell::new(Trainer::new(model(false), 1e-3, 0.0).unwrap());
    let step = || trainer.borrow().step(&[0], &objective(), 4.0, None, &|| Ok(())).unwrap();
    bencher
        .with_inputs(step)
        .bench_local_values(|step| trainer.borrow_mut().update(step, 1, None).unwrap());
}

const PLACES: [StageId; 5] = [
    StageId::Encoder(0),
    StageId::Mean,
    StageId::LogVariance,
    StageId::Decoder(0),
    StageId::Decoder(1),
];

/// One stage forward.
#[divan::bench(args = PLACES.map(|place| format!("{place:?}")), sample_count = 12)]
fn forward(bencher: Bencher, name: &str) {
    let (mut model, place) = ready(name);
    bencher.bench_local(|| model.forward(place));
}

/// One stage backward.
#[divan::bench(args = PLACES.map(|place| format!("{place:?}")), sample_count = 12)]
fn backward(bencher: Bencher, name: &str) {
    let (mut model, place) = ready(name);
    let mut gradient = vec![0.0; model.parameters().len()];
    let mut flow = vec![0.1; BATCH as usize * 32];
    bencher.bench_local(|| match place {
        StageId::Mean | StageId::LogVariance => {
            model.head_backward(place, &mut flow, false, &mut gradient);
        }
        _ => model.backward(place, &mut gradient),
    });
}

fn ready(name: &str) -> (CpuNetwork, StageId) {
    let mut model = model(true);
    model.encode(&(0..BATCH).collect::<Vec<_>>());
    model.decode_means();
    // The first backward step makes the buffers that all of them share.
    model.squared_error_backward(1.0);
    let mut gradient = vec![0.0; model.parameters().len()];
    model.backward(StageId::Decoder(1), &mut gradient);
    model.squared_error_backward(1.0);
    model.backward(StageId::Decoder(1), &mut gradient);
    let place = PLACES.into_iter().find(|place| format!("{place:?}") == name);
    (model, place.expect("a name from the list"))
}

/// Encoding of one batch.
#[divan::bench(args = [false, true], sample_count = 12)]
fn encode(bencher: Bencher, variational: bool) {
    let mut model = model(variational);
    model.training = false;
    let clips: Vec<u32> = (0..BATCH).collect();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| model.encode(&clips));
}
