//! Handles Ctrl-C: the first asks the run to stop, the second stops the process.

use std::sync::{
    Once,
    atomic::{AtomicBool, Ordering},
};
use tracing::{info, warn};

static IS_ASKED: AtomicBool = AtomicBool::new(false);
/// The exit code when the user stopped the command.
pub const INTERRUPTED: u8 = 130;

static LISTENING: Once = Once::new();
static NEVER_EXITS: AtomicBool = AtomicBool::new(false);

/// Tells if the user asked to stop.
pub struct Interrupt;

impl Interrupt {
    /// Listens for requests to terminate, of which a scheduler sends two in one instant: no number of them means "at
    /// once".
    pub fn listen_without_exit() -> Self {
        NEVER_EXITS.store(true, Ordering::Relaxed);
        Self::listen()
    }

    /// Listens for Ctrl-C and for requests to terminate.
    pub fn listen() -> Self {
        LISTENING.call_once(|| {
            let handler = || {
                let (asked, never_exits) =
                    (IS_ASKED.swap(true, Ordering::SeqCst), NEVER_EXITS.load(Ordering::Relaxed));
                if never_exits {
                    return;
                }
                if asked {
                    std::process::exit(i32::from(INTERRUPTED));
                }
                info!("stopping; what is finished is kept (once more to stop at once)");
            };
            if ctrlc::set_handler(handler).is_err() {
                warn!(
                    "cannot listen for Ctrl-C; a stopped run still loses nothing that is finished"
                );
            }
        });
        Self
    }
}

impl ops::Cancel for Interrupt {
    fn is_cancelled(&self) -> bool {
        IS_ASKED.load(Ordering::Relaxed)
    }
}
