//! Several models on one emulated GPU: clips that they share are there once, and no model's bits change by it.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

mod cuda;
#[path = "cuda/plans.rs"]
mod plans;

use cache::{Array, Digest, Hasher};
use cuda::{EmulatedGpu, Emulator, Upload, compiler, say_skipped};
use ops::nn::backend::{Backend, Batches, State};
use ops::nn::cuda::{Precision, parity, plan, trainer::OnDevice};
use ops::nn::fit::Plan;
use ops::{Detached, OpError};
use plans::with_others;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};

const CLIPS: usize = 21;
const SEED: u64 = 5;

fn plan() -> Plan {
    plans::plan(&[4, 6], true)
}

fn clips(plan: &Plan) -> Array {
    parity::clips(CLIPS, plan.architecture.input)
}

/// The bytes of the clips in single precision.
fn bytes(data: &Array) -> usize {
    4 * data.values().len()
}

fn on(gpu: &Arc<EmulatedGpu>) -> Emulator {
    Emulator { gpu: Arc::clone(gpu), ..Emulator::new() }
}

fn open(driver: Emulator, plan: &Plan, data: &Array) -> Result<OnDevice<Emulator>, OpError> {
    let mut model = OnDevice::new(driver, plan, data, SEED)?;
    model.restore(&State::start(&plan.network(), SEED))?;
    Ok(model)
}

/// The losses of an epoch, and the digest of the state after it.
fn trained(model: &mut OnDevice<Emulator>) -> (Vec<f64>, Digest) {
    let order: Vec<u32> = (0..CLIPS as u32).rev().collect();
    let batches = Batches { epoch: 1, order: &order, beta: 0.7, steps_before: 0 };
    let mut losses = Vec::new();
    let mut hear = |_, step: ops::nn::objective::Losses| {
        losses.push(step.loss);
        Ok(())
    };
    model.train(&batches, &Detached::with_seed(SEED), &mut hear).unwrap();
    let State { parameters, statistics, moments: [first, second] } = model.state().unwrap();
    let mut hasher = Hasher::new("state");
    for values in [parameters, statistics, first, second] {
        hasher.values(&values);
    }
    (losses, hasher.finish())
}

fn alone(plan: &Plan, data: &Array) -> (Vec<f64>, Digest) {
    trained(&mut open(Emulator::new(), plan, data).unwrap())
}

fn taken(gpu: &EmulatedGpu) -> usize {
    gpu.taken.load(Ordering::SeqCst)
}

fn uploaded(gpu: &EmulatedGpu) -> usize {
    gpu.uploaded.load(Ordering::SeqCst)
}

#[test]
fn models_of_the_same_clips_upload_them_once_and_have_the_bits_that_they_have_alone() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let (gpu, first) = (Arc::default(), plan());
    let second = with_others(plan());
    let data = clips(&first);
    let mut a = open(on(&gpu), &first, &data).unwrap();
    assert_eq!(uploaded(&gpu), bytes(&data));
    let of_one = taken(&gpu);
    // The same content elsewhere in the memory of the process.
    let copy = Array::new(data.shape(), data.values().to_vec());
    let mut b = open(on(&gpu), &second, &copy).unwrap();
    assert_eq!(uploaded(&gpu), bytes(&data), "the clips were there");
    let own = plan::Plan::new(&second, CLIPS, second.batch_size).bytes as usize;
    assert_eq!(taken(&gpu), of_one + own);

    assert_eq!(trained(&mut a), alone(&first, &data));
    drop(a);
    // The clips stay as long as one model reads them.
    assert_eq!(taken(&gpu), bytes(&data) + own);
    assert_eq!(trained(&mut b), alone(&second, &data));
    let another = Arc::default();
    open(on(&another), &first, &data).unwrap();
    assert_eq!(uploaded(&another), bytes(&data), "another GPU has nothing of them");
    drop(b);
    assert_eq!(taken(&gpu), 0);
    open(on(&gpu), &first, &data).unwrap();
    assert_eq!(uploaded(&gpu), 2 * bytes(&data), "they were gone");
}

#[test]
fn other_clips_and_other_numbers_are_uploaded_apart() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let (gpu, first) = (Arc::default(), plan());
    let data = clips(&first);
    let mut values = data.values().to_vec();
    // One bit of the last number differs.
    *values.last_mut().unwrap() = values.last().unwrap().next_up();
    let other = Array::new(data.shape(), values);
    let tf32 = Plan { precision: Precision::Tf32, ..first.clone() };
    let bf16 = Plan { precision: Precision::Bf16, ..first.clone() };
    let full = bytes(&data);
    let mut models = Vec::new();
    for (plan, data, uploads) in [
        (&first, &data, full),
        (&first, &other, full),
        // Products cut their factors themselves, so the clips are the same.
        (&tf32, &data, 0),
        (&bf16, &data, full / 2),
        (&bf16, &other, full / 2),
        (&bf16, &data, 0),
    ] {
        let before = uploaded(&gpu);
        let model = open(on(&gpu), plan, data).unwrap();
        assert_eq!(uploaded(&gpu) - before, uploads, "{:?}", plan.precision);
        models.push((model, plan, data));
    }
    for (model, plan, data) in &mut models {
        assert_eq!(trained(model), alone(plan, data), "{:?}", plan.precision);
    }
    drop(models);
    assert_eq!(taken(&gpu), 0);
}

#[test]
fn clips_are_read_only_once_they_are_there() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let (gpu, plan) = (Arc::default(), plan());
    let data = clips(&plan);
    let late = Emulator { upload: Upload::Late, ..on(&gpu) };
    let first = open(late, &plan, &data).unwrap();
    // Meanwhile the first model does nothing for which its copies would have to be there.
    let mut second = open(on(&gpu), &plan, &data).unwrap();
    assert_eq!(trained(&mut second), alone(&plan, &data));
    drop(first);
}

#[test]
fn models_that_are_opened_at_once_upload_once() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let (gpu, plan, gate) = (Arc::default(), plan(), Arc::new(Barrier::new(3)));
    let data = clips(&plan);
    let expected = alone(&plan, &data);
    std::thread::scope(|scope| {
        let train = || {
            let driver = Emulator { gate: Some(Arc::clone(&gate)), ..on(&gpu) };
            let mut model = open(driver, &plan, &data).unwrap();
            let found = trained(&mut model);
            // None is dropped before all have theirs.
            gate.wait();
            found
        };
        let models = [(); 3].map(|()| scope.spawn(train));
        models.into_iter().for_each(|model| assert_eq!(model.join().unwrap(), expected));
    });
    assert_eq!((uploaded(&gpu), taken(&gpu)), (bytes(&data), 0));
}

#[test]
fn what_an_upload_that_failed_has_left_is_read_by_nobody() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let plan = plan();
    let data = clips(&plan);
    let expected = alone(&plan, &data);
    for upload in [Upload::Fails, Upload::Panics] {
        let gpu = Arc::default();
        let bad = || Emulator { upload, ..on(&gpu) };
        let found = catch_unwind(AssertUnwindSafe(|| open(bad(), &plan, &data).err().unwrap()));
        match upload {
            Upload::Fails => assert!(found.unwrap().message.contains("cuMemcpyHtoDAsync")),
            _ => assert!(found.is_err()),
        }
        assert_eq!(taken(&gpu), 0, "{upload:?}");
        let mut second = open(on(&gpu), &plan, &data).unwrap();
        assert_eq!(trained(&mut second), expected, "{upload:?}");
        // What is there is found by a model whose own upload would fail.
        assert_eq!(trained(&mut open(bad(), &plan, &data).unwrap()), expected);
        drop(second);

        // The same while another model waits for the upload: one of both may come first.
        let gate = Arc::new(Barrier::new(2));
        let train = |driver| {
            let gate = Some(Arc::clone(&gate));
            let model = open(Emulator { gate, ..driver }, &plan, &data);
            model.map(|mut model| trained(&mut model))
        };
        std::thread::scope(|scope| {
            scope.spawn(|| catch_unwind(AssertUnwindSafe(|| train(bad()))).map(|_| ()));
            let good = scope.spawn(|| train(on(&gpu)));
            assert_eq!(good.join().unwrap().unwrap(), expected);
        });
        assert_eq!(taken(&gpu), 0, "{upload:?}");
    }
}

#[test]
fn a_model_fits_beside_another_because_the_clips_are_there() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let (gpu, plan) = (Arc::default(), plan());
    let data = clips(&plan);
    let own = plan::Plan::new(&plan, CLIPS, plan.batch_size).bytes;
    let driver = |less| Emulator { size: 2 * own + bytes(&data) as u64 - less, ..on(&gpu) };
    let first = open(driver(0), &plan, &data).unwrap();
    let second = open(driver(0), &plan, &data).unwrap();
    let refused = open(driver(0), &plan, &data).err().unwrap();
    assert!(refused.message.starts_with("beside the "), "{refused}");
    drop(second);
    let refused = open(driver(8), &plan, &data).err().unwrap();
    assert!(refused.message.starts_with("beside the "), "{refused}");
    assert_eq!(taken(&gpu), own as usize + bytes(&data), "nothing is left of what was refused");
    drop(first);
    assert_eq!(taken(&gpu), 0);
    // The device of a model, which waits for its launches, goes before the clips that they read.
    assert_eq!(gpu.taken_at_free.load(Ordering::SeqCst), bytes(&data));
}

#[test]
fn too_little_memory_is_said_in_numbers() {
    let mut training = plan();
    training.architecture.input = [128, 130];
    training.batch_size = 512;
    let layout = plan::Plan::new(&training, 6705, 512);
    let said = |free: f64, has_data| {
        let free = (free * f64::from(1 << 30)) as u64;
        let error = layout.out_of_memory(&training, 6705, free, has_data);
        format!("{error}; {}", error.help.clone().unwrap_or_default())
    };
    insta::assert_snapshot!(
        [
            said(0.50, false),
            said(0.40, false),
            said(0.43, false),
            said(0.20, true),
            said(0.001, true),
        ]
        .join("\n")
    );
}
