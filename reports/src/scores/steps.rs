//! An index of the steps of a record by name, since a table of hundreds of rows looks up thousands.

use cache::{Record, record::StepRecord};
use std::collections::HashMap;

/// Finds steps by name.
pub struct Steps<'r>(HashMap<&'r str, &'r StepRecord>);

impl<'r> Steps<'r> {
    /// The steps of a record.
    pub fn of(record: &'r Record) -> Self {
        // The first of two steps with the same name, as in the record.
        Self(record.steps.iter().rev().map(|step| (step.name.as_str(), step)).collect())
    }

    /// The step of that name.
    pub fn get(&self, name: &str) -> Option<&'r StepRecord> {
        self.0.get(name).copied()
    }
}
