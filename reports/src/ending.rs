//! How the run ended, if it did not come to its end, and what its sources left out.

use crate::{
    count,
    document::{Block, Text},
};
use cache::{Kind, Record, Store, StoreError, record::RunStatus};

/// What a reader must know first of a run that did not come to its end.
pub fn notice(record: &Record) -> Option<Block> {
    let ending = match record.status {
        RunStatus::Done => return None,
        RunStatus::Partial => "Some steps of this run failed; what did not depend on them is here.",
        RunStatus::Failed => "A step of this run failed.",
        RunStatus::Interrupted => {
            "This run was stopped before its end. Run it again to go on: what is finished is kept."
        }
    };
    let errors = record.steps.iter().filter_map(|step| {
        let error: Vec<_> = step.error.as_ref()?.lines().map(str::trim).collect();
        Some(Text::new().code(&step.name).plain(format!(": {}", error.join("; "))))
    });
    Some(Block::Notice(std::iter::once(Text::new().strong(ending)).chain(errors).collect()))
}

/// Files that sources left out, with the reason.
///
/// # Errors
/// When their list is missing from the store or damaged.
pub fn skipped(record: &Record, store: &Store) -> Result<Vec<Block>, StoreError> {
    let mut blocks = Vec::new();
    for step in &record.steps {
        let skipped = step.outputs.iter().filter(|(port, _)| {
            step.shapes.get(*port).is_some_and(|shape| shape.kind == Kind::Skipped)
        });
        for (_, digest) in skipped {
            let artifact = store.get(digest)?;
            let column = |name| artifact.as_table().and_then(|table| table.text(name));
            let (Some(files), Some(reasons)) = (column("file"), column("reason")) else { continue };
            if files.is_empty() {
                continue;
            }
            if blocks.is_empty() {
                blocks.push(Block::Heading("Files left out".to_owned()));
            }
            let left_out = format!(" left out {}:", count(files.len(), "file"));
            blocks.push(Block::Paragraph(Text::from("Step ").code(&step.name).plain(left_out)));
            let lines = files.iter().zip(reasons);
            let line = |(file, reason)| Text::new().code(file).plain(format!(": {reason}"));
            blocks.push(Block::List(lines.map(line).collect()));
        }
    }
    Ok(blocks)
}
