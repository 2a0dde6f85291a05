//! Where the numbers come from, what they cost, and how to get them again.

use crate::{count, escape, span};
use cache::{Record, record::StepStatus};
use std::fmt::Write;

/// Writes steps, environment and the command.
pub fn write(text: &mut String, record: &Record) {
    text.push_str(
        "## Steps\n\n| Step | Op | Parameters | Result | Time | Key |\n|:--|:--|:--|:--|--:|:--|\n",
    );
    for step in &record.steps {
        let time = match step.status {
            StepStatus::Ran => span(step.seconds),
            StepStatus::Hit => format!("hit ({})", span(step.seconds)),
            StepStatus::Failed => "failed".to_owned(),
            StepStatus::Skipped => "skipped".to_owned(),
        };
        let result = match &step.error {
            Some(error) => in_a_cell(error),
            None if step.status == StepStatus::Skipped => in_a_cell(&step.reason),
            None => step.shapes.values().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        let key = step.key.map_or(String::new(), |key| format!("`{}`", key.short()));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {result} | {time} | {key} |",
            escape::code(&step.name),
            escape::code(&step.op),
            params(step.params.as_object()),
        );
    }
    // Starting at 0.0: an empty sum of floats is −0.
    let of = |status| {
        let steps = record.steps.iter().filter(move |step| step.status == status);
        steps.fold((0, 0.0), |(count, seconds), step| (count + 1, seconds + step.seconds))
    };
    let ((ran, spent), (hits, saved)) = (of(StepStatus::Ran), of(StepStatus::Hit));
    let _ = write!(
        text,
        "\n{} ran ({}); {hits} were there already (they had taken {}).\n\n\
         ## Environment\n\nEngine {}; {}; {}; {}. Run `{}`, {}.\n\n## Again\n\n    {}\n",
        count(ran, "step"),
        span(spent),
        span(saved),
        record.engine,
        escape::markdown(&record.environment.platform),
        escape::markdown(&record.environment.processor),
        count(record.environment.threads, "thread"),
        record.id,
        record.started,
        record.command.iter().map(|word| shell(word)).collect::<Vec<_>>().join(" ")
    );
}

/// Text of several lines in a cell of a table.
fn in_a_cell(text: &str) -> String {
    text.lines().map(|line| escape::markdown(line.trim())).collect::<Vec<_>>().join("<br>")
}

fn params(params: Option<&serde_json::Map<String, serde_json::Value>>) -> String {
    let shown = params.into_iter().flatten().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{} {}", escape::markdown(name), escape::markdown(&value))
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// A word as a shell reads it back.
fn shell(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
