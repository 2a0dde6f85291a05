//! Catches panics: the message becomes a value, and nothing is printed.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook},
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The number of threads inside [`caught`] now.
static GUARDS: AtomicUsize = AtomicUsize::new(0);
/// The last panic of a thread of the pool. The waiting thread gets only its payload, which has no
/// source position.
static POOL: Mutex<Option<String>> = Mutex::new(None);

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
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
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
        let own = LAST.with(RefCell::take);
        let pool = || POOL.lock().unwrap_or_else(PoisonError::into_inner).take();
        own.or_else(pool).unwrap_or_else(|| message(&*payload))
    })
}

/// Keeps a panic that [`caught`] will return; false if no caller will.
fn note(info: &PanicHookInfo<'_>) -> bool {
    let said = || match info.location() {
        Some(place) => format!("{} ({}:{})", message(info.payload()), place.file(), place.line()),
        None => message(info.payload()),
    };
    if DEPTH.get() > 0 {
        LAST.with(|last| *last.borrow_mut() = Some(said()));
        return true;
    }
    // A thread of the pool passes its panic to the thread that waits for it.
    let is_awaited = rayon::current_thread_index().is_some() && GUARDS.load(Ordering::SeqCst) > 0;
    if is_awaited {
        *POOL.lock().unwrap_or_else(PoisonError::into_inner) = Some(said());
    }
    is_awaited
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
        let fault = caught(|| panic!("seven {}", 7)).expect_err("a panic");
        assert!(fault.starts_with("seven 7 (") && fault.contains(here), "{fault}");
        let nested = caught(|| caught(|| panic!("inner")).map_err(|fault| fault.len()));
        assert!(nested.is_ok_and(|inner| inner.is_err()));
        assert_eq!(caught(|| 3), Ok(3));
    }

    #[test]
    fn a_panic_of_a_helping_thread_is_caught() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
        let work = || (0..64).into_par_iter().for_each(|at| assert!(at != 50, "fifty"));
        let fault = caught(|| pool.install(work)).expect_err("a panic");
        assert!(fault.contains("fifty"), "{fault}");
    }
}
