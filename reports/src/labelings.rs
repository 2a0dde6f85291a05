//! How far labelings agree with each other, where a step set them side by side.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    scores,
};
use cache::{Kind, Record, Store, StoreError};
use std::collections::BTreeMap;

/// How many pairs of a step are shown; all of them are in the store.
const SHOWN: usize = 45;

/// A column of what was made, and its title.
const MEASURES: [(&str, &str); 3] = [("ari", "ARI ↑"), ("nmi", "NMI ↑"), ("ami", "AMI ↑")];

/// What is known of a pair in each variant: clips, and a value a measure.
type Pairs = BTreeMap<(usize, String, String), Vec<(i64, [f64; 3])>>;

/// The agreement of each step that looked for it; over the variants of a sweep the mean.
///
/// # Errors
/// When what it found is missing from the store or damaged.
pub fn blocks(record: &Record, store: &Store) -> Result<Vec<Block>, StoreError> {
    let mut steps: Vec<(&str, Pairs)> = Vec::new();
    for step in &record.steps {
        let Some(digest) = scores::output(step, Kind::Agreement) else { continue };
        let base = step.name.split('{').next().unwrap_or(&step.name);
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
            blocks.push(Block::Heading("Agreement between groupings".to_owned()));
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
        let mut cells: Vec<Cell> = vec![first.clone().into(), second.clone().into()];
        cells.push(Cell::from(clips.to_string()).valued(clips as f64));
        cells.extend((0..MEASURES.len()).map(|at| {
            let mean = found.iter().map(|(_, values)| values[at]).sum::<f64>() / found.len() as f64;
            Cell::from(format!("{mean:.3}")).valued(mean)
        }));
        Row::new(cells)
    });
    let table = Table { columns, rows: rows.collect() };
    let mut said = Text::new().code(name).plain(
        " sets groupings of the same clips side by side: ARI 1 is the same groups, 0 what chance gives. \
         Groupings that agree need not be right, and need not follow the labels.",
    );
    let variants = pairs.values().map(Vec::len).max().unwrap_or(0);
    if variants > 1 {
        said = said.plain(format!(" Means over {variants} variants."));
    }
    if pairs.len() > SHOWN {
        said = said
            .plain(format!(" {} more pairs: ", pairs.len() - SHOWN))
            .code(format!("engine export RUN {name} --to agreement.csv"));
    }
    [Block::Paragraph(said), Block::Table(table)]
}
