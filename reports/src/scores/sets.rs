//! Sets of rows that can be compared: those over the same clips and, by labels, against the same
//! classes.

use super::ScoredRow;
use crate::quantities::count;
use std::collections::BTreeMap;

/// The clips that a step has scored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clips {
    /// The name of the set, if the scores have it.
    pub name: Option<String>,
    /// The number of clips, if known.
    pub count: Option<usize>,
    /// The name of the set with the class of each clip, if there were classes.
    pub classes: Option<String>,
}

impl Clips {
    /// True if both are of the same clips, as far as is known.
    fn is_of(&self, other: &Self) -> bool {
        match (&self.name, &other.name) {
            (Some(a), Some(b)) => a == b,
            _ => self.count.zip(other.count).is_none_or(|(a, b)| a == b),
        }
    }

    /// True if both were compared with the same classes, as far as is known.
    fn is_against(&self, other: &Self) -> bool {
        self.classes.as_ref().zip(other.classes.as_ref()).is_none_or(|(a, b)| a == b)
    }
}

/// True if a condition holds for the clips of two rows with every seed that both have.
fn holds(a: &ScoredRow, b: &ScoredRow, of: fn(&Clips, &Clips) -> bool) -> bool {
    let shared = a.clips.iter().filter_map(|(seed, clips)| Some((clips, b.clips.get(seed)?)));
    let shared: Vec<_> = shared.collect();
    match (&shared[..], a.clips.values().next(), b.clips.values().next()) {
        // Between different seeds only the number of clips can be compared.
        ([], Some(a), Some(b)) => a.count.zip(b.count).is_none_or(|(a, b)| a == b),
        (shared, ..) => shared.iter().all(|(a, b)| of(a, b)),
    }
}

/// The reason why the numbers of two rows do not compare, if there is one.
pub fn incomparable(a: &ScoredRow, b: &ScoredRow) -> Option<String> {
    if a.clips.is_empty() || b.clips.is_empty() {
        return None;
    }
    if !holds(a, b, Clips::is_of) {
        let [a, b] = [a, b].map(clips);
        return Some(match a.zip(b).filter(|(a, b)| a != b) {
            Some((a, b)) => format!("over {} and over {b}", count(a, "clip")),
            None => "over different clips".to_owned(),
        });
    }
    (!holds(a, b, Clips::is_against)).then(|| "against different classes".to_owned())
}

fn parts(rows: &[ScoredRow], same: impl Fn(&ScoredRow, &ScoredRow) -> bool) -> Vec<Vec<usize>> {
    let mut sets: Vec<Vec<usize>> = Vec::new();
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| !row.clips.is_empty()) {
        match sets.iter_mut().find(|set| same(&rows[set[0]], row)) {
            Some(set) => set.push(at),
            None => sets.push(vec![at]),
        }
    }
    sets
}

/// The sets of rows that can be compared with each other; rows without scores are in none.
pub fn of(rows: &[ScoredRow], by_labels: bool) -> Vec<Vec<usize>> {
    parts(rows, |a, b| holds(a, b, Clips::is_of) && (!by_labels || holds(a, b, Clips::is_against)))
}

/// The number of clips of each row, if rows are of different clips.
pub fn numbers_of_clips(rows: &[ScoredRow]) -> Option<Vec<Option<usize>>> {
    (of(rows, false).len() > 1).then(|| rows.iter().map(clips).collect())
}

/// The name of each row's classes, if rows over the same clips were compared with different
/// classes.
pub fn names_of_classes(rows: &[ScoredRow]) -> Option<Vec<Option<&str>>> {
    let sets = parts(rows, |a, b| holds(a, b, Clips::is_against));
    let differ = sets.len() > of(rows, false).len();
    differ.then(|| rows.iter().map(|row| classes(rows, row)).collect())
}

/// The name of the classes of a row: `player` for `clips.player`, unless an output of another step among the rows has
/// that name too.
pub fn classes<'r>(rows: &[ScoredRow], row: &'r ScoredRow) -> Option<&'r str> {
    fn port(output: &str) -> &str {
        output.rsplit_once('.').map_or(output, |(_, port)| port)
    }
    let truth = row.truth.as_deref()?;
    let mut others = rows.iter().filter_map(|row| row.truth.as_deref());
    let has_twin = others.any(|other| other != truth && port(other) == port(truth));
    Some(if has_twin { truth } else { port(truth) })
}

/// The number of clips of a row.
fn clips(row: &ScoredRow) -> Option<usize> {
    row.clips.values().filter_map(|clips| clips.count).min()
}

/// The remarks on a comparison of rows: different clips, different classes, and clips without a
/// cluster.
pub fn remarks(rows: &[ScoredRow]) -> Vec<String> {
    let mut remarks = Vec::new();
    let sets = of(rows, false);
    if sets.len() > 1 {
        let mut texts: Vec<String> = Vec::new();
        for set in &sets {
            let of = clips(&rows[set[0]]).map_or("unknown clips".to_owned(), |n| count(n, "clip"));
            texts.push(format!("{} over {of}", numbers(set)));
        }
        remarks.push(format!(
            "the rows of the table are over different clips ({}): their scores are not comparable, and no row is ranked \
             against one over other clips",
            texts.join(", ")
        ));
    }
    if names_of_classes(rows).is_some() {
        let mut texts: BTreeMap<usize, String> = BTreeMap::new();
        for set in of(rows, true) {
            let truth = classes(rows, &rows[set[0]]).unwrap_or("other classes");
            texts.insert(set[0], format!("{} against {truth}", numbers(&set)));
        }
        let texts: Vec<String> = texts.into_values().collect();
        remarks.push(format!(
            "the rows of the table are scored against different classes ({}): agreement with the labels is not ranked \
             between these",
            texts.join(", ")
        ));
    }
    remarks.extend(noisy(rows));
    remarks
}

/// The most rows whose noise is described one by one.
const MAX_NOISY: usize = 3;

/// The number of clips of each row that are in no cluster, and what became of them.
fn noisy(rows: &[ScoredRow]) -> Vec<String> {
    // By what became of the noise: the row, the share of noise, and the same in words.
    let mut found: BTreeMap<&str, Vec<(&str, f64, String)>> = BTreeMap::new();
    for row in rows {
        let (Some(noise), Some(scored)) = (row.value("n_noise"), row.value("n_clips")) else {
            continue;
        };
        let became = row.notes.get("n_noise").map_or("", String::as_str);
        let all = if became.starts_with("left out") { scored + noise } else { scored };
        let seeds = if row.draws.get("n_noise").is_some_and(|it| {
            let first = it.values().next();
            it.values().any(|noise| Some(noise) != first)
        }) {
            " on average"
        } else {
            ""
        };
        let counts = format!("{noise:.0} of {all:.0} clips{seeds}");
        found.entry(became).or_default().push((&row.title, noise / all, counts));
    }
    let mut sentences = Vec::new();
    for (became, mut of_rows) in found {
        of_rows.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(b.0)));
        if let ([least, .., most], true) = (&of_rows[..], of_rows.len() > MAX_NOISY) {
            sentences.push(format!(
                "{} rows have noise, clips in no cluster, from {} ({}) to {} ({}); {became} (`noise` of the scoring step)",
                of_rows.len(),
                least.2,
                least.0,
                most.2,
                most.0
            ));
            continue;
        }
        let mut of_each: Vec<String> = of_rows
            .iter()
            .map(|(title, _, counts)| {
                format!("{title}: {counts} are noise, in no cluster; {became} (`noise` of the scoring step)")
            })
            .collect();
        of_each.sort();
        sentences.extend(of_each);
    }
    sentences
}

/// Row names such as `r1, r2 and r5`, or their number if there are many.
fn numbers(set: &[usize]) -> String {
    let mut names: Vec<String> = set.iter().map(|at| format!("r{}", at + 1)).collect();
    match names.len() {
        1 => names.remove(0),
        n @ 9.. => format!("{n} rows from {} on", names[0]),
        _ => {
            let last = names.pop().unwrap_or_default();
            format!("{} and {last}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(clips: &str, count: usize, classes: &str) -> ScoredRow {
        let clips = Clips {
            name: Some(clips.to_owned()).filter(|name| !name.is_empty()),
            count: Some(count),
            classes: Some(classes.to_owned()).filter(|name| !name.is_empty()),
        };
        ScoredRow {
            clips: [(0, clips)].into(),
            truth: Some(format!("clips.{classes}")),
            ..ScoredRow::default()
        }
    }

    #[test]
    fn the_noise_of_many_rows_is_told_at_once() {
        let row = |title: &str, noise: f64| ScoredRow {
            title: title.to_owned(),
            values: [("n_noise".to_owned(), noise), ("n_clips".to_owned(), 20.0)].into(),
            notes: [("n_noise".to_owned(), "scored as one more cluster".to_owned())].into(),
            ..ScoredRow::default()
        };
        let rows = [row("a", 4.0), row("b", 2.0), row("c", 9.0), row("d", 3.0)];
        let texts = noisy(&rows[..3]);
        assert_eq!(texts.len(), 3);
        assert!(
            texts[1].starts_with("b: 2 of 20 clips are noise, in no cluster; scored"),
            "{texts:?}"
        );
        let texts = noisy(&rows);
        let expected = "4 rows have noise, clips in no cluster, from 2 of 20 clips (b) to 9 of 20 clips (c); scored as one";
        assert!(texts.len() == 1 && texts[0].starts_with(expected), "{texts:?}");
    }

    #[test]
    fn classes_are_named_by_their_column_unless_two_sources_have_it() {
        let mut rows = vec![row("a", 15, "player"), row("a", 15, "room")];
        let texts = |rows: &[ScoredRow]| {
            let texts = rows.iter().filter_map(|row| classes(rows, row).map(str::to_owned));
            texts.collect::<Vec<_>>()
        };
        assert_eq!(texts(&rows), ["player", "room"]);
        rows.push(ScoredRow { truth: Some("others.player".to_owned()), ..ScoredRow::default() });
        assert_eq!(texts(&rows), ["clips.player", "room", "others.player"]);
    }

    #[test]
    fn rows_over_other_clips_are_in_other_sets() {
        let rows = [row("a", 15, "x"), row("b", 7, "y"), row("a", 15, "x"), row("", 15, "")];
        assert_eq!(of(&rows, false), [vec![0, 2, 3], vec![1]]);
        assert_eq!(of(&rows, true), [vec![0, 2, 3], vec![1]]);
        let texts = remarks(&rows);
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(texts[0].contains("(r1, r3 and r4 over 15 clips, r2 over 7 clips)"), "{texts:?}");
        assert_eq!(numbers_of_clips(&rows).expect("numbers")[1], Some(7));
        let other = [row("a", 15, "x"), row("b", 15, "x")];
        assert_eq!(of(&other, false).len(), 2, "as many, but others");
    }

    #[test]
    fn rows_against_other_classes_are_in_other_sets_by_labels() {
        let rows = [row("a", 15, "digit"), row("a", 15, "speaker"), row("a", 15, "digit")];
        assert_eq!(of(&rows, false), [vec![0, 1, 2]]);
        assert_eq!(of(&rows, true), [vec![0, 2], vec![1]]);
        let texts = remarks(&rows);
        assert!(texts[0].contains("(r1 and r3 against digit, r2 against speaker)"), "{texts:?}");
        assert_eq!(numbers_of_clips(&rows), None);
    }
}
