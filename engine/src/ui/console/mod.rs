//! Shows events on standard error: bars with the time left on a terminal, plain lines without one,
//! or JSON for programs that watch a run.

mod bars;
mod json;
mod lines;
pub mod live;
pub mod relay;

use super::{
    events::{DETAIL, DIAGNOSTIC, PROGRESS, RUN, TEXT},
    trace::OWN,
    visible::visible,
};
use serde_json::{Map, Value};
use std::{
    fmt::Debug,
    io::{IsTerminal, Write},
    sync::Arc,
    time::Duration,
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, FilterFn, filter_fn},
    layer::{Context, Filter},
};

/// The form of what is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Sentences, with bars if standard error is a terminal.
    Text,
    /// One JSON object on a line for each event.
    Json,
}

/// One way to show events. Threads of a run share it.
trait View: Send + Sync {
    /// Steps begin, so many.
    fn steps(&self, total: usize);
    /// A step has started.
    fn started(&self, step: &Fields);
    /// A step is at some part of its work.
    fn at(&self, step: &Fields);
    /// A step is finished.
    fn finished(&self, step: &Fields);
    /// No step is shown any more.
    fn end(&self);
    /// A message of a level, with its further fields.
    fn message(&self, level: Level, kind: Kind, fields: &Fields);
}

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sentence,
    /// Goes on after another message.
    Detail,
    /// For people alone.
    Text,
    Diagnostic,
    /// The start or the end of a run.
    Run,
}

/// The layer that shows events in a form.
pub struct Console {
    view: Box<dyn View>,
}

impl Console {
    /// A console on standard error.
    pub fn new(form: Form) -> Self {
        let view: Box<dyn View> = match form {
            Form::Json => Box::new(json::Json::default()),
            Form::Text if std::io::stderr().is_terminal() => Box::new(bars::Bars::default()),
            Form::Text => Box::new(lines::Lines::default()),
        };
        Self { view }
    }

    /// A listener that updates the progress for the page of a run.
    pub fn on(progress: &Arc<live::LiveProgress>) -> Self {
        Self { view: Box::new(Arc::clone(progress)) }
    }
}

/// Lets pass the engine's own events down to a level.
pub fn filter<S>(level: LevelFilter) -> impl Filter<S> {
    let is_own = |target: &str| OWN.contains(&target.split("::").next().unwrap_or(target));
    let passes = move |meta: &Metadata<'_>| meta.is_event() && is_own(meta.target());
    let filter: FilterFn<_> = filter_fn(passes).with_max_level_hint(level);
    <FilterFn<_> as FilterExt<S>>::and(filter, level)
}

impl<S: Subscriber> Layer<S> for Console {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        let kind = match event.metadata().target() {
            PROGRESS => return self.progress(&fields),
            RUN => Kind::Run,
            TEXT => Kind::Text,
            DETAIL => Kind::Detail,
            DIAGNOSTIC => Kind::Diagnostic,
            _ => Kind::Sentence,
        };
        self.view.message(level, kind, &fields);
    }
}

impl Console {
    fn progress(&self, fields: &Fields) {
        match fields.text("event") {
            "steps" => self.view.steps(fields.number("total") as usize),
            "step_started" => self.view.started(fields),
            "progress" => self.view.at(fields),
            "step_finished" => self.view.finished(fields),
            _ => self.view.end(),
        }
    }
}

/// The fields of an event.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        self.0.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    /// The duration of a step, if it ran.
    fn elapsed(&self) -> Option<f64> {
        self.0.get("seconds").and_then(Value::as_f64)
    }

    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}"));
    }
}

/// The name of a level in events and before sentences.
fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        _ => "note",
    }
}

/// A message as it is printed; none if it is for programs, or a part of another one.
fn sentence(level: Level, kind: Kind, fields: &Fields) -> Option<String> {
    let message = fields.text("message");
    Some(match kind {
        Kind::Run => return None,
        // Diagnostics are drawn together, since they are about one text.
        Kind::Diagnostic => match fields.text("drawn") {
            "" => return None,
            drawn => drawn.to_owned(),
        },
        Kind::Sentence if level <= Level::WARN || fields.0.contains_key("note_word") => {
            visible(&format!("{}: {message}", word(level))).into_owned()
        }
        Kind::Sentence | Kind::Detail | Kind::Text => visible(message).into_owned(),
    })
}

/// Writes a line; if standard error is closed, nothing happens.
fn write_line(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The line for a finished step.
fn line(step: &Fields, steps: usize) -> String {
    let width = steps.to_string().len();
    let elapsed = step.elapsed().map(reports::duration).unwrap_or_default();
    let (number, name) = (step.number("number"), step.text("step"));
    let (status, note) = (step.text("status"), step.text("note"));
    let line = format!("[{number:>width$}/{steps}] {name:<18} {status:<7} {elapsed:>8}  {note}");
    visible(line.trim_end()).into_owned()
}

/// The time left of a step that is at `done` of `total`.
fn left(elapsed: Duration, done: u64, total: u64) -> String {
    if done == 0 {
        return "unknown time".to_owned();
    }
    reports::duration(elapsed.as_secs_f64() * total.saturating_sub(done) as f64 / done as f64)
}
