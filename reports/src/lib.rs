//! From a run's record and the store to a report. The same record gives the same bytes.
//!
//! This crate knows kinds of artifacts, not ops, and nothing of the DAG. Sections say what they
//! have to say as blocks of a [`document`]; writers give it a form.

mod agreement;
mod answer;
mod caveats;
mod compare;
pub mod document;
mod ending;
mod escape;
mod grid;
mod latent;
mod latex;
mod markdown;
mod provenance;
mod scores;
mod span;
pub mod stats;
mod table;

use cache::{Record, Store, StoreError};
use document::Document;

pub use escape::markdown as escape_markdown;
pub use span::span;
pub use table::{METRICS, Metric};

/// A rendered report.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// `report.md`.
    pub markdown: String,
    /// `report.tex`: the table for a paper.
    pub latex: String,
    /// `results.csv`: one line a row and metric.
    pub csv: String,
}

/// Renders a run.
///
/// # Errors
/// When an artifact that the report shows is missing from the store or damaged.
pub fn render(record: &Record, store: &Store) -> Result<Report, StoreError> {
    let rows = scores::rows(record, store)?;
    let verdicts = table::verdicts(record, &rows);
    let mut blocks = Vec::from_iter(ending::notice(record));
    blocks.extend(answer::blocks(record, &rows, &verdicts));
    blocks.extend(table::blocks(record, &rows, &verdicts));
    blocks.extend(agreement::blocks(record, &rows, store)?);
    blocks.extend(latent::blocks(&rows));
    blocks.extend(caveats::blocks(record, &rows));
    blocks.extend(ending::skipped(record, store)?);
    blocks.extend(provenance::blocks(record));
    let document = Document { title: record.pipeline.clone(), blocks };
    Ok(Report {
        markdown: markdown::write(&document),
        latex: latex::write(&document),
        csv: table::csv(record, &rows),
    })
}

/// `1 clip`, `2 clips`.
fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
