//! Every kernel compiles for the GPUs that people have: cubins of sm_70, sm_80 and sm_90, made by
//! NVRTC, which needs neither GPU nor driver.
//!
//! NVRTC is looked for in `NVRTC_LIBRARY` (files, split by colons) and below `target/nvrtc`, where
//! `scripts/nvrtc.sh` puts it. NVRTC 13 no longer knows sm_70; 12.9 does.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

use ops::nn::cuda::nvrtc::Nvrtc;
use ops::nn::cuda::{Precision, source, tuning};
use ops::nn::layers::{Architecture, Network};
use std::io::Write;
use std::path::PathBuf;

const WANTED: [i32; 3] = [70, 80, 90];

fn libraries() -> Vec<PathBuf> {
    if let Ok(named) = std::env::var("NVRTC_LIBRARY") {
        return std::env::split_paths(&named).collect();
    }
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/nvrtc"))];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in folder.read_dir().into_iter().flatten().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.starts_with("libnvrtc.so") {
                found.push(path);
            }
        }
    }
    found
}

#[path = "cuda/cubin.rs"]
mod cubin;

/// The version of NVRTC whose code is counted.
const COUNTED: (i32, i32) = (13, 0);
/// The registers of a thread with which two blocks of 256 fit on a processor.
const MAX_REGISTERS: u32 = 65_536 / (2 * 256);

/// The lines of a table: what the kernels that multiply take on sm_90.
fn costs(precision: Precision, cubin: &[u8]) -> Vec<String> {
    let products = |it: &cubin::Kernel| {
        ["narrow_", "wide_", "weight_", "dense_"].iter().any(|start| it.name.starts_with(start))
    };
    let kernels = cubin::kernels(cubin).into_iter().filter(products);
    let line = |it: cubin::Kernel| {
        let cubin::Kernel { name, registers, local, shared, instructions, counts } = it;
        assert!(registers <= MAX_REGISTERS, "`{name}` takes {registers} registers");
        let [fetches, writes, reads, multiplies] = counts;
        format!(
            "{precision:?} {name}: {registers} registers, {local} B local, {shared} B shared, {instructions} instructions: \
             {fetches} fetch, {writes} write shared, {reads} read shared, {multiplies} multiply"
        )
    };
    kernels.map(line).collect()
}

#[test]
fn every_kernel_compiles_for_every_family() {
    let mut libraries = libraries();
    // The newest first: only it compiles for the newest chips.
    libraries.sort_by_key(|path| {
        std::cmp::Reverse(Nvrtc::open(path).and_then(|nvrtc| nvrtc.version()).unwrap_or_default())
    });
    let mut table = std::sync::Mutex::new(Vec::new());
    let mut missing = WANTED.to_vec();
    let architecture = Architecture { batch_norm: true, ..Architecture::published(true) };
    let network = Network::new(&architecture);
    for path in &libraries {
        let nvrtc = Nvrtc::open(path).unwrap();
        let known = nvrtc.architectures().unwrap();
        for architecture in std::mem::take(&mut missing) {
            if !known.contains(&architecture) {
                missing.push(architecture);
                continue;
            }
            // Tensor cores multiply tf32 and bf16 from sm_80 on.
            let precisions = [Precision::F32, Precision::Tf32, Precision::Bf16];
            let precisions = if architecture < 80 { &precisions[..1] } else { &precisions[..] };
            for precision in precisions {
                let units = source::units(&network, *precision);
                assert_eq!(units.len(), 2 + 6 * 3, "single, dense, three a convolution");
                std::thread::scope(|scope| {
                    for unit in &units {
                        let (nvrtc, table) = (&nvrtc, &table);
                        scope.spawn(move || {
                            let cubin = nvrtc.compile(unit, architecture).unwrap();
                            assert!(cubin.starts_with(b"\x7fELF"), "{} is no cubin", unit.name);
                            if architecture == 90 && nvrtc.version().unwrap() == COUNTED {
                                table.lock().unwrap().extend(costs(*precision, &cubin));
                            }
                            for kernel in &unit.kernels {
                                let name = format!(".text.{kernel}\0");
                                let there =
                                    cubin.windows(name.len()).any(|at| at == name.as_bytes());
                                assert!(there, "no `{kernel}` in {}", unit.name);
                            }
                        });
                    }
                });
            }
        }
    }
    if !missing.is_empty() {
        let words = format!(
            "\n*** SKIPPED, NOT COMPILED: kernels for sm_{missing:?}; found {libraries:?}; \
             `scripts/nvrtc.sh` installs NVRTC ***\n"
        );
        std::io::stderr().write_all(words.as_bytes()).unwrap();
        assert!(libraries.is_empty(), "NVRTC is there, but not for sm_{missing:?}");
    }
    // A change for the worse is seen here before there is a GPU to time it.
    let table = table.get_mut().unwrap();
    table.sort();
    if !table.is_empty() {
        insta::assert_snapshot!(table.join("\n"));
    }
}

#[test]
fn every_tile_fits_into_registers() {
    let newest = libraries().into_iter().find(|path| {
        Nvrtc::open(path).and_then(|nvrtc| nvrtc.version()).is_ok_and(|version| version == COUNTED)
    });
    let Some(path) = newest else { return };
    let nvrtc = Nvrtc::open(&path).unwrap();
    let network = |channels: &[usize]| {
        Network::new(&Architecture { channels: channels.to_vec(), ..Architecture::published(true) })
    };
    // The published network, and channels of the other rows of the table.
    let networks = [&[32, 64, 128][..], &[16, 32], &[128, 256]].map(network);
    let mut wanted = Vec::new();
    for precision in [Precision::Tf32, Precision::Bf16] {
        for (of, network) in networks.iter().enumerate() {
            let layers = network.encoder.iter().chain(&network.decoder);
            for (at, layer) in layers.enumerate() {
                let Some(sides) = source::Sides::of(layer) else { continue };
                // The decoders of the others have nothing new.
                for direction in source::Direction::ALL {
                    let tiles = tuning::candidates(&sides, direction, precision);
                    let tiles = tiles.into_iter().filter(|_| of == 0 || !sides.transposed);
                    wanted.extend(tiles.map(|tile| {
                        let unit =
                            source::product(&layer.name, &sides, at, precision, direction, tile);
                        (unit, tile)
                    }));
                }
            }
        }
    }
    assert!(wanted.len() > 100, "only {} tiles", wanted.len());
    std::thread::scope(|scope| {
        for share in wanted.chunks(wanted.len().div_ceil(4)) {
            let nvrtc = &nvrtc;
            scope.spawn(move || {
                for ((unit, tile), architecture) in share.iter().flat_map(|it| [(it, 80), (it, 90)])
                {
                    let cubin = nvrtc.compile(unit, architecture).unwrap();
                    let kernel = cubin::kernels(&cubin).remove(0);
                    let most = 65_536 / (256 * tile.blocks as u32);
                    let cubin::Kernel { name, registers, local, shared, .. } = kernel;
                    let what = format!("`{name}` in {:?} on sm_{architecture}", unit.precision);
                    assert_eq!(local, 0, "{what} takes local memory");
                    assert!(registers <= most, "{what} takes {registers} registers of {most}");
                    assert!(shared <= 48 << 10, "{what} takes {shared} bytes of shared memory");
                }
            });
        }
    });
}

#[test]
fn units_that_differ_are_compiled_apart_and_equal_ones_once() {
    let Some(path) = libraries().pop() else { return };
    let nvrtc = Nvrtc::open(&path).unwrap();
    let newest = nvrtc.architectures().unwrap().into_iter().max().unwrap();
    let unit = |channels, precision| {
        let network = Network::new(&Architecture {
            input: [4, 4],
            channels: vec![channels],
            kernel: 3,
            stride: 2,
            batch_norm: false,
            latent: 1,
            variational: false,
        });
        source::units(&network, precision).pop().unwrap()
    };
    let once = |unit| nvrtc.compile_once(&unit, newest, None).unwrap();
    let first = once(unit(2, Precision::F32));
    assert!(std::sync::Arc::ptr_eq(&first, &once(unit(2, Precision::F32))));
    assert_ne!(first, once(unit(3, Precision::F32)));
    assert_ne!(first, once(unit(2, Precision::Bf16)));
}

#[test]
fn what_does_not_compile_says_where() {
    let Some(path) = libraries().pop() else { return };
    let nvrtc = Nvrtc::open(&path).unwrap();
    let network = Network::new(&Architecture {
        input: [4, 4],
        channels: vec![32, 32],
        kernel: 3,
        stride: 2,
        batch_norm: false,
        latent: 1,
        variational: false,
    });
    let units = source::units(&network, Precision::Tf32);
    let unit = units.into_iter().find(|unit| unit.name == "encoder.conv2").unwrap();
    let known = nvrtc.architectures().unwrap();
    let error = nvrtc.compile(&unit, 1).unwrap_err().to_string();
    assert!(error.contains("nvrtcCompileProgram"), "{error}");
    if let Some(old) = known.iter().find(|it| **it < 80) {
        let error = nvrtc.compile(&unit, *old).unwrap_err().to_string();
        assert!(error.contains("nvrtcCompileProgram encoder.conv2"), "{error}");
    }
}
