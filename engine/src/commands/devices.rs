//! `engine devices`: the devices for models, and what is missing for a GPU.

use crate::{
    cli::{CommandError, FAILED, print},
    devices::{Machine, OTHERS},
    ui::fold::{self, paragraph},
};
use ops::{Device, gpu};
use std::{path::Path, time::Instant};

/// What `devices` reads.
#[derive(clap::Args)]
pub struct DevicesArgs {
    /// Compare GPU and CPU, and time the training.
    #[arg(long, hide = true)]
    pub check: bool,
    /// Only compare them on a little data, and say nothing if they agree: see `devices::trial`.
    #[arg(long, hide = true, conflicts_with = "check")]
    pub trial: bool,
}

/// Prints the devices that are found.
///
/// # Errors
/// Returns the exit code if a check fails.
pub fn devices(args: &DevicesArgs) -> Result<(), CommandError> {
    let machine = Machine::detect();
    let gpu = || machine.cuda(0).map_err(|missing| CommandError::new(FAILED, missing.what));
    if args.trial {
        return gpu::trial(&gpu()?).map_err(|error| CommandError::new(FAILED, error));
    }
    print(&text(&machine));
    if args.check { check(&gpu()?) } else { Ok(()) }
}

fn text(machine: &Machine) -> String {
    let (mut text, width) = (String::new(), fold::width());
    let mut line = |name: &str, words: &str| {
        text.push_str(&paragraph(&format!("{name:<10}"), words, width));
    };
    line("CPU", &format!("{} threads", rayon::current_num_threads()));
    let driver = machine.driver();
    let found = match &driver {
        _ if machine.gpus.is_empty() => Err(None),
        Some(driver) => gpu::gpus(driver).map_err(Some),
        None => Err(Some("its driver was not found".to_owned())),
    };
    match &found {
        Ok(gpus) => {
            for (number, gpu) in gpus.iter().enumerate() {
                let (major, minor) = gpu.capability;
                let words = format!(
                    "{}, {:.1} GiB, compute capability {major}.{minor}, {} processors",
                    gpu.name,
                    gpu.memory as f64 / f64::from(1 << 30),
                    gpu.processors
                );
                line(&format!("GPU {number}"), &words);
            }
        }
        Err(None) => line("GPU", "none found (there is no /dev/nvidia0)"),
        Err(Some(why)) => line("GPU", &format!("there is one, but {why}")),
    }
    let cuda = found.as_ref().ok().and_then(|gpus| gpus.first()).map(|gpu| gpu.cuda);
    let supports =
        cuda.map(|(major, minor)| format!(", for CUDA up to {major}.{minor}")).unwrap_or_default();
    let place = |path: &Path| path.display().to_string();
    line(
        "driver",
        &match &driver {
            Some(path) => format!("{}{}{supports}", place(path), driver_version()),
            None => "libcuda.so.1 not found".to_owned(),
        },
    );
    line(
        "NVRTC",
        &match machine.nvrtc() {
            Some(path) => match gpu::nvrtc_version(&path) {
                Ok((major, minor)) => format!("{major}.{minor}, {}", place(&path)),
                Err(why) => format!("{}, which does not open: {why}", place(&path)),
            },
            None => "libnvrtc.so not found".to_owned(),
        },
    );
    for (name, start) in OTHERS {
        line(
            name,
            &match machine.library(start) {
                Some(path) => format!("{} (not needed)", place(&path)),
                None => "not found (not needed: the kernels are the engine's own)".to_owned(),
            },
        );
    }
    text.push('\n');
    text.push_str(&match machine.cuda(0) {
        Ok(_) => paragraph(
            "",
            "Models run on the GPU if a trial shows that it agrees with the CPU, unless a step \
             says `device: cpu` or `device: cuda`, or the command line `--device`.",
            width,
        ),
        Err(missing) => {
            let words =
                format!("Models run on the CPU: {}. For a GPU: {}.", missing.what, missing.help);
            paragraph("", &words, width)
        }
    });
    text
}

/// The version of the kernel driver, read from a file.
fn driver_version() -> String {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    let words = text.lines().next().unwrap_or_default().split_whitespace();
    let version = words.into_iter().find(|word| word.starts_with(|it: char| it.is_ascii_digit()));
    version.map(|version| format!(", version {version}")).unwrap_or_default()
}

/// Compares the GPU with the CPU, times both, and prints the results. A failure does not hide the
/// other checks.
fn check(device: &Device) -> Result<(), CommandError> {
    let mut passed = true;
    let mut failed = |error: ops::OpError| {
        passed = false;
        print(&format!("FAILED: {error}; {}\n", error.help.clone().unwrap_or_default()));
    };
    let mut apart = false;
    for case in gpu::cases() {
        match case.compare(device) {
            Ok(found) => {
                apart |= !found.holds;
                print(&found.text);
            }
            Err(error) => failed(error),
        }
    }
    print("\nmodel        precision  seconds for 35 epochs  clips/s  first epoch after\n");
    let clips = gpu::clips();
    for case in gpu::timings() {
        match time(&case, device, &clips) {
            Ok(line) => print(&line),
            Err(error) => failed(error),
        }
    }
    if passed && !apart {
        print("\nGPU and CPU agree.\n");
        return Ok(());
    }
    Err(CommandError::new(FAILED, "GPU and CPU do not agree: see the lines above"))
}

/// The time of the best of three trainings, as a line of the table.
fn time(case: &gpu::Case, device: &Device, clips: &cache::Array) -> Result<String, ops::OpError> {
    let started = Instant::now();
    let mut trial = case.prepare(device, clips)?;
    trial.train(1)?;
    let first = started.elapsed().as_secs_f64();
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let started = Instant::now();
        trial.train(35)?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    let speed = (35 * trial.clips()) as f64 / best;
    let (model, precision) = (case.model(), case.precision());
    Ok(format!("{model:<12} {precision:<10} {best:>21.3} {speed:>8.0} {first:>16.2} s\n"))
}
