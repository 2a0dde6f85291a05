//! What a run did: `record.json`.
