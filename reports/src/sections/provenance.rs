//! Provenance: the origin of the numbers, their cost, and the command that reproduces them.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    quantities::{count, duration},
};
use cache::{
    Record,
    record::{StepRecord, StepStatus, Sweep},
};

/// Steps, environment and the command.
pub fn blocks(record: &Record) -> Vec<Block> {
    let has_gpu = record.steps.iter().any(|step| step.gpu_seconds > 0.0);
    let gpu = has_gpu.then(|| Column::number("GPU"));
    let table = Table {
        columns: [
            Column::text("Step"),
            Column::text("Op"),
            Column::text("Parameters"),
            Column::text("Result"),
            Column::number("Time"),
            Column::number("CPU"),
        ]
        .into_iter()
        .chain(gpu)
        .chain([Column::text("Key")])
        .collect(),
        rows: record.steps.iter().map(|step| row(step, has_gpu)).collect(),
    };
    // The sum starts at 0.0, since an empty sum of floats is −0.
    let of = |status| {
        let steps = record.steps.iter().filter(move |step| step.status == status);
        steps.fold((0, 0.0), |(count, seconds), step| (count + 1, seconds + step.seconds))
    };
    let ((ran, spent), (hits, saved)) = (of(StepStatus::Ran), of(StepStatus::Hit));
    let ran_steps = record.steps.iter().filter(|step| step.status == StepStatus::Ran);
    let (cpu, gpu) = ran_steps
        .fold((0.0, 0.0), |(cpu, gpu), step| (cpu + step.cpu_seconds, gpu + step.gpu_seconds));
    let gpu = if has_gpu { format!(", {} of GPU time", duration(gpu)) } else { String::new() };
    let cost = format!(
        "{} ran ({}, {} of CPU time{gpu}); {hits} were cached (they had taken {}). The run took {}.",
        count(ran, "step"),
        duration(spent),
        duration(cpu),
        duration(saved),
        duration(record.seconds)
    );
    let cost = match &record.sweep {
        Some(sweep) => format!("{} {cost}", shared(sweep, record.steps.len())),
        None => cost,
    };
    // The steps of many variants are only for looking something up.
    let steps = match &record.sweep {
        Some(_) => Block::Details(
            Text::from(format!("All {}", count(record.steps.len(), "step"))),
            vec![Block::Table(table)],
        ),
        None => Block::Table(table),
    };
    let environment = &record.environment;
    let machine = format!(
        "Engine {}; {}; {}; {}. Run ",
        record.engine,
        environment.platform,
        environment.processor,
        count(environment.threads, "thread")
    );
    let command: Vec<String> = record.command.iter().map(|word| shell(word)).collect();
    vec![
        Block::Heading("Steps".to_owned()),
        steps,
        Block::Paragraph(cost.into()),
        Block::Paragraph(
            Text::from(
                "To trace a number of a table back to the files that it was made from, run ",
            )
            .code(format!("engine why {} r1.ari", record.id))
            .plain(" (row 1, metric ARI); on the page, each number shows its own command when the pointer is over it."),
        ),
        Block::Heading("Environment".to_owned()),
        Block::Paragraph(
            Text::from(machine).code(&record.id).plain(format!(", {}.", record.started)),
        ),
        Block::Heading("Reproduce".to_owned()),
        Block::Terminal(command.join(" ")),
    ]
}

/// The summary of steps that variants share.
fn shared(sweep: &Sweep, steps: usize) -> String {
    format!(
        "{} of {} make {}; since variants share steps, the plan has {}.",
        count(sweep.variants, "variant"),
        count(sweep.steps / sweep.variants.max(1), "step"),
        count(sweep.steps, "step"),
        count(steps, "step")
    )
}

fn row(step: &StepRecord, has_gpu: bool) -> Row {
    let time = match step.status {
        StepStatus::Ran => duration(step.seconds),
        StepStatus::Hit => format!("cached ({})", duration(step.seconds)),
        StepStatus::Failed => "failed".to_owned(),
        StepStatus::Skipped => "skipped".to_owned(),
    };
    let result = match &step.error {
        Some(error) => Text::new().lines(error),
        None if step.status == StepStatus::Skipped => Text::new().lines(&step.reason),
        None => {
            let shapes: Vec<String> = step.shapes.values().map(ToString::to_string).collect();
            shapes.join(", ").into()
        }
    };
    let key = step.key.map_or_else(Text::new, |key| Text::new().code(key.short()));
    let mut cells = vec![
        Text::new().code(&step.name).into(),
        Text::new().code(&step.op).into(),
        params(step.params.as_object()).into(),
        result.into(),
        Cell::from(time).valued(step.seconds),
        time_cell(step.cpu_seconds),
    ];
    cells.extend(has_gpu.then(|| time_cell(step.gpu_seconds)));
    cells.push(key.into());
    Row::new(cells)
}

/// Seconds of processor or GPU time, if any.
fn time_cell(seconds: f64) -> Cell {
    match seconds {
        0.0 => Cell::from("–"),
        seconds => Cell::from(duration(seconds)).valued(seconds),
    }
}

fn params(params: Option<&serde_json::Map<String, serde_json::Value>>) -> String {
    let shown = params.into_iter().flatten().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name} {value}")
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// A word quoted for a shell.
pub fn shell(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
