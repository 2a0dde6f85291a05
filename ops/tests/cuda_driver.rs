//! Memory that several models read, reserved and freed by a driver that is compiled as C++ and notes every mistake. It is in
//! a process of its own, in which nobody else looks for a driver.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

use libloading::Library;
use ops::nn::cuda::shared_allocation::{data_sets, reserve};
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::thread;

#[test]
fn memory_is_freed_in_its_context_by_whatever_thread_drops_it_last() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libcuda.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cuda/driver.cpp");
    // Under this name the driver is found, whether the machine has another or not.
    let flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-Wl,-soname,libcuda.so"];
    let made = Command::new("c++").args(flags).arg("-o").arg(&library).arg(source).output();
    let Ok(made) = made else {
        let words = b"\n*** SKIPPED, NOTHING CHECKED: no C++ compiler ***\n";
        return std::io::stderr().write_all(words).unwrap();
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // SAFETY: a library that was just made, without initialisers of its own.
    let driver = unsafe { Library::new(&library) }.unwrap();
    // SAFETY: the function of that name has this signature.
    let state = unsafe { driver.get::<unsafe extern "C" fn(*mut i32)>(b"state") }.unwrap();
    let state = || {
        let mut counts = [0; 5];
        // SAFETY: it writes five numbers.
        unsafe { state(counts.as_mut_ptr()) };
        counts
    };

    let on_first = reserve(0, 1000).unwrap();
    let on_second = reserve(1, 10).unwrap();
    assert_ne!(on_first.start(), on_second.start());
    assert_eq!(state(), [1, 1, 2, 0, 0], "each piece keeps its context");
    let other = Arc::clone(&on_first);
    thread::scope(|scope| _ = scope.spawn(|| drop(on_first)));
    assert_eq!(state(), [1, 1, 2, 0, 0], "one reads it still");
    thread::scope(|scope| {
        scope.spawn(|| {
            drop(other);
            assert_eq!(state(), [0, 1, 1, 0, 0]);
        });
    });
    drop(on_second);
    assert_eq!(state(), [0; 5], "nothing is left, and nothing was done wrong");

    let error = reserve(0, 1 << 40).err().unwrap();
    assert!(error.out_of_memory && error.call.contains("1099511627776 bytes"), "{error}");
    assert_eq!(state(), [0; 5], "what was refused keeps nothing");

    assert!(Arc::ptr_eq(&data_sets(0), &data_sets(0)));
    assert!(!Arc::ptr_eq(&data_sets(0), &data_sets(1)));
}
