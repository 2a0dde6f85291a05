//! Columns beside the class that explain the clusters.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    scores::ScoredRow,
};
use cache::Artifact;

/// The adjusted Rand index from which two columns are almost one partition.
const ALMOST_ONE: f64 = 0.8;

/// The agreement of clusters and of the class with a column, over all seeds.
#[derive(Clone)]
struct Confound {
    column: String,
    ami: f64,
    ari: f64,
    label_ari: f64,
    label_ami: f64,
}

/// The table of columns, and which of them explain the clusters as well as the class does.
pub fn blocks(rows: &[ScoredRow], confounding: &[Vec<Artifact>]) -> Vec<Block> {
    let found: Vec<(&ScoredRow, Vec<Confound>)> = rows
        .iter()
        .zip(confounding)
        .map(|(row, seeds)| (row, mean(&Vec::from_iter(seeds.iter().filter_map(read)))))
        .filter(|(_, confounds)| confounds.len() > 1)
        .collect();
    let mut columns: Vec<&str> = Vec::new();
    for confound in found.iter().flat_map(|(_, confounds)| confounds) {
        if !columns.contains(&confound.column.as_str()) {
            columns.push(&confound.column);
        }
    }
    if columns.is_empty() {
        return Vec::new();
    }
    let title = |column: &&str| match *column {
        "label" => Column::number("the class"),
        column => Column::number(column),
    };
    let mut made = Table { columns: vec![Column::text("AMI of clusters and")], rows: Vec::new() };
    made.columns.extend(columns.iter().map(title));
    let line = |name: Text, confounds: &[Confound], of: fn(&Confound) -> f64| {
        let cells = columns.iter().map(|column| {
            let value = confounds.iter().find(|it| it.column == *column).map(of);
            let text = value.map_or_else(|| "–".to_owned(), rounded);
            Cell { text: text.into(), value, id: None }
        });
        Row::new(std::iter::once(name.into()).chain(cells).collect())
    };
    made.rows.extend(
        found.iter().map(|(row, confounds)| line(row.title.clone().into(), confounds, |it| it.ami)),
    );
    let first = &found[0].1;
    made.rows.push(line(Text::new().emphasis("The class itself"), first, |it| it.label_ami));
    let mut sentences: Vec<Text> = Vec::new();
    for confound in first.iter().filter(|it| it.column != "label" && it.label_ari >= ALMOST_ONE) {
        sentences.push(
            Text::new().plain("The class and ").code(confound.column.clone()).plain(format!(
                " are almost one partition (ARI {:.3}): agreement with one is agreement with the other.",
                confound.label_ari
            )),
        );
    }
    for (row, confounds) in &found {
        let class = &confounds[0];
        let best = confounds[1..].iter().max_by(|a, b| a.ami.total_cmp(&b.ami));
        if let Some(best) = best.filter(|it| it.ami >= class.ami) {
            sentences.push(
                Text::new().plain(format!("{}: ", row.title)).code(best.column.clone()).plain(
                    format!(
                        " explains the clusters at least as well as the class does (AMI {:.3} beside {:.3}; ARI {:.3} beside {:.3}), \
                         so agreement with the class may be agreement with that column.",
                        best.ami, class.ami, best.ari, class.ari
                    ),
                ),
            );
        }
    }
    let means =
        if confounding.iter().any(|seeds| seeds.len() > 1) { " Means over the seeds." } else { "" };
    let legend = format!(
        "The same clusters against every other column that is known of the clips, by the adjusted mutual information, \
         which is 0 on average by chance, for any number of values.{means}"
    );
    let mut blocks = vec![Block::Table(made), Block::Paragraph(legend.into())];
    if !sentences.is_empty() {
        blocks.push(Block::List(sentences));
    }
    blocks
}

/// A value with three decimals; what rounds to zero has no sign.
fn rounded(value: f64) -> String {
    let text = format!("{value:.3}");
    if text == "-0.000" { "0.000".to_owned() } else { text }
}

/// The mean over the seeds of each column of the first.
fn mean(seeds: &[Vec<Confound>]) -> Vec<Confound> {
    let Some(first) = seeds.first() else { return Vec::new() };
    let of_column = |own: &Confound| {
        let all = seeds.iter().flatten().filter(|it| it.column == own.column);
        let all: Vec<&Confound> = all.collect();
        let mean =
            |of: fn(&Confound) -> f64| all.iter().map(|it| of(it)).sum::<f64>() / all.len() as f64;
        Confound { ami: mean(|it| it.ami), ari: mean(|it| it.ari), ..own.clone() }
    };
    first.iter().map(of_column).collect()
}

/// The rows of an artifact; the first is the class.
fn read(artifact: &Artifact) -> Option<Vec<Confound>> {
    let table = artifact.as_table()?;
    let names = table.text("column")?;
    let [ari, ami, label_ari, label_ami] =
        ["ari", "ami", "label_ari", "label_ami"].map(|name| table.reals(name));
    let (ari, ami, label_ari, label_ami) = (ari?, ami?, label_ari?, label_ami?);
    let confound = |(at, column): (usize, &String)| Confound {
        column: column.clone(),
        ami: ami[at],
        ari: ari[at],
        label_ari: label_ari[at],
        label_ami: label_ami[at],
    };
    Some(names.iter().enumerate().map(confound).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_of_all_seeds_count() {
        let seed = |ami: f64, column: &str| Confound {
            column: column.to_owned(),
            ami,
            ari: ami / 2.0,
            label_ari: 1.0,
            label_ami: 1.0,
        };
        let seeds = [
            vec![seed(0.2, "label"), seed(0.5, "source")],
            vec![seed(0.4, "label"), seed(0.7, "source")],
        ];
        let means = mean(&seeds);
        let found: Vec<(f64, f64)> = means.iter().map(|it| (it.ami, it.ari)).collect();
        for ((ami, ari), expected) in found.iter().zip([0.3, 0.6]) {
            assert!(
                (ami - expected).abs() < 1e-12 && (ari - expected / 2.0).abs() < 1e-12,
                "{found:?}"
            );
        }
    }

    #[test]
    fn what_rounds_to_zero_has_no_sign() {
        assert_eq!(
            [-0.0004, 0.0, -0.0006, 0.25].map(rounded),
            ["0.000", "0.000", "-0.001", "0.250"]
        );
    }
}
