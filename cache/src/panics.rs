//! Catches panics: the message becomes a value, and nothing is printed.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    io::Write,
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook},
    sync::{
        Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The number of threads inside [`catch`] now.
static GUARDS: AtomicUsize = AtomicUsize::new(0);
/// The last panic of a thread of the pool. The waiting thread gets only its payload, which has no
/// source position.
static POOL: Mutex<Option<String>> = Mutex::new(None);

/// The beginnings of the messages of panics that no caller can catch: Rust ends the process after them.
const AT_THE_END: [&str; 3] = [
    "panic in a destructor during cleanup",
    "panic in a function that cannot unwind",
    "unsafe precondition(s) violated",
];

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs work that may panic, on this thread and on rayon's threads that help it, and returns the
/// message and source position of a panic as an error. It is for code of other libraries and for
/// the outermost call of any work. State that the work shares with other code must not be left
/// half-changed.
///
/// # Errors
/// The message of the panic with its position in the source.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            if !note(info) {
                usual(info);
            }
        }));
    });
    let _guard = Guard::new();
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let own = LAST.take();
        own.or_else(|| lock_pool().take()).unwrap_or_else(|| message(&*payload))
    })
}

/// Keeps a panic that [`catch`] will return; false if no caller will.
fn note(info: &PanicHookInfo<'_>) -> bool {
    let text = message(info.payload());
    if AT_THE_END.iter().any(|start| text.starts_with(start)) {
        // The process ends now, and nobody returns the panic that came first.
        if let Some(first) = LAST.take().or_else(|| lock_pool().take()) {
            let _ = writeln!(std::io::stderr(), "a panic: {first}");
        }
        return false;
    }
    let said = || match info.location() {
        Some(place) => format!("{text} ({}:{})", place.file(), place.line()),
        None => text.clone(),
    };
    if DEPTH.get() > 0 {
        // A destructor may panic while an earlier panic unwinds: both are printed.
        let before = LAST.take().map(|first| format!("{first}, then "));
        LAST.set(Some(before.unwrap_or_default() + &said()));
        return true;
    }
    // A thread of the pool passes its panic to the thread that waits for it.
    let is_awaited = rayon::current_thread_index().is_some() && GUARDS.load(Ordering::SeqCst) > 0;
    if is_awaited {
        *lock_pool() = Some(said());
    }
    is_awaited
}

fn lock_pool() -> MutexGuard<'static, Option<String>> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    // The debug output of a library may have many lines; the first is enough.
    let text = text.unwrap_or_else(|| "a panic without a message".to_owned());
    text.lines().next().unwrap_or_default().to_owned()
}

struct Guard;

impl Guard {
    fn new() -> Self {
        GUARDS.fetch_add(1, Ordering::SeqCst);
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        GUARDS.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn a_panic_says_what_and_where() {
        let here = file!();
        let error = catch(|| panic!("seven {}", 7)).expect_err("a panic");
        assert!(error.starts_with("seven 7 (") && error.contains(here), "{error}");
        let nested = catch(|| catch(|| panic!("inner")).map_err(|error| error.len()));
        assert!(nested.is_ok_and(|inner| inner.is_err()));
        assert_eq!(catch(|| 3), Ok(3));
    }

    /// A process that cannot go on prints both panics. The test runs itself as that process.
    #[test]
    fn a_panic_that_ends_the_process_is_printed_with_the_one_before() {
        struct Bad;
        impl Drop for Bad {
            fn drop(&mut self) {
                panic!("the second");
            }
        }
        const CHILD: &str = "ENGINE_TEST_OF_TWO_PANICS";
        if std::env::var_os(CHILD).is_some() {
            let _ = catch(|| {
                let _bad = Bad;
                panic!("the first");
            });
            return;
        }
        let name = "panics::tests::a_panic_that_ends_the_process_is_printed_with_the_one_before";
        let mut child = std::process::Command::new(std::env::current_exe().expect("this program"));
        let ended = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output();
        let ended = ended.expect("the test as a process");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success(), "{said}");
        for part in ["a panic: the first", ", then the second", "during cleanup"] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
    }

    #[test]
    fn a_panic_of_a_helping_thread_is_caught() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
        let work = || (0..64).into_par_iter().for_each(|at| assert!(at != 50, "fifty"));
        let error = catch(|| pool.install(work)).expect_err("a panic");
        assert!(error.contains("fifty"), "{error}");
    }
}
