//! The kernels of a GPU, compiled as C++ and run on the CPU, beside the CPU's own network: losses,
//! gradients, latents and updates; failures; and that nothing depends on the order of threads.
//!
//! Without a C++ compiler nothing is checked, and each test says so.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

mod checkpoints;
mod cuda;
#[path = "cuda/plans.rs"]
mod plans;

use checkpoints::MemoryCheckpoints;
use cuda::{Emulator, compiler, say_skipped};
use ops::math::random::{Purpose, Random};
use ops::nn::backend::{Backend, Batches, State};
use ops::nn::cpu::Cpu;
use ops::nn::cuda::parity::{Parity, clips, compare};
use ops::nn::cuda::{Precision, trainer::OnDevice};
use ops::nn::fit::{Epoch, Plan};
use ops::nn::layers::Architecture;
use ops::nn::objective::{Beta, Objective, Reduction, Regularizer, Variance};
use ops::{Ctx, Detached, ErrorKind, OpError};
use plans::{plan, with_all, with_others};
use std::sync::Mutex;

fn parity(plan: &Plan, steps: usize) -> Parity {
    let data = clips(21, plan.architecture.input);
    compare(&|| Ok(Emulator::new()), plan, &data, steps).unwrap()
}

fn agrees(plan: &Plan, steps: usize, [curve, gradient, latents]: [f64; 3]) {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let found = parity(plan, steps);
    let apart = &found.device;
    assert!(apart.curve < curve, "{} of {:?}", apart.curve, found.losses);
    assert!(apart.gradient() < gradient, "{:?}", apart.gradients);
    assert!(apart.latents < latents, "latents {}", apart.latents);
    assert!(found.repeats, "a second training gave other bits");
    assert!(found.resumes, "a training that went on half-way gave other bits");
}

const SINGLE: [f64; 3] = [1e-3, 1e-4, 1e-4];

#[test]
fn a_beta_vae_agrees_with_the_cpu() {
    agrees(&plan(&[4, 6], true), 20, SINGLE);
}

#[test]
fn an_autoencoder_with_everything_optional_agrees_with_the_cpu() {
    agrees(&with_all(plan(&[5, 9], false)), 20, SINGLE);
}

#[test]
fn a_beta_vae_with_everything_optional_agrees_with_the_cpu() {
    agrees(&with_all(plan(&[9, 3], true)), 20, SINGLE);
}

#[test]
fn every_objective_agrees_with_the_cpu() {
    let capacity = |nats| Regularizer::Capacity { nats, epochs: 3 };
    let correlation = Regularizer::TotalCorrelation { clips: 21 };
    for (regularizer, variance, reduction) in [
        (capacity(0.01), Variance::Fixed, Reduction::Mean),
        (capacity(40.0), Variance::Optimal, Reduction::Sum),
        (correlation, Variance::Fixed, Reduction::Sum),
        (correlation, Variance::Optimal, Reduction::Mean),
        (Regularizer::Beta, Variance::Optimal, Reduction::Sum),
    ] {
        let mut plan = plan(&[4, 6], true);
        let beta = Beta { beta: 3.0, ..plan.objective.beta };
        let (reconstruction, kl, free_bits) = (reduction, reduction, 0.0);
        plan.objective = Objective { reconstruction, kl, beta, free_bits, regularizer, variance };
        agrees(&plan, 8, SINGLE);
    }
    let mut plan = plan(&[4], false);
    plan.objective.variance = Variance::Optimal;
    agrees(&plan, 8, SINGLE);
}

#[test]
fn changed_clips_agree_with_the_cpu() {
    agrees(&with_others(plan(&[4, 6], true)), 8, SINGLE);
    agrees(&with_others(plan(&[4, 6], false)), 8, SINGLE);
}

#[test]
fn held_out_losses_agree_with_the_cpu() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let mut capacity = with_all(plan(&[4, 6], true));
    capacity.objective.regularizer = Regularizer::Capacity { nats: 2.0, epochs: 9 };
    for plan in [with_all(plan(&[4, 6], true)), capacity, with_others(plan(&[4, 6], true))] {
        let (data, cx) = (clips(21, plan.architecture.input), Detached::with_seed(3));
        let state = State::start(&plan.network(), 3);
        let mut cpu = Cpu::new(&plan, &data, &state).unwrap();
        let mut device = OnDevice::new(Emulator::new(), &plan, &data, 3).unwrap();
        device.restore(&state).unwrap();
        let chosen = [20, 0, 7, 3, 11, 2, 5, 19, 4];
        let (a, b) = (cpu.validate(&chosen, &cx).unwrap(), device.validate(&chosen, &cx).unwrap());
        assert!((a - b).abs() < 1e-5 * a.abs(), "{a} {b}");
    }
}

#[test]
fn channels_of_every_tile_agree_with_the_cpu() {
    agrees(&plan(&[20, 40, 70], true), 3, SINGLE);
    agrees(&plan(&[16, 32, 64], true), 3, SINGLE);
}

#[test]
fn other_kernels_and_strides_agree_with_the_cpu() {
    for (kernel, stride, input) in [(4, 3, [10, 11]), (1, 2, [5, 6]), (5, 1, [6, 7])] {
        let mut plan = plan(&[3, 2], true);
        plan.architecture = Architecture { kernel, stride, input, ..plan.architecture };
        agrees(&plan, 3, SINGLE);
    }
}

#[test]
fn a_vector_is_an_image_of_one_row() {
    let mut plan = plan(&[4], false);
    plan.architecture.input = [1, 17];
    agrees(&plan, 3, SINGLE);
}

#[test]
fn tensor_cores_agree_within_their_precision() {
    let bounds = [(Precision::Tf32, [5e-3, 5e-2, 5e-3]), (Precision::Bf16, [3e-2, 2e-1, 3e-2])];
    for (precision, bounds) in bounds {
        let plan = Plan { precision, ..plan(&[12, 40, 70], true) };
        agrees(&plan, 6, bounds);
    }
}

#[test]
fn nothing_depends_on_the_order_of_threads_and_blocks() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
        let small = || plan(&[9, 33], true);
        for plan in [with_all(small()), with_others(small())] {
            let plan = Plan { precision, ..plan };
            let data = clips(21, plan.architecture.input);
            let bits = |backwards, late| {
                let driver = Emulator { backwards, late, ..Emulator::new() };
                train(&plan, &data, driver, &MemoryCheckpoints::default()).unwrap().1
            };
            // Whatever may run beside others runs before them, and then after them.
            assert_eq!(bits(false, false), bits(true, true), "{precision:?}");
        }
    }
}

type Trained = (Vec<Epoch>, State);

fn train(
    plan: &Plan,
    data: &cache::Array,
    driver: Emulator,
    kept: &MemoryCheckpoints,
) -> Result<Trained, OpError> {
    let cx = Ctx { checkpoints: kept, ..Detached::with_seed(7) };
    let (mut backend, history) =
        plan.fit_on(data, &cx, |_| Ok(Box::new(OnDevice::new(driver, plan, data, cx.seed)?)))?;
    Ok((history, backend.state()?))
}

fn train_on_cpu(
    plan: &Plan,
    data: &cache::Array,
    kept: &MemoryCheckpoints,
) -> Result<Trained, OpError> {
    let cx = Ctx { checkpoints: kept, ..Detached::with_seed(7) };
    let (mut backend, history) =
        plan.fit_on(data, &cx, |state| Ok(Box::new(Cpu::new(plan, data, state)?)))?;
    Ok((history, backend.state()?))
}

#[test]
fn a_lost_device_keeps_the_checkpoint_and_either_device_goes_on_from_it() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let mut plan = plan(&[4, 6], true);
    (plan.validation, plan.patience) = (0.2, Some(2));
    let data = clips(21, plan.architecture.input);
    let whole = train(&plan, &data, Emulator::new(), &MemoryCheckpoints::default()).unwrap();
    assert_eq!(whole.0.len(), 3);

    let kept = MemoryCheckpoints::default();
    let launches = {
        let (short, kept) = (Plan { epochs: 2, ..plan.clone() }, MemoryCheckpoints::default());
        let counted = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let driver = Emulator { counted: Some(counted.clone()), ..Emulator::new() };
        train(&short, &data, driver, &kept).unwrap();
        counted.load(std::sync::atomic::Ordering::Relaxed)
    };
    let lost = Emulator { breaks_after: Some(launches + 20), ..Emulator::new() };
    let error = train(&plan, &data, lost, &kept).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Failure);
    let help = error.help.clone().unwrap_or_default();
    assert!(error.message.contains("in epoch 3, `cuLaunchKernel "), "{error}");
    assert!(error.message.contains("the device is lost"), "{error}");
    assert!(help.contains("after epoch 2 is kept"), "{help}");
    assert_eq!(kept.0.lock().unwrap().keys().copied().collect::<Vec<_>>(), [1, 2]);

    let copy = MemoryCheckpoints(Mutex::new(kept.0.lock().unwrap().clone()));
    assert_eq!(train(&plan, &data, Emulator::new(), &kept).unwrap(), whole);
    let (history, _) = train_on_cpu(&plan, &data, &copy).unwrap();
    assert_eq!(history[..2], whole.0[..2]);
    let (a, b) = (history[2].losses.loss, whole.0[2].losses.loss);
    assert!((a - b).abs() < 1e-3 * a.abs(), "{a} {b}");
    let (a, b) = (history[2].validation, whole.0[2].validation);
    assert!((a - b).abs() < 1e-3 * a.abs(), "{a} {b}");
}

#[test]
fn a_step_is_recorded_once_a_shape_and_the_host_waits_only_for_losses() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let plan = with_all(plan(&[4, 6], true));
    let data = clips(21, plan.architecture.input);
    let mut model = OnDevice::new(Emulator::new(), &plan, &data, 1).unwrap();
    model.restore(&State::start(&plan.network(), 1)).unwrap();
    let order: Vec<u32> = (0..21).collect();
    for epoch in 1..4 {
        let steps_before = 3 * (epoch - 1);
        let batches = Batches { epoch, order: &order, beta: 1.0, steps_before };
        let before = (model.driver().reads, model.driver().writes);
        model.train(&batches, &Detached::with_seed(1), &mut |_, _| Ok(())).unwrap();
        let device = model.driver();
        assert_eq!(device.recordings.len(), 2, "of batches of 8, and of the last one of 5");
        let [eight, five] = [0, 1].map(|shape| device.recordings[shape].len());
        // Nothing is launched but in recordings.
        assert_eq!(device.launches, epoch as usize * (2 * eight + five));
        // The losses of all steps; before them the order and the clock.
        assert_eq!((device.reads - before.0, device.writes - before.1), (1, 2));
    }
}

#[test]
fn what_trains_beside_a_model_does_not_change_its_bits() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let first = plan(&[4, 6], true);
    let mut second = first.clone();
    (second.objective.beta.beta, second.architecture.latent) = (4.0, 2);
    let data = clips(21, first.architecture.input);
    let open = |plan: &Plan, seed| {
        let mut made = OnDevice::new(Emulator::new(), plan, &data, seed).unwrap();
        made.restore(&State::start(&plan.network(), seed)).unwrap();
        made
    };
    let step = |model: &mut OnDevice<Emulator>, plan: &Plan, seed, at: u64| {
        let order = Random::new(seed, Purpose::Shuffle, at as u32).permutation(21);
        let beta = plan.objective.beta.beta;
        // One batch a turn, so that the turns of both fall between each other's steps.
        let batch = &order[..if at % 3 == 2 { 5 } else { 8 }];
        let batches = Batches { epoch: at + 1, order: batch, beta, steps_before: at };
        model.train(&batches, &Detached::with_seed(seed), &mut |_, _| Ok(())).unwrap();
    };
    let alone = |plan: &Plan, seed| {
        let mut model = open(plan, seed);
        (0..6).for_each(|at| step(&mut model, plan, seed, at));
        model.state().unwrap()
    };
    let (mut a, mut b) = (open(&first, 1), open(&second, 2));
    for at in 0..6 {
        step(&mut a, &first, 1, at);
        step(&mut b, &second, 2, at);
    }
    let together = (a.state().unwrap(), b.state().unwrap());
    assert_eq!(together, (alone(&first, 1), alone(&second, 2)));

    // The same from two threads at once.
    let at_once = std::thread::scope(|scope| {
        let a = scope.spawn(|| alone(&first, 1));
        let b = scope.spawn(|| alone(&second, 2));
        (a.join().unwrap(), b.join().unwrap())
    });
    assert_eq!(at_once, together);
}

#[test]
fn a_step_takes_the_memory_that_its_plan_says_before_it_starts() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let plan = plan(&[4, 6], true);
    let [height, width] = plan.architecture.input;
    let shape = cache::Shape::of(cache::Kind::Spectrogram);
    let shape = shape.with_rows(Some(21)).with_row(Some(vec![height, width]));
    let said = plan.gpu_memory(&[Some(shape)]).unwrap();
    let data = clips(21, plan.architecture.input);
    assert_eq!(said.input, 4 * data.values().len() as u64);
    let said = said.alone();
    for (size, fits) in [(said, true), (said - 8, false)] {
        let driver = Emulator { size, ..Emulator::new() };
        assert_eq!(train(&plan, &data, driver, &MemoryCheckpoints::default()).is_ok(), fits);
    }
    assert_eq!(plan.gpu_memory(&[None]), None);
}

#[test]
fn too_little_memory_names_what_was_asked_for_and_what_would_fit() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let mut plan = Plan { batch_size: 600, ..plan(&[4, 6], true) };
    let data = clips(700, plan.architecture.input);
    let small = || Emulator { size: 3_000_000, ..Emulator::new() };
    let error = train(&plan, &data, small(), &MemoryCheckpoints::default()).err().unwrap();
    assert!(error.message.contains("GiB free; the training asked for 0.0"), "{error}");
    let help = error.help.unwrap_or_default();
    let fits: usize = help
        .split(' ')
        .next_back()
        .and_then(|_| help.split("`batch_size` of ").nth(1)?.split(' ').next()?.parse().ok())
        .unwrap();
    assert!((1..600).contains(&fits), "{help}");
    (plan.batch_size, plan.epochs) = (fits, 1);
    train(&plan, &data, small(), &MemoryCheckpoints::default()).unwrap();

    let tiny = Emulator { size: 1000, ..Emulator::new() };
    let error = train(&plan, &data, tiny, &MemoryCheckpoints::default()).err().unwrap();
    assert!(error.help.unwrap_or_default().contains("clips alone do not fit"));
}

#[test]
fn a_batch_beyond_the_grid_is_refused() {
    let mut plan = Plan { batch_size: 70_000, ..plan(&[2], false) };
    plan.architecture.input = [1, 2];
    let data = clips(70_000, [1, 2]);
    let error = train(&plan, &data, Emulator::new(), &MemoryCheckpoints::default()).err().unwrap();
    assert_eq!(error.param, Some("batch_size"));
    assert_eq!(error.help.as_deref(), Some("use at most 65535"));
}

#[test]
fn reconstructions_agree_with_the_cpu() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let plan = with_all(plan(&[4, 6], true));
    let (data, cx) = (clips(21, plan.architecture.input), Detached::with_seed(3));
    let state = State::start(&plan.network(), 3);
    let mut cpu = Cpu::new(&plan, &data, &state).unwrap();
    let mut device = OnDevice::new(Emulator::new(), &plan, &data, 3).unwrap();
    device.restore(&state).unwrap();
    let chosen = [20, 0, 7, 7, 3, 11, 2, 5, 19, 4];
    let (a, b) =
        (cpu.reconstruct(&chosen, &cx).unwrap(), device.reconstruct(&chosen, &cx).unwrap());
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(&b) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
    let (a, b) = (cpu.encode(&chosen, &cx).unwrap(), device.encode(&chosen, &cx).unwrap());
    assert_eq!(a.log_variances.len(), b.log_variances.len());
}
