//! Renders a report from the record of a run and the store. The same record gives the same bytes.
//!
//! This crate knows kinds of artifacts, but neither ops nor the DAG. Sections give blocks of a
//! [`document`], and writers format them.

#![forbid(unsafe_code)]

pub mod document;
mod draw;
mod escape;
pub mod figures;
mod formats;
mod quantities;
pub mod resampled;
mod scores;
mod sections;
pub mod stats;

use cache::{Record, Store, StoreError};
use document::Document;
use formats::{html, latex, markdown, results};
use sections::{
    agreement, audio_links::AudioLinks, caveats, findings, gallery, labelings, latent, lengths,
    methods, multiverse, probes, provenance, recordings, run_status, selection, sensitivity,
    summary, table,
};
use std::{collections::BTreeMap, path::Path};

pub use escape::markdown as escape_markdown;
pub use formats::wide::Wide;
pub use quantities::{count, duration};
pub use scores::{
    MetricLookup, ScoreTable, ScoredRow, Seed, estimate,
    sets::{incomparable, remarks},
    shown_estimate,
};
pub use sections::{left_out, provenance::shell, table::context_columns};

/// The style of the page of a report, for other pages that belong to a run.
pub const STYLE: &str = include_str!("formats/page.css");

/// The files of a report, by their name in the run's folder.
pub type Report = BTreeMap<String, Vec<u8>>;

/// Renders the report of a run with its table and folder.
///
/// # Errors
/// When an artifact that the report shows is missing from the store or damaged.
pub fn render(
    record: &Record,
    mut table: ScoreTable,
    store: &Store,
    folder: &Path,
) -> Result<Report, StoreError> {
    if let Some(error) = table.lost.take() {
        return Err(error);
    }
    let table = table.with_latent(record, store)?;
    let rows = &table.rows[..];
    let outcomes = table::outcomes(record, &table);
    let plays_audio = record.audio && !record.figures.is_empty();
    let audio_links =
        if plays_audio { AudioLinks::find(record, store, folder)? } else { AudioLinks::default() };
    let (figures, mut files) = gallery::blocks(record, store, &audio_links)?;
    let mut blocks = Vec::from_iter(run_status::notice(record));
    let (of_recordings, verdict) = recordings::blocks(record, &table, store)?;
    blocks.extend(summary::blocks(record, &table, &outcomes, verdict.as_ref()));
    blocks.extend(table::blocks(record, &table, &outcomes));
    let tex = latex::write(&table::full_table(&table, &outcomes));
    blocks.extend(of_recordings);
    let (of_multiverse, all_points) = multiverse::blocks(record, &table, store)?;
    blocks.extend(of_multiverse);
    files.extend(all_points.map(|csv| ("multiverse.csv".to_owned(), csv.into_bytes())));
    blocks.extend(sensitivity::blocks(record, &table, store)?);
    blocks.extend(probes::blocks(record, store)?);
    blocks.extend(agreement::blocks(record, rows, store)?);
    blocks.extend(selection::blocks(record, store)?);
    blocks.extend(labelings::blocks(record, store)?);
    blocks.extend(latent::blocks(rows));
    blocks.extend(caveats::blocks(record, &table, lengths::remarks(record, store)?));
    blocks.extend(figures);
    blocks.extend(findings::blocks(record, store)?);
    blocks.extend(run_status::skipped(record, store)?);
    blocks.extend(methods::blocks(record));
    blocks.extend(provenance::blocks(record));
    let prose = methods::prose(record);
    if !prose.is_empty() {
        let methods = Document { title: "Methods".to_owned(), blocks: prose };
        files.insert("methods.md".to_owned(), markdown::write(&methods).into_bytes());
        files.insert("methods.tex".to_owned(), latex::prose(&methods.blocks).into_bytes());
    }
    let document = Document { title: record.pipeline.clone(), blocks };
    let (markdown, html) =
        rayon::join(|| markdown::write(&document), || html::write(&document, &record.id));
    for (name, text) in [
        ("report.md", markdown),
        ("report.html", html),
        ("report.tex", tex),
        ("results.csv", results::csv(record, rows)),
    ] {
        files.insert(name.to_owned(), text.into_bytes());
    }
    files.insert("results.parquet".to_owned(), results::parquet(rows).map_err(StoreError::Format)?);
    Ok(files)
}
