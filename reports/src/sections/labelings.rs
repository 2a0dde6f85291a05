//! The agreement of labelings, for steps that compare them.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    figures, scores,
};
use cache::{Kind, Record, Store, StoreError};
use std::collections::BTreeMap;

/// The number of pairs of a step that are shown; the store has all of them.
const SHOWN: usize = 45;

/// The columns of the artifact that are shown, with their titles.
const MEASURES: [(&str, &str); 3] = [("ari", "ARI ↑"), ("nmi", "NMI ↑"), ("ami", "AMI ↑")];

/// The values of a pair in each variant: the number of clips, and a value for each measure.
type Pairs = BTreeMap<(usize, String, String), Vec<(i64, [f64; 3])>>;

/// The agreement from each step that compares labelings, averaged over the variants of a sweep.
///
/// # Errors
/// When an artifact is missing from the store or damaged.
pub fn blocks(record: &Record, store: &Store) -> Result<Vec<Block>, StoreError> {
    let mut steps: Vec<(&str, Pairs)> = Vec::new();
    for step in &record.steps {
        let Some(digest) = scores::output(step, Kind::Agreement) else { continue };
        let base = cache::record::without_variant(&step.name);
        let at = steps.iter().position(|(name, _)| *name == base).unwrap_or(steps.len());
        if at == steps.len() {
            steps.push((base, Pairs::new()));
        }
        let artifact = store.get(digest)?;
        let Some(table) = artifact.as_table() else { continue };
        let names = table.text("first").zip(table.text("second"));
        let reals = MEASURES.map(|(measure, _)| table.reals(measure).unwrap_or_default());
        let clips = table.ints("clips").unwrap_or_default();
        let Some((first, second)) = names else { continue };
        for (row, (first, second)) in first.iter().zip(second).enumerate() {
            let value = |values: &[f64]| values.get(row).copied().unwrap_or(f64::NAN);
            let found = (clips.get(row).copied().unwrap_or(0), reals.map(value));
            let pair = (row, first.clone(), second.clone());
            steps[at].1.entry(pair).or_default().push(found);
        }
    }
    let mut blocks = Vec::new();
    for (name, pairs) in &steps {
        if blocks.is_empty() {
            blocks.push(Block::Heading("Agreement between clusterings".to_owned()));
        }
        blocks.extend(of_step(name, pairs));
    }
    Ok(blocks)
}

fn of_step(name: &str, pairs: &Pairs) -> [Block; 2] {
    let mut columns = vec![Column::text(""), Column::text("and"), Column::number("Clips")];
    columns.extend(MEASURES.map(|(_, title)| Column::number(title)));
    let rows = pairs.iter().take(SHOWN).map(|((_, first, second), found)| {
        let clips = found.iter().map(|(clips, _)| *clips).min().unwrap_or(0);
        let mut cells: Vec<Cell> = vec![figures::step(first).into(), figures::step(second).into()];
        cells.push(Cell::from(clips.to_string()).valued(clips as f64));
        cells.extend((0..MEASURES.len()).map(|at| {
            let mean = found.iter().map(|(_, values)| values[at]).sum::<f64>() / found.len() as f64;
            Cell::from(format!("{mean:.3}")).valued(mean)
        }));
        Row::new(cells)
    });
    let table = Table { columns, rows: rows.collect() };
    let mut paragraph = Text::new().code(name).plain(
        " compares clusterings of the same clips, one row per pair: ARI 1 is identical clusters, 0 is the chance level. \
         Groupings that agree need not be right, and need not follow the labels.",
    );
    let variants = pairs.values().map(Vec::len).max().unwrap_or(0);
    if variants > 1 {
        paragraph = paragraph.plain(format!(" Means over {variants} variants."));
    }
    if pairs.len() > SHOWN {
        paragraph = paragraph
            .plain(format!(" {} more pairs: ", pairs.len() - SHOWN))
            .code(format!("engine export RUN {name} --to agreement.csv"));
    }
    [Block::Paragraph(paragraph), Block::Table(table)]
}
