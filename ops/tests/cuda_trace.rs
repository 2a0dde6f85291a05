//! Traces of training steps: what they find, and the ones that a GPU has written.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

mod cuda;
#[path = "cuda/plans.rs"]
mod plans;

use cuda::{Emulator, compiler, say_skipped};
use ops::nn::cuda::parity::clips;
use ops::nn::cuda::trace::{Trace, trace};
use plans::{plan, with_all};

#[test]
fn a_trace_names_the_first_launch_that_is_wrong() {
    if compiler().is_none() {
        return say_skipped("no C++ compiler");
    }
    let plan = with_all(plan(&[4, 6], true));
    let data = clips(8, plan.architecture.input);
    let traced = |device| {
        let text = serde_json::to_string(&trace(device, &plan, &data).unwrap()).unwrap();
        serde_json::from_str::<Trace>(&text).unwrap()
    };
    let right = traced(Emulator::new());
    assert_eq!(right.differences(&traced(Emulator::new()), 1e-12), Vec::<String>::new());
    let kernels: Vec<&str> = right.launches.iter().map(|it| it.kernel.as_str()).collect();
    assert_eq!(kernels.last(), Some(&"advance"), "a whole step: {kernels:?}");
    for kernel in ["narrow_0", "latent", "wide_7", "norm_backward", "adam"] {
        let at = kernels.iter().position(|name| *name == kernel).unwrap();
        let wrong = traced(Emulator { falsifies: Some(at + 1), ..Emulator::new() });
        let found = right.differences(&wrong, 1e-4);
        let start = format!("launch {at}, {kernel} in ");
        assert!(found[0].starts_with(&start), "{kernel}: {found:?}");
    }
}

#[test]
#[ignore = "needs the traces of a GPU in the folder that GPU_TRACES names"]
#[allow(clippy::print_stdout)]
fn traces_of_a_gpu_differ_nowhere() {
    let folder = std::env::var_os("GPU_TRACES").expect("GPU_TRACES names a folder");
    let mut apart = 0;
    for case in ops::gpu::cases() {
        let name = format!("trace-{}.json", case.name().replace(' ', "-"));
        let Ok(text) = std::fs::read(std::path::Path::new(&folder).join(&name)) else { continue };
        let theirs: Trace = serde_json::from_slice(&text).unwrap();
        let ours = case.trace_on(Emulator::new()).unwrap();
        let found = ours.differences(&theirs, if case.is_single() { 1e-4 } else { 1e-2 });
        println!("{name}: {} launches on {}", theirs.launches.len(), theirs.device);
        found.iter().for_each(|line| println!("  {line}"));
        apart += found.len();
    }
    assert_eq!(apart, 0);
}
