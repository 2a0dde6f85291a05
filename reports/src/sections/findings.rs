//! Findings of the steps that check the data.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    quantities::count,
};
use cache::{Artifact, Digest, Kind, Record, Store, StoreError, record::StepRecord};
use std::collections::BTreeMap;

/// The number of findings shown of each type; the store has all of them.
const SHOWN: usize = 12;

/// The findings of each step that checks the data.
///
/// # Errors
/// When findings are missing from the store or damaged.
pub fn blocks(record: &Record, store: &Store) -> Result<Vec<Block>, StoreError> {
    let mut blocks = Vec::new();
    for step in &record.steps {
        let Some((port, findings)) = output(step, Kind::Findings) else { continue };
        let findings = store.get(findings)?;
        if blocks.is_empty() {
            blocks.push(Block::Heading("Data audit".to_owned()));
        }
        blocks.extend(found(step, port, &findings));
        if let Some((_, census)) = output(step, Kind::Census) {
            blocks.extend(by_class(&store.get(census)?));
        }
    }
    Ok(blocks)
}

fn output(step: &StepRecord, kind: Kind) -> Option<(&str, &Digest)> {
    let (port, _) = step.shapes.iter().find(|(_, shape)| shape.kind == kind)?;
    Some((port, step.outputs.get(port)?))
}

/// The number of findings of each type, and the first of them.
fn found(step: &StepRecord, port: &str, findings: &Artifact) -> Vec<Block> {
    let column = |name| findings.as_table().and_then(|table| table.text(name));
    let (Some(clips), Some(sorts), Some(partners)) =
        (column("clip_id"), column("finding"), column("partner"))
    else {
        return Vec::new();
    };
    let clips_in_all = findings.meta.get("clips").and_then(serde_json::Value::as_u64);
    let looked = clips_in_all
        .map_or_else(String::new, |n| format!(" examined {} and", count(n as usize, "clip")));
    let step_said = Text::new().code(&step.name).plain(looked);
    if clips.is_empty() {
        return vec![Block::Paragraph(step_said.plain(" found nothing unusual."))];
    }
    let mut by_sort: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    sorts.iter().enumerate().for_each(|(at, sort)| by_sort.entry(sort).or_default().push(at));
    let counts: Vec<String> = by_sort
        .iter()
        .map(|(sort, all)| format!("{} ({})", sort.replace('_', " "), all.len()))
        .collect();
    let mut blocks = vec![Block::Paragraph(
        step_said
            .plain(format!(" found: {}. What these words mean: ", counts.join(", ")))
            .code(format!("engine ops {}", step.op))
            .plain("."),
    )];
    for (sort, all) in by_sort {
        let shown = all.iter().take(SHOWN).map(|&at| {
            let text = Text::new().code(&clips[at]);
            if partners[at].is_empty() { text } else { text.plain(" with ").code(&partners[at]) }
        });
        let mut list: Vec<Text> = shown.collect();
        if all.len() > SHOWN {
            let more = Text::from(format!("and {} more: ", all.len() - SHOWN));
            list.push(
                more.code(format!("engine export RUN {}.{port} --to findings.csv", step.name)),
            );
        }
        let title = format!("{} ({})", sort.replace('_', " "), all.len());
        blocks.push(Block::Details(title.into(), vec![Block::List(list)]));
    }
    blocks
}

/// The census as a table.
fn by_class(census: &Artifact) -> Option<Block> {
    let table = census.as_table()?;
    let mut columns = Vec::new();
    let mut cells: Vec<Vec<Cell>> = vec![Vec::new(); table.rows()];
    for (name, column) in table.columns() {
        let title = name.replace('_', " ");
        match column {
            cache::Column::Text(values) => {
                columns.push(Column::text(title));
                cells
                    .iter_mut()
                    .zip(values)
                    .for_each(|(row, value)| row.push(value.clone().into()));
            }
            cache::Column::Int(values) => {
                columns.push(Column::number(title));
                let cell = |value: i64| Cell::from(value.to_string()).valued(value as f64);
                cells.iter_mut().zip(values).for_each(|(row, value)| row.push(cell(*value)));
            }
            cache::Column::Real(values) => {
                columns.push(Column::number(title));
                let cell = |value: f64| Cell::from(format!("{value:.3}")).valued(value);
                cells.iter_mut().zip(values).for_each(|(row, value)| row.push(cell(*value)));
            }
            cache::Column::Array(_) => {}
        }
    }
    Some(Block::Table(Table { columns, rows: cells.into_iter().map(Row::new).collect() }))
}
