//! Question and answer, made from the numbers.

use crate::{count, escape, scores::ScoredRow};
use cache::Record;
use std::fmt::Write;

/// Writes the question, if the author gave one, and the answer.
pub fn write(text: &mut String, record: &Record, rows: &[ScoredRow]) {
    if let Some(question) = &record.question {
        let _ = write!(text, "**{}**\n\n", escape::markdown(question.trim()));
    }
    let best = |metric: &str| {
        rows.iter()
            .filter_map(|row| Some((row, row.value(metric)?)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
    };
    let Some((row, ari)) = best("ari") else {
        if let Some((row, silhouette)) = best("silhouette") {
            let _ = write!(
                text,
                "The highest Silhouette is {silhouette:.3} ({}). No labels were given, so nothing says whether \
                 the groups mean anything.\n\n",
                escape::markdown(&row.title)
            );
        }
        return;
    };
    let title = escape::markdown(&row.title);
    let clips = row.value("n_clips").map_or(0, |clips| clips as usize);
    let groups = row.value("n_clusters").map_or(0, |groups| groups as usize);
    let _ = write!(
        text,
        "{}: ARI {ari:.3}, where 0 is chance and 1 is the labels themselves. ",
        match rows.len() {
            1 => format!("**{title}** against the labels"),
            rows => format!("Of {rows} rows, **{title}** agrees best with the labels"),
        }
    );
    if let (Some(purity), Some(majority)) = (row.value("purity"), row.value("purity_majority")) {
        let _ = write!(
            text,
            "Its {} over {} reach purity {purity:.3}; calling every clip by the commonest label reaches {majority:.3}. ",
            count(groups, "group"),
            count(clips, "clip")
        );
    }
    let strength = match ari {
        _ if ari < 0.02 => {
            "The groups are, for all that these labels can tell, unrelated to the classes."
        }
        _ if ari < 0.2 => {
            "The groups follow the classes weakly: most of what separates them is something else."
        }
        _ if ari < 0.6 => "The groups follow the classes in part.",
        _ => "The groups are close to the classes.",
    };
    let _ = write!(text, "{strength}\n\n");
}
