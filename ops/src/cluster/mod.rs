//! From vectors to groups.

pub mod agglomerative;
pub mod kmeans;

/// The metadata of labels and layouts that says how they were made: op and parameters.
pub const MADE_BY: &str = "made_by";

/// How labels or a layout were made, for their metadata: whoever wants to know what the same method
/// does to other points can run it again.
pub(crate) fn made_by<O: crate::Op>(op: &O) -> serde_json::Value {
    serde_json::json!({ "op": O::NAME, "params": op })
}
