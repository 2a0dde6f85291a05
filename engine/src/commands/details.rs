//! The details of a run that `-v` prints: keys, objects, and the time of each step.

use crate::ui::{fold::paragraph, size};
use cache::{
    Record, Store,
    record::{StepRecord, StepStatus},
};

/// The steps in the order of the plan, then the slowest ones.
pub fn of(record: &Record, store: &Store, width: usize) -> String {
    let mut out = String::new();
    for step in &record.steps {
        let Some(key) = step.key else { continue };
        out.push_str(&format!("{}: key {}\n", step.name, key.short()));
        for (port, digest) in &step.outputs {
            let shape = step.shapes.get(port).map(ToString::to_string).unwrap_or_default();
            let path = store.object_path(digest);
            let bytes = path.as_ref().and_then(|path| std::fs::metadata(path).ok());
            let bytes = bytes.map_or_else(String::new, |it| format!(", {}", size::bytes(it.len())));
            let line = format!("{port} {} ({shape}{bytes})", digest.short());
            out.push_str(&paragraph("  ", &line, width));
        }
    }
    let mut ran: Vec<&StepRecord> =
        record.steps.iter().filter(|step| step.status == StepStatus::Ran).collect();
    ran.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let total: f64 = ran.iter().map(|step| step.seconds).sum();
    if ran.is_empty() || total <= 0.0 {
        return out;
    }
    let op: f64 = ran.iter().map(|step| step.op_seconds).sum();
    out.push_str(&paragraph(
        "",
        &format!(
            "steps took {}: ops {}, reading and keeping {}; the whole run {}",
            reports::duration(total),
            reports::duration(op),
            reports::duration((total - op).max(0.0)),
            reports::duration(record.seconds)
        ),
        width,
    ));
    for step in ran.into_iter().take(10) {
        let (share, took) = (100.0 * step.seconds / total, reports::duration(step.seconds));
        out.push_str(&format!("  {share:>3.0} %  {took:>8}  {}\n", step.name));
    }
    out
}
