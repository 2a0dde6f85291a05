//! Deep clustering against PyTorch, across threads and interruptions, and on a toy result.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

mod checkpoints;

use cache::{Array, Artifact, Kind, Table, Tensors};
use checkpoints::MemoryCheckpoints;
use ops::device::{Device, Place};
use ops::host::Warnings;
use ops::math::contingency::{Contingency, classes};
use ops::math::random::{Purpose, Random};
use ops::math::student::{assignments, divergence, target};
use ops::nn::clustering::adam;
use ops::nn::cpu_network::CpuNetwork;
use ops::nn::layers::{Architecture, Network};
use ops::nn::objective::{Objective, Reduction};
use ops::nn::tape::Trainer;
use ops::{Ctx, Detached, Inputs, Outputs};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Within `tolerance` of the largest expected value.
#[track_caller]
fn close(name: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{name}");
    let scale = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            (got - expected).abs() <= tolerance * scale,
            "{name}[{at}]: {got} is not {expected}"
        );
    }
}

/// One batch of `tests/torch/idec.py`.
#[test]
fn loss_and_gradients_are_those_of_pytorch() {
    let file = SafeTensors::deserialize(include_bytes!("fixtures/nn/idec.safetensors")).unwrap();
    let get = |name: &str| -> Vec<f32> {
        let bytes = file.tensor(name).unwrap().data().chunks_exact(4);
        bytes.map(|it| f32::from_le_bytes(it.try_into().unwrap())).collect()
    };
    let network = Network::new(&Architecture {
        input: [8, 10],
        channels: vec![3, 5],
        kernel: 3,
        stride: 2,
        batch_norm: false,
        latent: 4,
        variational: false,
    });
    let of = |set: &str| -> Vec<f32> {
        network.parameters.iter().flat_map(|p| get(&format!("{set}.{}", p.name))).collect()
    };
    let (centres, latents) = (get("centres"), get("latents"));
    let expected: Vec<f32> = get("target");
    let sharp = target(&assignments(&latents, &centres, 4), 3);
    close("target", &sharp.iter().map(|it| *it as f32).collect::<Vec<_>>(), &expected, 1e-5);
    let data = Array::new([8, 10], get("x"));
    let model = CpuNetwork::new(network.clone(), data, of("start"), Vec::new());
    let trainer = Trainer::new(model, 1e-3, 0.0).unwrap();
    let objective = Objective { reconstruction: Reduction::Mean, ..Objective::default() };
    let (mut value, mut of_centres) = (0.0, Vec::new());
    let mut term = |own: &[f32]| {
        close("latents", own, &latents, 1e-5);
        let found = divergence(own, &centres, 4, &sharp);
        (value, of_centres) = (found.value, found.centres);
        (0.1 * found.value, found.points.into_iter().map(|it| 0.1 * it).collect())
    };
    let mut step =
        trainer.step_with(&[0, 1, 2, 3, 4, 5], &objective, &mut term, &|| Ok(())).unwrap();
    let got = [step.losses.loss, step.losses.reconstruction, value].map(|it| it as f32);
    close("losses", &got, &get("losses"), 1e-5);
    of_centres.iter_mut().for_each(|it| *it *= 0.1);
    close("centres", &of_centres, &get("grad.centres"), 1e-4);
    let (found, expected) = (trainer.gradient(&mut step).unwrap(), of("grad"));
    for p in &network.parameters {
        close(&p.name, &found[p.range.clone()], &expected[p.range.clone()], 1e-4);
    }
    let mut moving = [centres, vec![0.0; 12], vec![0.0; 12]];
    let gradient = get("grad.centres");
    for (n, factor) in (1..).zip([1.0, -0.5, 2.0]) {
        let gradient: Vec<f32> = gradient.iter().map(|it| factor * it).collect();
        adam(&mut moving, &gradient, n, 1e-2);
    }
    close("centres after", &moving[0], &get("centres_after"), 1e-5);
}

/// Tones of four pitches with random phases, gains and noise, and their classes.
fn tones(seed: u64) -> (Artifact, Vec<String>) {
    let mut random = Random::new(seed, Purpose::Null, 0);
    let (mut values, mut truth) = (Vec::new(), Vec::new());
    for clip in 0..240 {
        let (gain, phase) = (random.between(0.5, 1.5), 0.5 * random.normal());
        let pitch = 0.3 + 0.25 * f64::from(clip % 4);
        values.extend((0..24).map(|at| {
            (gain * (f64::from(at) * pitch + phase).sin() + 0.3 * random.normal()) as f32
        }));
        truth.push(format!("{}", clip % 4));
    }
    let ids: Vec<String> = (0..240).map(|clip| format!("c{clip}")).collect();
    let table = Table::new().with_text("clip_id", ids).with_array("features", [24], values);
    (Artifact::table(Kind::Matrix, table), truth)
}

fn run(op: &str, params: Value, inputs: &[(&'static str, &Artifact)], cx: &Ctx<'_>) -> Outputs {
    let op = ops::find(op).unwrap().parse(params).unwrap();
    let all = inputs.iter().fold(Inputs::new(), |all, (port, artifact)| all.with(port, artifact));
    op.run(&all, cx).unwrap()
}

fn start(x: &Artifact, cx: &Ctx<'_>) -> Outputs {
    let params = json!({ "channels": [8], "latent": 4, "epochs": 8, "batch_size": 32 });
    run("autoencoder", params, &[("features", x)], cx)
}

fn params(epochs: u32) -> Value {
    json!({ "clusters": 4, "epochs": epochs, "batch_size": 32 })
}

fn rand_of(labels: &Artifact, truth: &[String]) -> f64 {
    let found = labels.as_table().unwrap().ints("label").unwrap();
    let found: Vec<u32> = found.iter().map(|it| *it as u32).collect();
    Contingency::new(&classes(truth).unwrap(), &found).adjusted_rand()
}

#[test]
fn clusters_are_better_than_those_it_starts_from() {
    let (mut before, mut after) = (0.0, 0.0);
    for seed in 0..4 {
        let cx = Detached::with_seed(seed);
        let (x, truth) = tones(seed);
        let first = start(&x, &cx);
        let (latent, model) = (first.get("latent").unwrap(), first.get("model").unwrap());
        let kmeans = run("kmeans", json!({ "clusters": 4 }), &[("features", latent)], &cx);
        let own = run("idec", params(40), &[("features", &x), ("autoencoder", model)], &cx);
        before += rand_of(kmeans.get("labels").unwrap(), &truth) / 4.0;
        after += rand_of(own.get("labels").unwrap(), &truth) / 4.0;
        // The network can be applied as any other.
        let again = [("features", &x), ("model", own.get("model").unwrap())];
        let again = run("autoencoder", json!({}), &again, &cx);
        let latent = |made: &Outputs| made.get("latent").unwrap().digest();
        assert_eq!(latent(&again), latent(&own));
    }
    assert!(after > before + 0.03, "adjusted Rand index from {before} to {after}");
}

#[derive(Default)]
struct RecordedWarnings(Mutex<Vec<String>>);

impl Warnings for RecordedWarnings {
    fn warn(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

fn digests(outputs: Outputs) -> Vec<String> {
    outputs.into_vec().iter().map(|(_, artifact)| artifact.digest().to_string()).collect()
}

#[test]
fn it_goes_on_from_any_epoch_with_the_same_bytes_and_says_that_no_gpu_trains_it() {
    let (x, _) = tones(1);
    let plain = Detached::with_seed(1);
    let first = start(&x, &plain);
    let inputs = [("features", &x), ("autoencoder", first.get("model").unwrap())];
    let kept = MemoryCheckpoints::default();
    let whole = Ctx { checkpoints: &kept, ..Detached::with_seed(1) };
    let outputs = run("idec", params(5), &inputs, &whole);
    let rows = outputs.get("history").unwrap().shape().rows;
    let expected = digests(outputs);
    for at in 1..=rows.unwrap() as u64 {
        let state = kept.0.lock().unwrap()[&at].clone();
        let from = MemoryCheckpoints(Mutex::new(BTreeMap::from([(at, state)])));
        let cx = Ctx { checkpoints: &from, ..Detached::with_seed(1) };
        assert_eq!(digests(run("idec", params(5), &inputs, &cx)), expected, "from epoch {at}");
    }
    // A state of another training is no use, and does no harm.
    let other = MemoryCheckpoints(Mutex::new(BTreeMap::from([(2, Tensors::new())])));
    let warnings = RecordedWarnings::default();
    let nowhere = || "/nowhere".into();
    let place = Place { ordinal: 0, driver: nowhere(), nvrtc: nowhere(), cubins: None };
    let device = Device::Cuda(place);
    let cx =
        Ctx { checkpoints: &other, warnings: &warnings, device: &device, ..Detached::with_seed(1) };
    assert_eq!(digests(run("idec", params(5), &inputs, &cx)), expected);
    assert!(warnings.0.lock().unwrap()[0].contains("trained on the CPU"));
}

#[test]
fn models_of_other_networks_are_refused_in_words() {
    let (x, _) = tones(2);
    let cx = Detached::with_seed(2);
    let small = json!({ "channels": [4], "latent": 2, "epochs": 0 });
    let vae = run("beta_vae", small, &[("features", &x)], &cx);
    let pca = run("pca", json!({ "components": 2 }), &[("features", &x)], &cx);
    for (model, expected) in [(vae, "is of a variational"), (pca, "does not say of which network")]
    {
        let op = ops::find("idec").unwrap().parse(params(1)).unwrap();
        let inputs = Inputs::new().with("features", &x);
        let inputs = inputs.with("autoencoder", model.get("model").unwrap());
        let error = op.run(&inputs, &cx).unwrap_err();
        assert!(error.message.contains(expected), "{}", error.message);
    }
}
