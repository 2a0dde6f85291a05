//! Collects the spans and events of `tracing`: a log on standard error (`ENGINE_LOG`) and a
//! timeline in a file (`--trace`). Without either nothing is collected, and a span costs one
//! comparison.

use std::{fs::File, io, path::Path};
use tracing_chrome::{ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt as _,
    registry::Registry,
};

/// The environment variable with the filter of the log, such as `debug` or `cache=trace,ops=debug`.
pub const LOG: &str = "ENGINE_LOG";

/// The crates whose spans a timeline shows; those of libraries are left out.
const OWN: [&str; 4] = ["cache", "engine", "ops", "reports"];

/// Starts to collect, as the environment and `--trace` ask. The file is complete once the guard is
/// dropped.
///
/// # Errors
/// Returns a sentence if the filter cannot be read or the file cannot be created.
pub fn start(timeline: Option<&Path>) -> Result<Option<FlushGuard>, String> {
    let filter = std::env::var(LOG).ok().filter(|filter| !filter.is_empty());
    if filter.is_none() && timeline.is_none() {
        return Ok(None);
    }
    let log = filter.map(|filter| read_filter(&filter)).transpose()?.map(|filter| {
        let form = fmt::layer().with_writer(io::stderr).with_timer(fmt::time::uptime());
        form.with_ansi(false).with_filter(filter)
    });
    let (layer, guard) = match timeline {
        None => (None, None),
        Some(path) => {
            let file = File::create(path).map_err(|error| {
                format!("cannot write the timeline `{}`: {error}", path.display())
            })?;
            let builder = ChromeLayerBuilder::new().writer(file).include_args(true);
            let (layer, guard) = builder.include_locations(false).build();
            (Some(layer.with_filter(own(LevelFilter::TRACE))), Some(guard))
        }
    };
    let subscriber = Registry::default().with(log).with(layer);
    tracing::subscriber::set_global_default(subscriber)
        .expect("the command line is the only place that starts listening");
    Ok(guard)
}

fn own(level: LevelFilter) -> Targets {
    Targets::new().with_targets(OWN.map(|target| (target, level)))
}

/// Parses a filter. A level alone applies to the engine's own crates.
fn read_filter(text: &str) -> Result<Targets, String> {
    if let Ok(level) = text.parse::<LevelFilter>() {
        return Ok(own(level));
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
