//! `engine devices`: the devices for models, and what is missing for a GPU.

use crate::{
    cli::{CommandError, FAILED, print},
    devices::{Machine, OTHERS},
    ui::fold::{self, paragraph},
};
use clap::ValueEnum;
use ops::{Device, OpError, gpu};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

/// The arguments of `devices`.
#[derive(clap::Args)]
pub struct DevicesArgs {
    /// Check a GPU, or one part of the check: the cheapest proof comes first.
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "all", value_name = "PART")]
    pub check: Option<Part>,
    /// Keep in this folder what each launch of a comparison wrote that failed.
    #[arg(long, hide = true, requires = "check", value_name = "FOLDER")]
    pub dump: Option<PathBuf>,
    /// Only compare them on a little data, and say nothing if they agree: see `devices::trial`.
    #[arg(long, hide = true, conflicts_with = "check")]
    pub trial: bool,
}

/// The parts of a check.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// All of them.
    All,
    /// All kernels compile for this GPU.
    Compile,
    /// A step of each network in single precision agrees with the CPU.
    Step,
    /// Twenty steps of each network agree in each precision, repeat bit for bit and go on half-way.
    Parity,
    /// The time of 35 epochs.
    Times,
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
    match args.check {
        Some(part) => check(&gpu()?, part, args.dump.as_deref()),
        None => Ok(()),
    }
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
                format!("Models run on the CPU, since {} ({}).", missing.what, missing.help);
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

/// Runs the parts of a check. Each result is printed at once, and a failure does not hide the other results.
fn check(device: &Device, part: Part, dump: Option<&Path>) -> Result<(), CommandError> {
    let wanted = |one: Part| part == one || part == Part::All;
    let mut passed = true;
    let mut failed = |error: OpError| {
        passed = false;
        print(&format!("FAILED: {error}; {}\n", error.help.clone().unwrap_or_default()));
    };
    let mut apart = false;
    let mut compared = |case: &gpu::Case, found: Result<gpu::Comparison, OpError>| {
        let differs = found.as_ref().is_ok_and(|found| !found.holds);
        apart |= differs;
        found.map(|found| print(&found.text)).unwrap_or_else(&mut failed);
        if let Some(folder) = dump.filter(|_| differs) {
            keep_trace(case, device, folder).map(|text| print(&text)).unwrap_or_else(&mut failed);
        }
    };
    if wanted(Part::Compile) {
        for case in gpu::cases() {
            let started = Instant::now();
            let line =
                |text| print(&format!("{text} in {:.1} s\n", started.elapsed().as_secs_f64()));
            gpu::compile(device, &case)
                .map(line)
                .unwrap_or_else(|error| compared(&case, Err(error)));
        }
    }
    for case in gpu::cases().iter().filter(|case| wanted(Part::Step) && case.is_single()) {
        compared(case, case.compare_briefly(device, 1));
    }
    for case in gpu::cases().iter().filter(|_| wanted(Part::Parity)) {
        compared(case, case.compare(device));
    }
    if wanted(Part::Times) {
        print("\nmodel        precision  seconds for 35 epochs  clips/s  first epoch after\n");
        let clips = gpu::clips();
        for case in gpu::timings() {
            time(&case, device, &clips).map(|line| print(&line)).unwrap_or_else(&mut failed);
        }
    }
    if passed && !apart {
        print("\nEvery check passed.\n");
        return Ok(());
    }
    Err(CommandError::new(FAILED, "the GPU did not pass: see the lines above"))
}

/// Writes to a folder what each launch of a step writes on the GPU.
fn keep_trace(case: &gpu::Case, device: &Device, folder: &Path) -> Result<String, OpError> {
    let file = folder.join(format!("trace-{}.json", case.name().replace(' ', "-")));
    let unwritten =
        |error: std::io::Error| OpError::failure(format!("`{}`: {error}", file.display()));
    let text = serde_json::to_vec(&case.trace(device)?).expect("numbers of a trace are finite");
    fs::create_dir_all(folder).and_then(|()| fs::write(&file, text)).map_err(unwritten)?;
    Ok(format!("  what its launches wrote: {}\n", file.display()))
}

/// The seconds after which a training is not timed again.
const ENOUGH: f64 = 3.0;

/// The time of the best of at most three trainings, as a line of the table.
fn time(case: &gpu::Case, device: &Device, clips: &cache::Array) -> Result<String, OpError> {
    let started = Instant::now();
    let mut trial = case.prepare(device, clips)?;
    trial.train(1)?;
    let first = started.elapsed().as_secs_f64();
    let (mut best, begun) = (f64::INFINITY, Instant::now());
    for turn in 0..3 {
        if turn > 0 && begun.elapsed().as_secs_f64() > ENOUGH {
            break;
        }
        let started = Instant::now();
        trial.train(35)?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    let speed = (35 * trial.clips()) as f64 / best;
    let (model, precision) = (case.model(), case.precision());
    let tiles = trial.tiles();
    Ok(format!("{model:<12} {precision:<10} {best:>21.3} {speed:>8.0} {first:>16.2} s\n{tiles}"))
}
