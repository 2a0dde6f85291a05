//! The number of clusters: what criteria say of each number, and whether any stands out.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    scores::{
        self,
        selection::{CRITERIA, chosen, describe},
    },
};
use cache::{Artifact, Kind, Record, Store, StoreError};

/// The section on numbers of clusters; empty if no step has criteria. Of several variants of a step the
/// first is shown.
///
/// # Errors
/// When an artifact is missing from the store or damaged.
pub fn blocks(record: &Record, store: &Store) -> Result<Vec<Block>, StoreError> {
    let mut blocks = Vec::new();
    let mut seen = Vec::new();
    for step in &record.steps {
        let Some(digest) = scores::output(step, Kind::Selection) else { continue };
        let base = cache::record::without_variant(&step.name);
        if seen.contains(&base) {
            continue;
        }
        seen.push(base);
        let artifact = store.get(digest)?;
        if blocks.is_empty() {
            blocks.push(Block::Heading("How many clusters".to_owned()));
        }
        blocks
            .push(Block::Paragraph(Text::new().code(base).plain(": ").plain(describe(&artifact))));
        blocks.extend(table(&artifact).map(Block::Table));
    }
    if !blocks.is_empty() {
        blocks.push(Block::Paragraph(
            "Bold: the number that each criterion names, the largest silhouette, the first gap that the next one does not \
             exceed by more than its error, the smallest BIC, and the last prediction strength of at least 0.8. The \
             silhouette always names 2 or more; the others can say that there is one cluster, which is none."
                .into(),
        ));
    }
    Ok(blocks)
}

fn table(artifact: &Artifact) -> Option<Table> {
    let values = artifact.as_table()?;
    let numbers = values.ints("clusters")?;
    let heads = CRITERIA.iter().map(|it| Column::number(it.heading));
    let columns = std::iter::once(Column::number("k")).chain(heads).collect();
    let row = |(at, k): (usize, &i64)| {
        let cells = CRITERIA.iter().map(|criterion| {
            let value = values.reals(criterion.column).and_then(|own| own.get(at)).copied();
            let value = value.filter(|value| value.is_finite());
            let text = value.map_or("–".to_owned(), |it| format!("{it:.*}", criterion.decimals));
            let text = match chosen(artifact, criterion.column) == Some(*k) {
                true => Text::new().strong(text),
                false => Text::from(text),
            };
            Cell { text, value, id: None }
        });
        let first = Cell::from(k.to_string()).valued(*k as f64);
        Row::new(std::iter::once(first).chain(cells).collect())
    };
    Some(Table { columns, rows: numbers.iter().enumerate().map(row).collect() })
}
