//! The promises of the model ops: the same bytes whatever the threads and interruptions, clear errors.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

mod checkpoints;

use cache::{Artifact, Data, Kind, Table};
use checkpoints::MemoryCheckpoints;
use ops::nn::layers::{Architecture, Network};
use ops::{Cancel, Ctx, Detached, ErrorKind, Inputs, OpError, Outputs, Progress};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Clips of a few patterns, so that there is something to learn.
fn clips(n: usize, height: usize, width: usize) -> Artifact {
    let mut values = Vec::new();
    for clip in 0..n {
        for y in 0..height {
            let pitch = 0.3 + 0.2 * (clip % 3) as f32;
            values.extend(
                (0..width).map(|x| ((x as f32) * pitch + y as f32 * 0.4 + clip as f32 * 0.1).sin()),
            );
        }
    }
    let ids: Vec<String> = (0..n).map(|i| format!("clip{i}")).collect();
    let table =
        Table::new().with_text("clip_id", ids).with_array("features", [height, width], values);
    Artifact::table(Kind::Spectrogram, table).with_meta("unit", "dB")
}

fn run_in(op: &str, params: &Value, input: &Artifact, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
    let op = ops::find(op).unwrap().parse(params.clone()).unwrap();
    op.check(&[Some(input.shape())])?;
    op.run(&Inputs::new().with("features", input), cx)
}

fn run(op: &str, params: &Value, input: &Artifact) -> Result<Outputs, OpError> {
    run_in(op, params, input, &Detached::with_seed(7))
}

fn digests(outputs: Outputs) -> Vec<(&'static str, String)> {
    let all = outputs.into_vec().into_iter();
    all.map(|(port, artifact)| (port, artifact.digest().to_string())).collect()
}

fn small(epochs: u32) -> Value {
    json!({ "channels": [4, 6], "latent": 3, "epochs": epochs, "batch_size": 8 })
}

fn with(mut params: Value, more: Value) -> Value {
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    params
}

/// Cancels after a number of questions; counts reports of progress.
struct Watch {
    left: AtomicUsize,
    reports: AtomicUsize,
}

impl Watch {
    fn new(left: usize) -> Self {
        Self { left: AtomicUsize::new(left), reports: AtomicUsize::new(0) }
    }
}

impl Cancel for Watch {
    fn is_cancelled(&self) -> bool {
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_err()
    }
}

impl Progress for Watch {
    fn at(&self, done: u64, total: u64, note: &str) {
        assert!(done <= total && note.contains("epoch") && note.contains("loss"), "{note}");
        self.reports.fetch_add(1, Ordering::SeqCst);
    }
}

fn context<'a>(kept: &'a MemoryCheckpoints, watch: &'a Watch) -> Ctx<'a> {
    Ctx { seed: 7, progress: watch, cancel: watch, checkpoints: kept, ..Detached::with_seed(7) }
}

/// Every change to the clips of a training.
fn changes() -> Value {
    json!({ "augment_gain": 0.3, "augment_shift": 2, "mask_frames": 3, "mask_bands": 2 })
}

/// Another objective than the default one.
fn correlated() -> Value {
    json!({ "objective": "beta_tc", "output_variance": "optimal", "validation": 0.2 })
}

/// Both models, with and without everything optional.
fn variants(epochs: u32) -> Vec<(&'static str, Value)> {
    let more = json!({ "batch_norm": true, "clip_norm": 1.0, "weight_decay": 0.01 });
    let schedule = json!({ "beta_schedule": "linear", "warmup_epochs": 3, "free_bits": 0.1,
        "validation": 0.2, "patience": 3 });
    vec![
        ("autoencoder", small(epochs)),
        ("autoencoder", with(small(epochs), more.clone())),
        ("beta_vae", small(epochs)),
        ("beta_vae", with(with(small(epochs), more), schedule)),
        ("autoencoder", with(small(epochs), changes())),
        ("beta_vae", with(with(small(epochs), changes()), correlated())),
        ("beta_vae", with(small(epochs), json!({ "objective": "capacity", "capacity": 2.0 }))),
    ]
}

#[test]
fn the_same_bytes_on_any_number_of_threads() {
    let input = clips(21, 9, 14);
    for (op, params) in variants(2) {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| digests(run(op, &params, &input).unwrap()))
        };
        let one = on(1);
        assert_eq!(one, on(2), "{op} {params}");
        assert_eq!(one, on(5), "{op} {params}");
    }
}

#[test]
fn no_epochs_leave_the_weights_as_they_are_drawn() {
    let input = clips(12, 9, 7);
    for op in ["autoencoder", "beta_vae"] {
        let made = run(op, &small(0), &input).unwrap();
        let model = made.get("model").unwrap();
        let network = Network::new(&Architecture::described(&model.meta).unwrap());
        let (weights, _) = network.join_tensors(model.as_tensors().unwrap()).unwrap();
        assert_eq!(weights, network.initial_parameters(7));
        assert_eq!(made.get("history").and_then(Artifact::as_table).unwrap().rows(), 0);
        assert_eq!(made.get("latent").unwrap().shape().rows, Some(12));
    }
}

#[test]
fn each_change_of_the_clips_and_each_objective_counts() {
    let input = clips(20, 9, 7);
    let of = |more: Value| digests(run("beta_vae", &with(small(2), more), &input).unwrap());
    let plain = of(json!({}));
    for (name, value) in changes().as_object().unwrap() {
        assert_ne!(of(json!({ name: value })), plain, "{name}");
    }
    for (name, value) in correlated().as_object().unwrap() {
        assert_ne!(of(json!({ name: value })), plain, "{name}");
    }
}

#[test]
fn an_interrupted_training_ends_with_the_same_bytes() {
    let input = clips(21, 9, 14);
    for (op, params) in variants(4) {
        let whole = digests(run(op, &params, &input).unwrap());
        let kept = MemoryCheckpoints::default();
        let mut interruptions = 0;
        for questions in [30, 50, 70, 10_000] {
            match run_in(op, &params, &input, &context(&kept, &Watch::new(questions))) {
                Ok(outputs) => assert_eq!(digests(outputs), whole, "{op} {params}"),
                Err(error) => {
                    assert_eq!(error.kind, ErrorKind::Cancelled);
                    interruptions += 1;
                }
            }
        }
        assert!(interruptions >= 2 && !kept.0.lock().unwrap().is_empty());
    }
}

#[test]
fn a_longer_training_continues_a_shorter_one() {
    let input = clips(21, 9, 14);
    for ((op, short), (_, long)) in variants(2).into_iter().zip(variants(4)) {
        let kept = MemoryCheckpoints::default();
        let watch = Watch::new(usize::MAX);
        run_in(op, &short, &input, &context(&kept, &watch)).unwrap();
        let first = watch.reports.load(Ordering::SeqCst);
        let outputs = run_in(op, &long, &input, &context(&kept, &watch)).unwrap();
        assert_eq!(watch.reports.load(Ordering::SeqCst), 2 * first, "only two more epochs run");
        assert_eq!(digests(outputs), digests(run(op, &long, &input).unwrap()));
        // A shorter one than any checkpoint beyond it starts from the checkpoint it may use.
        let again = digests(run_in(op, &short, &input, &context(&kept, &watch)).unwrap());
        assert_eq!(again, digests(run(op, &short, &input).unwrap()));
    }
}

#[test]
fn training_makes_the_loss_smaller_and_every_port_has_its_shape() {
    let input = clips(24, 10, 13);
    for (op, params) in variants(30) {
        let params = with(params, json!({ "learning_rate": 0.01 }));
        let parsed = ops::find(op).unwrap().parse(params.clone()).unwrap();
        let shapes = parsed.check(&[Some(input.shape())]).unwrap();
        let outputs = run(op, &params, &input).unwrap();
        let history = outputs.get("history").unwrap().as_table().unwrap();
        let error = history.reals("reconstruction").unwrap();
        assert!(error[error.len() - 1] < 0.8 * error[0], "{op}: {error:?}");
        assert_eq!(history.reals("learning_rate").unwrap()[0], 0.01);
        let ports = ops::find(op).unwrap().outputs;
        for ((port, shape), (name, artifact)) in ports.iter().zip(shapes).zip(outputs.into_vec()) {
            assert_eq!(port.name, name);
            let real = artifact.shape();
            assert_eq!((shape.kind, &shape.row.or(real.row.clone())), (real.kind, &real.row));
            assert_eq!(shape.rows.or(real.rows), real.rows, "{name}");
        }
    }
}

#[test]
fn diagnostics_and_reconstructions_say_what_they_promise() {
    let input = clips(24, 10, 13);
    let params = with(small(20), json!({ "reconstruction": "mean", "kl": "mean", "examples": 5 }));
    let outputs = run("beta_vae", &params, &input).unwrap();
    let diagnostics = outputs.get("diagnostics").unwrap();
    let table = diagnostics.as_table().unwrap();
    let kl: f64 = table.reals("kl").unwrap().iter().sum();
    assert!((diagnostics.meta["total_kl"].as_f64().unwrap() - kl).abs() < 1e-12);
    let effective = 4.0 * 130.0 / 3.0;
    assert!((diagnostics.meta["effective_beta"].as_f64().unwrap() - effective).abs() < 1e-9);
    let dimension = diagnostics.meta["effective_dimension"].as_f64().unwrap();
    assert!((1.0..=3.0).contains(&dimension), "{dimension}");
    let made = outputs.get("reconstruction").unwrap();
    assert_eq!(made.meta["unit"], "dB");
    let table = made.as_table().unwrap();
    assert_eq!(table.text("clip_id").unwrap(), ["clip0", "clip4", "clip9", "clip14", "clip19"]);
    let (original, clips) = (table.array("original").unwrap(), input.as_table().unwrap());
    assert_eq!(original.row(1), clips.array("features").unwrap().row(4));
    let Data::Tensors(model) = &outputs.get("model").unwrap().data else { panic!("not tensors") };
    assert_eq!(model["encoder.conv1.weight"].shape, [4, 1, 3, 3]);
    assert_eq!(model["decoder.conv1.weight"].shape, [6, 4, 3, 3]);
}

#[test]
fn early_stopping_keeps_the_best_epoch() {
    let input = clips(24, 10, 13);
    let stop = json!({ "validation": 0.25, "patience": 2, "learning_rate": 0.05 });
    let outputs = run("autoencoder", &with(small(200), stop), &input).unwrap();
    let history = outputs.get("history").unwrap().as_table().unwrap();
    let validation = history.reals("validation").unwrap();
    let best = validation.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(validation.len() < 200);
    assert_eq!(validation[validation.len() - 3], best);
    let missing = json!({ "patience": 2 });
    let error = run("autoencoder", &with(small(2), missing), &input).unwrap_err();
    assert_eq!(error.param, Some("patience"));
}

#[test]
fn vectors_and_single_pixels_and_single_clips_work() {
    let vectors = |n: usize, width: usize| {
        let ids: Vec<String> = (0..n).map(|i| i.to_string()).collect();
        let values = (0..n * width).map(|i| (i % 7) as f32).collect();
        let table = Table::new().with_text("clip_id", ids).with_array("features", [width], values);
        Artifact::table(Kind::Matrix, table)
    };
    for (n, width) in [(5, 11), (1, 11), (3, 1), (1, 1)] {
        for (op, params) in variants(2) {
            let whole = json!({ "mask_frames": 0, "mask_bands": 0 });
            let params = with(with(params, whole), json!({ "validation": 0.0, "patience": null }));
            let outputs = run(op, &params, &vectors(n, width)).unwrap();
            let made = outputs.get("reconstruction").unwrap();
            assert_eq!((made.kind, made.shape().row), (Kind::Matrix, Some(vec![width])));
        }
    }
}

#[test]
fn divergence_names_epoch_and_batch_and_the_last_good_epoch() {
    let input = clips(21, 9, 14);
    let params = with(small(50), json!({ "learning_rate": 1e6 }));
    let error = run("beta_vae", &params, &input).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Failure);
    for word in ["diverged", "epoch", "good"] {
        assert!(error.message.contains(word), "{error}");
    }
    assert!(error.help.unwrap().contains("learning_rate"));
}

#[test]
fn silly_parameters_and_data_are_refused() {
    let input = clips(6, 9, 14);
    let param_of =
        |op: &str, more: Value| run(op, &with(small(1), more), &input).unwrap_err().param;
    assert_eq!(param_of("autoencoder", json!({ "channels": [] })), Some("channels"));
    assert_eq!(
        param_of("autoencoder", json!({ "channels": [usize::MAX, usize::MAX] })),
        Some("channels")
    );
    assert_eq!(param_of("beta_vae", json!({ "latent": usize::MAX })), Some("channels"));
    assert_eq!(param_of("beta_vae", json!({ "kernel": 1_000_000 })), Some("kernel"));
    assert_eq!(param_of("beta_vae", json!({ "stride": usize::MAX })), Some("stride"));
    assert_eq!(param_of("beta_vae", json!({ "validation": 1.0 })), Some("validation"));
    assert_eq!(param_of("beta_vae", json!({ "mask_bands": 9 })), Some("mask_bands"));
    assert_eq!(param_of("autoencoder", json!({ "mask_frames": 99 })), Some("mask_frames"));
    let both = json!({ "free_bits": 0.1, "objective": "beta_tc" });
    assert_eq!(param_of("beta_vae", both), Some("free_bits"));
    for bad in [f32::NAN, f32::INFINITY] {
        let mut values = vec![0.0; 12];
        values[7] = bad;
        let table =
            Table::new().with_text("clip_id", ["a", "b"]).with_array("features", [2, 3], values);
        let error = run("autoencoder", &small(1), &Artifact::table(Kind::Spectrogram, table));
        assert!(error.unwrap_err().message.contains("clip `b`"));
    }
    let empty = Table::new().with_text("clip_id", [""; 0]).with_array("features", [2, 3], vec![]);
    assert!(run("autoencoder", &small(1), &Artifact::table(Kind::Spectrogram, empty)).is_err());
}

/// The numbers of a training as it was before there were other objectives. They hold to single precision alone,
/// since products of matrices round as the vectors of the processor allow.
#[test]
fn the_losses_of_a_plain_beta_vae_stay_as_they_are() {
    let value = |at: usize| (at * 7919 % 1000) as f32 / 500.0 - 1.0;
    let ids = (0..40).map(|clip| format!("c{clip}"));
    let values = (0..40 * 24).map(value).collect();
    let table = Table::new().with_text("clip_id", ids).with_array("features", [24], values);
    let input = Artifact::table(Kind::Matrix, table);
    let params = json!({ "channels": [4, 6], "latent": 3, "epochs": 3, "batch_size": 16 });
    let expected = [
        ("loss", [10.485_521_3, 10.352_870_9, 10.241_193_8]),
        ("reconstruction", [10.384_168_6, 10.267_074_6, 10.169_543_3]),
        ("kl", [0.025_338_279, 0.021_448_858, 0.017_912_760]),
    ];
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let made = pool.install(|| run("beta_vae", &params, &input).unwrap());
        let history = made.get("history").unwrap().as_table().unwrap();
        for (name, expected) in &expected {
            for (got, expected) in history.reals(name).unwrap().iter().zip(expected) {
                assert!((got / expected - 1.0).abs() < 1e-5, "{name}: {got} {expected}");
            }
        }
    }
}
