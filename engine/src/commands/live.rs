//! The page `live.html` of a study, which shows its newest run while it goes on, and then its report.
//!
//! A page that was opened from a folder may load scripts, but may read no other files. So what changes stands in a
//! script `live.js` beside the page, which reads it again and again. No server is needed, and both files can be copied
//! from elsewhere while the run goes on.

pub mod serve;
mod time_left;

use crate::{
    record::table,
    run::{RunInfo, record::outline, study::Study},
    ui::{console::live::LiveProgress, visible::visible},
};
use cache::{
    Digest, Record, Store,
    atomic_file::{write_atomic, write_atomic_unsynced},
    record::RunStatus,
    store::plain,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};
use time_left::time_left;
use tracing::{info, warn};

/// The name of the page in the folder of a study.
pub const PAGE: &str = "live.html";
/// The name of the script beside it.
const SCRIPT: &str = "live.js";
/// The version of the format of the data.
const VERSION: u32 = 1;
/// The time between two writings.
const PERIOD: Duration = Duration::from_secs(1);
/// The table is read again only after so many times the time that it took.
const PATIENCE: u32 = 20;
const NO_PANIC: &str = "no thread panics while it holds the outline of a run";

/// The page of a run, which is kept until this is dropped.
pub struct Live {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    _server: Option<serve::Server>,
}

/// The state that the run and the writer of the page share.
struct Shared {
    progress: Arc<LiveProgress>,
    folder: PathBuf,
    started: u64,
    outline: Mutex<Outline>,
    over: Condvar,
}

/// The steps of the run as far as they are planned.
struct Outline {
    record: Record,
    /// The steps by name.
    places: HashMap<String, usize>,
    /// The expected seconds of each step, where they are known.
    expected: Vec<Option<f64>>,
    is_over: bool,
}

impl Outline {
    fn of(study: &Study, run: &RunInfo) -> Self {
        let plan = study.plan();
        let expected = plan.steps().iter().map(|step| match (&step.finished, step.key()) {
            (None, Some(_)) => step.cost.seconds,
            _ => Some(0.0),
        });
        let record = outline(&plan, run);
        let names = record.steps.iter().map(|step| step.name.clone());
        let places = names.zip(0..).collect();
        Self { expected: expected.collect(), record, places, is_over: false }
    }
}

impl Live {
    /// Begins to keep the page of a run, whose folder is beside it. A page that cannot be written is warned of and given
    /// up: it stops no run.
    pub fn begin(
        progress: &Arc<LiveProgress>,
        study: &Study,
        run: &RunInfo,
        folder: &Path,
        port: Option<u16>,
    ) -> Option<Self> {
        let shared = Arc::new(Shared {
            progress: Arc::clone(progress),
            folder: folder.parent()?.to_owned(),
            started: milliseconds(),
            outline: Mutex::new(Outline::of(study, run)),
            over: Condvar::new(),
        });
        let page = shared.folder.join(PAGE);
        if let Err(error) = write_page(&shared.folder).and_then(|()| shared.write(&Value::Null)) {
            warn!("cannot write `{}`: {}", page.display(), plain(&error));
            return None;
        }
        info!("the page of this run is `{}`", page.display());
        let (store, writer) = (study.store.root().to_owned(), Arc::clone(&shared));
        let thread = thread::Builder::new().name("live".to_owned());
        let thread = thread.spawn(move || writer.keep(&store)).ok();
        let server = port.and_then(|port| serve::serve(&shared.folder, port));
        Some(Self { shared, thread, _server: server })
    }

    /// Takes over the further steps of a search.
    pub fn follow(&self, study: &Study, run: &RunInfo) {
        *self.shared.outline() = Outline::of(study, run);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.outline().is_over = true;
        self.shared.over.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Shows the report of a run that was there already.
pub fn show_finished(folder: &Path) {
    let (Some(study), Some(id)) = (folder.parent(), folder.file_name()) else { return };
    let data = json!({ "v": VERSION, "id": id.to_string_lossy(), "started": milliseconds(),
        "pipeline": study.file_name().map(|name| name.to_string_lossy()),
        "written": milliseconds(), "status": RunStatus::Done });
    let written = write_page(study).and_then(|()| write_script(study, &data));
    if let Err(error) = written {
        warn!("cannot write `{}`: {}", study.join(PAGE).display(), plain(&error));
    }
}

fn write_page(study: &Path) -> io::Result<()> {
    let page = include_str!("live/live.html").replace("/*page.css*/", reports::STYLE);
    let page = page.replace("/*live.js*/", include_str!("live/page.js"));
    write_atomic(&study.join(PAGE), page.as_bytes())
}

fn write_script(study: &Path, data: &Value) -> io::Result<()> {
    let text = format!("live({});\n", visible(&data.to_string()));
    write_atomic_unsynced(&study.join(SCRIPT), text.as_bytes())
}

impl Shared {
    fn outline(&self) -> MutexGuard<'_, Outline> {
        self.outline.lock().expect(NO_PANIC)
    }

    /// Writes the data until the run is over.
    fn keep(&self, store: &Path) {
        let store = Store::open_existing(store).ok();
        let (mut shown, mut next) = (Value::Null, Instant::now());
        loop {
            let over = |outline: &mut Outline| !outline.is_over;
            let waited = self.over.wait_timeout_while(self.outline(), PERIOD, over);
            let (outline, _) = waited.expect(NO_PANIC);
            let is_over = outline.is_over;
            drop(outline);
            if let Some(store) = store.as_ref().filter(|_| is_over || next <= Instant::now()) {
                let began = Instant::now();
                shown = self.table(store);
                next = Instant::now() + began.elapsed() * PATIENCE;
            }
            // What cannot be written now may be written the next time; the page says that it is stale.
            let _ = self.write(&shown);
            if is_over {
                return;
            }
        }
    }

    /// The table as far as its cells are there.
    fn table(&self, store: &Store) -> Value {
        // What was finished since the last time is in a journal; without it, the cells come later.
        let _ = store.refresh();
        let progress = self.progress.lock();
        let finished: Vec<_> = progress
            .finished
            .iter()
            .filter_map(|(name, key)| Some((name.clone(), key.as_ref()?.parse::<Digest>().ok()?)))
            .collect();
        drop(progress);
        let mut outline = self.outline();
        let Outline { record, places, .. } = &mut *outline;
        for (name, key) in finished {
            let Some(step) = places.get(&name).map(|place| &mut record.steps[*place]) else {
                continue;
            };
            if step.key == Some(key) {
                continue;
            }
            let Some(finished) = store.finished(&key) else { continue };
            step.key = Some(key);
            let outputs = finished.outputs.into_iter();
            (step.outputs, step.shapes) = outputs
                .map(|(port, object)| ((port.clone(), object.digest), (port, object.shape)))
                .unzip();
        }
        let record = record.clone();
        drop(outline);
        let table = table(&record, store);
        let several = table.rows.iter().any(|row| row.seeds.len() > 1);
        let rows = table.rows.iter().map(|row| {
            let cell = |metric| match row.scored() {
                0 => String::new(),
                _ => row.shown(metric),
            };
            let seeds = format!("{} of {}", row.scored(), row.seeds.len());
            let cells = several.then_some(seeds).into_iter();
            let cells = cells.chain(table.columns.iter().map(cell));
            json!({ "title": row.title, "cells": cells.collect::<Vec<_>>() })
        });
        let columns = several.then(|| "Seeds".to_owned()).into_iter();
        let columns = columns.chain(table.columns.iter().map(|metric| metric.heading()));
        json!({ "columns": columns.collect::<Vec<_>>(), "rows": rows.collect::<Vec<_>>() })
    }

    /// Writes all that there is to say now.
    fn write(&self, table: &Value) -> io::Result<()> {
        let (outline, progress) = (self.outline(), self.progress.lock());
        let record = &outline.record;
        let seconds = self.progress.seconds();
        let status = match (outline.is_over, &progress.status) {
            (_, Some(status)) => status.as_str(),
            (true, None) => "left",
            (false, None) => "running",
        };
        let mut data = json!({
            "v": VERSION, "pipeline": record.pipeline, "id": record.id, "status": status,
            "started": self.started, "written": milliseconds(), "seconds": seconds,
            "steps": record.steps.len(), "table": table,
        });
        let left = time_left(record, &outline.expected, &progress, seconds);
        data["left"] = json!({ "seconds": left.seconds, "unknown": left.unknown });
        if let (Value::Object(all), Value::Object(more)) = (&mut data, progress.in_json()) {
            all.extend(more);
        }
        drop((outline, progress));
        write_script(&self.folder, &data)
    }
}

/// The time of day in milliseconds since 1970, as browsers count it.
fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
