//! Checks if recordings suffice for a study, and says what is unusual about those that are used.

use super::clips::{Clip, Collection, Fault, OnError};
use crate::{Ctx, OpError};
use std::collections::BTreeSet;

/// The number of diagnostics that a message lists.
const LISTED: usize = 10;

/// Warns of clips that are used although something is wrong with them.
pub(super) fn warn(clips: &[Clip], cx: &Ctx<'_>) {
    warn_of_damage(clips, cx);
    warn_of_cut(clips, cx);
}

/// Warns of recordings that are kept although they are damaged.
fn warn_of_damage(clips: &[Clip], cx: &Ctx<'_>) {
    let damaged = clips.iter().filter_map(|clip| Some((clip, clip.damage.as_ref()?)));
    for (clip, damage) in damaged.clone().take(LISTED) {
        cx.warnings.warn(&format!("`{}` is kept although it is damaged: {damage}", clip.clip_id));
    }
    let more = damaged.count().saturating_sub(LISTED);
    if more > 0 {
        cx.warnings.warn(&format!("{more} more recordings are kept although they are damaged"));
    }
}

/// Warns of excerpts that would end after their recordings.
fn warn_of_cut(clips: &[Clip], cx: &Ctx<'_>) {
    let cut: Vec<_> = clips.iter().filter(|clip| clip.is_cut).collect();
    let shown: Vec<_> = cut.iter().take(3).map(|clip| format!("`{}`", clip.clip_id)).collect();
    let shown = shown.join(", ");
    match cut.len() {
        0 => {}
        1 => cx.warnings.warn(&format!("an excerpt ends after its recording, and is cut: {shown}")),
        count => {
            let more = if count > 3 { ", …" } else { "" };
            cx.warnings.warn(&format!(
                "{count} excerpts end after their recordings, and are cut: {shown}{more}"
            ));
        }
    }
}

/// Checks that the clips are sufficient for a study.
pub(super) fn check(collection: &Collection, on_error: OnError) -> Result<(), OpError> {
    let Collection { clips, skipped } = collection;
    let total = clips.len() + skipped.len();
    let unread: Vec<Fault> = skipped.iter().filter(|fault| fault.is_unread).cloned().collect();
    if !unread.is_empty() {
        let headline = format!("{} of {total} recordings could not be read", unread.len());
        let error = list_error(&headline, &unread);
        return Err(OpError::failure(error.message).help(advice(&unread, "")));
    }
    if on_error == OnError::Fail && !skipped.is_empty() {
        return Err(list_error(
            &format!("{} of {total} recordings cannot be used", skipped.len()),
            skipped,
        )
        .help(advice(skipped, "`on_error: skip` leaves them out")));
    }
    if clips.is_empty() {
        return Err(list_error(&format!("none of {total} recordings can be used"), skipped)
            .help(advice(skipped, "a study needs recordings")));
    }
    let labels: BTreeSet<_> = clips.iter().map(|clip| clip.label.as_str()).collect();
    if let (1, Some(only)) = (labels.len(), labels.first()) {
        let message = match clips.len() {
            1 => format!("the one clip has the label `{only}`"),
            many => format!("all {many} clips have the one label `{only}`"),
        };
        return Err(list_error(&message, skipped).help(
            "clusters are scored against at least two classes: add recordings of another label",
        ));
    }
    Ok(())
}

/// An error with diagnostics listed below its first line.
fn list_error(headline: &str, faults: &[Fault]) -> OpError {
    let mut message = headline.to_owned();
    for fault in faults.iter().take(LISTED) {
        message.push_str(&format!("\n  `{}`: {}", fault.file, fault.reason));
    }
    if faults.len() > LISTED {
        message.push_str(&format!("\n  and {} more", faults.len() - LISTED));
    }
    OpError::data(message)
}

/// The distinct advice of diagnostics in one text.
fn advice(faults: &[Fault], last: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for help in faults.iter().map(|fault| fault.help).filter(|help| !help.is_empty()) {
        if !parts.contains(&help) {
            parts.push(help);
        }
    }
    parts.extend(Some(last).filter(|last| !last.is_empty()));
    parts.join("; ")
}
