//! Passes on what the console shows, so that one process can show it in the place of another.

use super::Fields;
use crate::ui::events::{DIAGNOSTIC, PROGRESS, RUN, TEXT};
use std::sync::OnceLock;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

/// An event that was shown. Steps are indices into the pipeline.
pub enum RunEvent {
    /// A step starts.
    Started {
        /// The step.
        step: usize,
        /// The reason to run it.
        reason: String,
    },
    /// A step goes on.
    Progress {
        /// The step.
        step: usize,
        /// The finished part of its work.
        done: u64,
        /// All of its work.
        total: u64,
        /// A remark.
        note: String,
    },
    /// A step is finished.
    Finished {
        /// The step.
        step: usize,
        /// Its status.
        status: String,
    },
    /// A message.
    Message {
        /// True for a warning.
        warning: bool,
        /// The message.
        text: String,
    },
}

type Listener = Box<dyn Fn(RunEvent) + Send + Sync>;

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Passes on all that is shown from now on. Only the first call counts.
pub fn relay_to(listener: Listener) {
    let _ = LISTENER.set(listener);
}

/// The layer that passes on what is shown.
pub struct Relay;

impl<S: Subscriber> Layer<S> for Relay {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let Some(listener) = LISTENER.get() else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let text = |name: &str| fields.text(name).to_owned();
        let step = (fields.number("number") as usize).saturating_sub(1);
        let shown = match (event.metadata().target(), fields.text("event")) {
            (PROGRESS, "step_started") => RunEvent::Started { step, reason: text("reason") },
            (PROGRESS, "progress") => {
                let (done, total) = (fields.number("done"), fields.number("total"));
                RunEvent::Progress { step, done, total, note: text("note") }
            }
            (PROGRESS, "step_finished") => RunEvent::Finished { step, status: text("status") },
            (PROGRESS | RUN | TEXT | DIAGNOSTIC, _) => return,
            _ => {
                let warning = *event.metadata().level() <= Level::WARN;
                RunEvent::Message { warning, text: text("message") }
            }
        };
        listener(shown);
    }
}
