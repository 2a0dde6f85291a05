//! From a run's record and the store to a report. The same record gives the same bytes.
//!
//! This crate knows kinds of artifacts, not ops, and nothing of the DAG. Sections say what they
//! have to say as blocks of a [`document`]; writers give it a form.

mod agreement;
mod answer;
mod caveats;
mod compare;
pub mod document;
mod draw;
mod ending;
mod escape;
pub mod figures;
mod findings;
mod gallery;
mod grid;
mod hearing;
mod html;
mod labelings;
mod latent;
mod latex;
pub mod left_out;
mod markdown;
mod provenance;
mod scores;
mod span;
pub mod stats;
mod steps;
mod table;

use cache::{Record, Store, StoreError};
use document::Document;
use hearing::Hearing;
use std::{collections::BTreeMap, path::Path};

pub use escape::markdown as escape_markdown;
pub use provenance::shell;
pub use span::span;
pub use table::{METRICS, Metric};

/// The files of a report, by their name in the run's folder.
pub type Report = BTreeMap<String, Vec<u8>>;

/// Renders a run whose folder this is.
///
/// # Errors
/// When an artifact that the report shows is missing from the store or damaged.
pub fn render(record: &Record, store: &Store, folder: &Path) -> Result<Report, StoreError> {
    let rows = scores::rows(record, store)?;
    let verdicts = table::verdicts(record, &rows);
    let hears = record.audio && !record.figures.is_empty();
    let hearing = if hears { Hearing::find(record, store, folder)? } else { Hearing::default() };
    let (figures, mut files) = gallery::blocks(record, store, &hearing)?;
    let mut blocks = Vec::from_iter(ending::notice(record));
    blocks.extend(answer::blocks(record, &rows, &verdicts));
    let results = table::blocks(record, &rows, &verdicts);
    let tex = latex::write(&results);
    blocks.extend(results);
    blocks.extend(agreement::blocks(record, &rows, store)?);
    blocks.extend(labelings::blocks(record, store)?);
    blocks.extend(latent::blocks(&rows));
    blocks.extend(caveats::blocks(record, &rows));
    blocks.extend(figures);
    blocks.extend(findings::blocks(record, store)?);
    blocks.extend(ending::skipped(record, store)?);
    blocks.extend(provenance::blocks(record));
    let document = Document { title: record.pipeline.clone(), blocks };
    let (markdown, html) =
        rayon::join(|| markdown::write(&document), || html::write(&document, &record.id));
    for (name, text) in [
        ("report.md", markdown),
        ("report.html", html),
        ("report.tex", tex),
        ("results.csv", table::csv(record, &rows)),
    ] {
        files.insert(name.to_owned(), text.into_bytes());
    }
    files.insert("results.parquet".to_owned(), table::parquet(&rows).map_err(StoreError::Format)?);
    Ok(files)
}

/// `1 clip`, `2 clips`.
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
