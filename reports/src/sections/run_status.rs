//! The status of a run that did not finish, and the files that its sources left out.

use crate::{
    document::{Block, Text},
    quantities::count,
    sections::left_out::{Group, LeftOut, left_out},
};
use cache::{Record, Store, StoreError, record::RunStatus};

/// The notice for a run that did not finish.
pub fn notice(record: &Record) -> Option<Block> {
    let ending = match record.status {
        RunStatus::Done => return None,
        RunStatus::Partial => {
            "Some steps of this run failed; the results that do not depend on them are shown."
        }
        RunStatus::Failed => "A step of this run failed.",
        RunStatus::Interrupted => {
            "This run was interrupted. Run it again to continue: finished steps are cached."
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
/// When a list of files is missing from the store or damaged.
pub fn skipped(record: &Record, store: &Store) -> Result<Vec<Block>, StoreError> {
    let mut blocks = Vec::new();
    for LeftOut { step, files, groups } in left_out(record, store)? {
        if blocks.is_empty() {
            blocks.push(Block::Heading("Files left out".to_owned()));
        }
        let left_out = format!(" left out {}:", count(files, "file"));
        blocks.push(Block::Paragraph(Text::from("Step ").code(&step).plain(left_out)));
        let lines = groups.iter().flat_map(Group::lines);
        let line = |(place, reason)| Text::new().code(place).plain(format!(": {reason}"));
        blocks.push(Block::List(lines.map(line).collect()));
    }
    Ok(blocks)
}
