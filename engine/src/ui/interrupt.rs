//! Handles Ctrl-C: the first asks the run to stop, the second stops the process.

use std::sync::{
    Once,
    atomic::{AtomicBool, Ordering},
};
use tracing::{info, warn};

static ASKED: AtomicBool = AtomicBool::new(false);
/// The exit code when the user stopped the command.
pub const INTERRUPTED: u8 = 130;

static LISTENING: Once = Once::new();

/// Tells if the user asked to stop.
pub struct Interrupt;

impl Interrupt {
    /// Listens for Ctrl-C and for requests to terminate.
    pub fn listen() -> Self {
        LISTENING.call_once(|| {
            let heard = || {
                if ASKED.swap(true, Ordering::SeqCst) {
                    std::process::exit(i32::from(INTERRUPTED));
                }
                info!("stopping; what is finished is kept (once more to stop at once)");
            };
            if ctrlc::set_handler(heard).is_err() {
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
        ASKED.load(Ordering::Relaxed)
    }
}
