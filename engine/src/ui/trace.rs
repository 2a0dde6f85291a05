//! The listeners of `tracing`: the console, a log on standard error (`ENGINE_LOG`), and a timeline in
//! a file (`--trace`). Without the last two no span is collected, and one costs a comparison.

use super::console::{self, Console, Form, live::LiveProgress, relay::Relay};
use std::{fs::File, io, path::Path, sync::Arc};
use tracing_chrome::{ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    fmt::{self, format::FmtSpan},
    layer::SubscriberExt as _,
    registry::Registry,
};

/// The environment variable with the filter of the log, such as `debug` or `cache=trace,ops=debug`.
pub const LOG: &str = "ENGINE_LOG";

/// The crates that are listened to; libraries are not.
pub(super) const OWN: [&str; 4] = ["cache", "engine", "ops", "reports"];

/// Starts to listen, as the environment and `--trace` ask; the console shows events down to a level, and a worker passes
/// them on. The live progress of a run gets the same events.
/// The timeline is complete once the guard is dropped.
///
/// # Errors
/// Returns a sentence if the filter cannot be read or the file cannot be created; the console
/// listens nevertheless.
pub fn listen(
    form: Form,
    level: LevelFilter,
    timeline: Option<&Path>,
    is_worker: bool,
    progress: Option<&Arc<LiveProgress>>,
) -> Result<Option<FlushGuard>, String> {
    let filter = std::env::var(LOG).ok().filter(|filter| !filter.is_empty());
    let filter = filter.map(|filter| read_filter(&filter)).transpose();
    let file = timeline.map(|path| {
        let refused = |error| format!("cannot write the timeline `{}`: {error}", path.display());
        File::create(path).map_err(refused)
    });
    let (filter, file, refused) = match (filter, file.transpose()) {
        (Ok(filter), Ok(file)) => (filter, file, None),
        (Err(error), _) | (_, Err(error)) => (None, None, Some(error)),
    };
    let log = filter.map(|filter| {
        let form = fmt::layer().with_writer(io::stderr).with_timer(fmt::time::uptime());
        form.with_span_events(FmtSpan::CLOSE).with_ansi(false).with_filter(filter)
    });
    let (layer, guard) = file
        .map(|file| {
            let builder = ChromeLayerBuilder::new().writer(file).include_args(true);
            let (layer, guard) = builder.include_locations(false).build();
            (layer.with_filter(own_crates(LevelFilter::TRACE)), guard)
        })
        .unzip();
    let relay = is_worker.then(|| Relay.with_filter(console::filter(LevelFilter::INFO)));
    let progress = progress
        .map(|progress| Console::on(progress).with_filter(console::filter(LevelFilter::INFO)));
    let console = Console::new(form).with_filter(console::filter(level));
    tracing::subscriber::set_global_default(
        Registry::default().with(console).with(progress).with(relay).with(log).with(layer),
    )
    .expect("the command line is the only place that starts listening");
    refused.map_or(Ok(guard), Err)
}

fn own_crates(level: LevelFilter) -> Targets {
    Targets::new().with_targets(OWN.map(|target| (target, level)))
}

/// Parses a filter. A level alone applies to the engine's own crates.
fn read_filter(text: &str) -> Result<Targets, String> {
    if let Ok(level) = text.parse::<LevelFilter>() {
        return Ok(own_crates(level));
    }
    text.parse().map_err(|_| {
        format!("`{LOG}` is `{text}`; expected a level (`error`, `warn`, `info`, `debug`, `trace`) or a list such as `cache=trace,ops=debug`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn a_filter_is_a_level_or_a_list() {
        let all = read_filter("debug").expect("a level");
        assert!(all.would_enable("ops::nn::fit", &Level::DEBUG));
        assert!(!all.would_enable("ops::nn::fit", &Level::TRACE));
        assert!(!all.would_enable("ureq", &Level::ERROR));
        let one = read_filter("cache=trace").expect("a list");
        assert!(
            one.would_enable("cache::store", &Level::TRACE)
                && !one.would_enable("ops", &Level::ERROR)
        );
        assert!(read_filter("cache=loud").is_err_and(|message| message.contains("cache=loud")));
    }
}
