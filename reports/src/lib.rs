//! From a run's record and the store to a report. The same record gives the same bytes.
//!
//! This crate knows kinds of artifacts, not ops, and nothing of the DAG.

mod answer;
mod caveats;
mod escape;
mod latent;
mod provenance;
mod scores;
mod span;
mod table;

use cache::{Kind, Record, Store, StoreError, record::RunStatus};
use std::fmt::Write;

pub use escape::markdown as escape_markdown;
pub use span::span;
pub use table::{METRICS, Metric};

/// A rendered report.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// `report.md`.
    pub markdown: String,
    /// `results.csv`: one line a row and metric.
    pub csv: String,
}

/// Renders a run.
///
/// # Errors
/// When an artifact that the report shows is missing from the store or damaged.
pub fn render(record: &Record, store: &Store) -> Result<Report, StoreError> {
    let rows = scores::rows(record, store)?;
    let mut text = format!("# {}\n\n", escape::markdown(&record.pipeline));
    write_ending(&mut text, record);
    answer::write(&mut text, record, &rows);
    table::write(&mut text, &rows);
    latent::write(&mut text, &rows);
    caveats::write(&mut text, record, &rows);
    write_skipped(&mut text, record, store)?;
    provenance::write(&mut text, record);
    Ok(Report { markdown: text, csv: table::csv(&rows) })
}

/// What a reader must know first of a run that did not come to its end.
fn write_ending(text: &mut String, record: &Record) {
    let ending = match record.status {
        RunStatus::Done => return,
        RunStatus::Partial => "Some steps of this run failed; what did not depend on them is here.",
        RunStatus::Failed => "A step of this run failed.",
        RunStatus::Interrupted => {
            "This run was stopped before its end. Run it again to go on: what is finished is kept."
        }
    };
    let _ = writeln!(text, "> **{ending}**");
    for step in &record.steps {
        if let Some(error) = &step.error {
            let error: Vec<_> = error.lines().map(|line| escape::markdown(line.trim())).collect();
            let _ = writeln!(text, ">\n> {}: {}", escape::code(&step.name), error.join("; "));
        }
    }
    text.push('\n');
}

/// Files that sources left out, with the reason.
fn write_skipped(text: &mut String, record: &Record, store: &Store) -> Result<(), StoreError> {
    let outputs = record.steps.iter().flat_map(|step| {
        let of_kind =
            |port: &String| step.shapes.get(port).is_some_and(|shape| shape.kind == Kind::Skipped);
        step.outputs
            .iter()
            .filter(move |(port, _)| of_kind(port))
            .map(move |(_, digest)| (step, digest))
    });
    let mut heading = "## Files left out\n\n";
    for (step, digest) in outputs {
        let artifact = store.get(digest)?;
        let Some(table) = artifact.as_table().filter(|table| table.rows() > 0) else { continue };
        let (Some(files), Some(reasons)) = (table.text("file"), table.text("reason")) else {
            continue;
        };
        let _ = write!(
            text,
            "{heading}Step `{}` left out {}:\n\n",
            step.name,
            count(files.len(), "file")
        );
        heading = "";
        for (file, reason) in files.iter().zip(reasons) {
            let _ = writeln!(text, "- {}: {}", escape::code(file), escape::markdown(reason));
        }
        text.push('\n');
    }
    Ok(())
}

/// `1 clip`, `2 clips`.
fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
