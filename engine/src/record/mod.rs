//! Finished runs: their folders, their records, their tables, their artifacts as files.

pub mod export;
pub mod latest;
pub mod leftovers;
pub mod new;
pub mod runs;
pub mod tensorboard;

use cache::{Record, Store};
use reports::ScoreTable;

/// The table of a run, as its report shows it. A value that the store has lost is missing, with the
/// reason.
pub fn table(record: &Record, store: &Store) -> ScoreTable {
    ScoreTable::read(record, store, ops::known_metric)
}
