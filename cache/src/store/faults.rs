//! A disk that fails, or that another process writes to at a given call, for tests.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

/// The way in which the disk fails.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Failure {
    /// No call has an effect any more, as if the process were killed.
    Death,
    /// One call finds the disk full; later calls succeed.
    Full,
}

/// Counts the calls and lets some fail.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    calls: Vec<String>,
    failing: Option<(usize, Failure)>,
    meanwhile: Option<(&'static str, Action)>,
}

type Action = Box<dyn FnOnce() + Send>;

impl Faults {
    /// Fails at the call of that number, from 0.
    pub(crate) fn at(call: usize, failure: Failure) -> Self {
        let shared = Shared { failing: Some((call, failure)), ..Shared::default() };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// The calls so far, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.shared.lock().expect("no panic").calls.clone()
    }

    /// Runs an action just before the next write to a file of a folder.
    pub(crate) fn before_write(
        &self,
        folder: &'static str,
        action: impl FnOnce() + Send + 'static,
    ) {
        self.shared.lock().expect("no panic").meanwhile = Some((folder, Box::new(action)));
    }

    pub(crate) fn pass(&self, call: &str, path: &Path) -> io::Result<()> {
        let mut shared = self.shared.lock().expect("no panic");
        let now = |(folder, _): &mut (&str, Action)| {
            call == "write" && path.parent().is_some_and(|parent| parent.ends_with(folder))
        };
        if let Some((_, action)) = shared.meanwhile.take_if(now) {
            action();
        }
        let number = shared.calls.len();
        shared.calls.push(format!("{call} {}", path.display()));
        let fails = shared.failing.is_some_and(|(at, failure)| match failure {
            Failure::Death => number >= at,
            Failure::Full => number == at,
        });
        if fails { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    }
}
