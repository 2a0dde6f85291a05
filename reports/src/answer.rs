//! Question and answer, made from the numbers.

use crate::{
    compare::Verdict,
    count,
    document::{Block, Text},
    scores::ScoredRow,
};
use cache::Record;

/// The question, if the author gave one, and the answer.
pub fn blocks(record: &Record, rows: &[ScoredRow], verdicts: &[Verdict]) -> Vec<Block> {
    let question = record.question.iter().map(|text| Text::new().strong(text.trim()));
    question.chain(answer(rows, verdicts)).map(Block::Paragraph).collect()
}

fn answer(rows: &[ScoredRow], verdicts: &[Verdict]) -> Option<Text> {
    let best = |metric: &str| {
        rows.iter()
            .filter_map(|row| Some((row, row.value(metric)?)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
    };
    let Some((row, ari)) = best("ari") else {
        let (row, silhouette) = best("silhouette")?;
        return Some(Text::from(format!(
            "The highest Silhouette is {silhouette:.3} ({}). No labels were given, so nothing says whether the groups \
             mean anything.",
            row.title
        )));
    };
    let clips = row.value("n_clips").map_or(0, |clips| clips as usize);
    let groups = row.value("n_clusters").map_or(0, |groups| groups as usize);
    let best = match rows.len() {
        1 => Text::new().strong(&row.title).plain(" against the labels"),
        rows => Text::from(format!("Of {rows} rows, "))
            .strong(&row.title)
            .plain(" agrees best with the labels"),
    };
    let seeds = match row.draws("ari").len() {
        0 | 1 => String::new(),
        seeds => format!(" (mean of {seeds} seeds)"),
    };
    let mut text = best.plain(format!(
        ": ARI {ari:.3}{seeds}, where 0 is chance and 1 is the labels themselves. "
    ));
    let rival = verdicts.iter().find(|it| it.metric == "ari").and_then(|it| it.rival.as_ref());
    if let Some(rival) = rival {
        text = text.plain(format!(
            "The seeds do not tell it from {}. ",
            count(rival.others + 1, "other row")
        ));
    }
    if let (Some(purity), Some(majority)) = (row.value("purity"), row.value("purity_majority")) {
        text = text.plain(format!(
            "Its {} over {} reach purity {purity:.3}; calling every clip by the commonest label reaches {majority:.3}. ",
            count(groups, "group"),
            count(clips, "clip")
        ));
    }
    Some(text.plain(match ari {
        _ if ari < 0.02 => {
            "The groups are, for all that these labels can tell, unrelated to the classes."
        }
        _ if ari < 0.2 => {
            "The groups follow the classes weakly: most of what separates them is something else."
        }
        _ if ari < 0.6 => "The groups follow the classes in part.",
        _ => "The groups are close to the classes.",
    }))
}
