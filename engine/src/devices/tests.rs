//! Tests of the GPUs that a machine has, and of the devices that steps get.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

use super::*;

#[test]
fn devices_are_read_as_people_write_them() {
    assert_eq!(parse("auto"), Ok(DeviceChoice::Auto));
    assert_eq!(parse("cuda"), Ok(DeviceChoice::Cuda(None)));
    assert_eq!(parse("cuda:3"), Ok(DeviceChoice::Cuda(Some(3))));
    for wrong in ["gpu", "cuda:", "cuda:+1", "cuda:x", "CPU", ""] {
        assert!(parse(wrong).unwrap_err().contains("cuda:1"), "{wrong}");
    }
}

#[test]
fn libraries_are_found_in_toolkits_and_python_packages_newest_first() {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    for file in [
        "toolkit/lib64/libcudnn.so.9",
        "env/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.12",
        "env/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13",
        "env/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc-builtins.so.13.0",
        "env/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.alt.so.13",
    ] {
        fs::create_dir_all(at(file).parent().unwrap()).unwrap();
        fs::write(at(file), "").unwrap();
    }
    let variables = |name: &str| match name {
        "CUDA_HOME" => Some(at("toolkit")),
        "VIRTUAL_ENV" => Some(at("env")),
        _ => None,
    };
    let machine = Machine { gpus: Vec::new(), folders: folders(&variables).into() };
    let found = |start| machine.library(start).map(|path| file_name(&path).to_owned());
    assert_eq!(found(NVRTC).as_deref(), Some("libnvrtc.so.13"));
    assert_eq!(found("libcudnn.so").as_deref(), Some("libcudnn.so.9"));
    assert!(machine.cuda(0).unwrap_err().what.contains("no NVIDIA GPU"));

    let gpus = vec![PathBuf::from("/dev/nvidia0")];
    let empty = Machine { gpus: gpus.clone(), folders: vec![at("nowhere")].into() };
    assert!(empty.cuda(0).unwrap_err().what.contains("driver"));
    fs::write(at("toolkit/lib64/libcuda.so.1"), "").unwrap();
    let toolkit = vec![at("toolkit/lib64")].into();
    let driver = Machine { gpus: gpus.clone(), folders: toolkit };
    assert!(driver.cuda(0).unwrap_err().help.contains("nvidia-cuda-nvrtc"));
    let whole = Machine { gpus, folders: machine.folders };
    let nvrtc = at("env/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13");
    let driver = at("toolkit/lib64/libcuda.so.1");
    let Device::Cuda(place) = whole.cuda(1).unwrap() else { panic!("a GPU") };
    assert_eq!((place.ordinal, place.driver, place.nvrtc), (1, driver, nvrtc));
}

#[test]
fn compiled_kernels_lie_among_the_caches_of_the_user() {
    let of = |caches: Option<&str>, home: Option<&str>| {
        let variables = |name: &str| match name {
            "XDG_CACHE_HOME" => caches.map(PathBuf::from),
            _ => home.map(PathBuf::from),
        };
        cubins(variables).map(|path| path.display().to_string())
    };
    assert_eq!(of(Some("/caches"), Some("/home/a")).as_deref(), Some("/caches/engine/cubins"));
    assert_eq!(
        of(Some("relative"), Some("/home/a")).as_deref(),
        Some("/home/a/.cache/engine/cubins")
    );
    assert_eq!(of(None, None), None);
}

/// A pipeline on a machine with these GPUs.
fn placed(gpus: &[&str], other: &str, doubt: Option<&str>) -> Pipeline {
    const TEXT: &str = "steps:
  clips: { op: synth, clips_per_class: 1 }
  mel: { op: log_mel, in: clips, n_mels: 8 }
  ours: { op: beta_vae, in: mel }
  other: { op: autoencoder, in: mel, device: cpu }
  theirs: { op: command, in: { x: mel }, command: [cp, '{in.x}', '{out.y}'], outputs: { y: matrix } }
";
    let root = tempfile::tempdir().unwrap();
    for file in ["libcuda.so.1", "libnvrtc.so.13"] {
        fs::write(root.path().join(file), "").unwrap();
    }
    let (mut pipeline, _) = crate::spec::load(Path::new("a.yaml"), TEXT.to_owned(), &[]).unwrap();
    let gpus = gpus.iter().map(PathBuf::from).collect();
    let machine = Machine { gpus, folders: vec![root.path().to_owned()].into() };
    let doubts = |_: &Place| doubt.map(str::to_owned);
    place(&mut pipeline, &machine, parse(other).unwrap(), doubts).unwrap();
    pipeline
}

const GPUS: &[&str] = &["/dev/nvidia0", "/dev/nvidia1"];

#[test]
fn what_is_left_to_the_engine_goes_to_a_gpu_without_doubt() {
    let on_gpu = |pipeline: &Pipeline| {
        let steps = pipeline.steps.iter().filter(|step| step.place != Device::Cpu);
        steps.map(|step| step.name.clone()).collect::<Vec<_>>()
    };
    for (gpus, other, doubt, steps, words) in [
        (GPUS, "auto", None, &["ours"][..], "models run on the GPU"),
        (GPUS, "auto", Some("it differs"), &[], "a GPU, but it differs; models run on the CPU"),
        (&[], "auto", None, &[], "no NVIDIA GPU"),
        (GPUS, "cpu", None, &[], ""),
        (GPUS, "cuda", Some("nobody asks"), &["ours", "theirs"], ""),
    ] {
        let pipeline = placed(gpus, other, doubt);
        let note = pipeline.note.clone().unwrap_or_default();
        assert_eq!(on_gpu(&pipeline), steps, "{other}, {doubt:?}");
        assert!(note.contains(words) && note.is_empty() == words.is_empty(), "{note}");
    }
}

#[test]
fn a_key_says_whether_on_a_gpu_and_never_on_which() {
    let [cpu, first, second] = ["cpu", "cuda:0", "cuda:1"].map(|other| {
        let pipeline = placed(GPUS, other, None);
        let step = pipeline.steps.iter().find(|step| step.name == "ours").unwrap();
        crate::plan::keys::key_of(step, &[], |_, _| Some(cache::Digest::of(b"clips"))).unwrap()
    });
    assert_eq!(first, second);
    assert_ne!(first, cpu);
}
