//! A metric over all specifications of a multiverse, and the choices of each.

use super::{Drawn, source::Source};
use crate::{
    draw::{Anchor, Paint, Panel, Scale, Scene, Shape, axis::brief, font, scene::SIZES},
    scores::{ScoredRow, by_name},
};
use serde_json::Value;

/// The most rows, and the most values of all choices, that are drawn.
const MAX_ROWS_AND_VALUES: [usize; 2] = [6, 24];

/// The number of specifications from which the places of marks say something. Of fewer, the table of a report shows
/// all that a curve would.
pub const MIN_SPECIFICATIONS: usize = 4;

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let (metric, title) = source.metric()?;
    // The rows of one name have a value for each specification.
    let rows = source.table.rows.iter().filter(|row| row.value(metric).is_some());
    let mut curves = by_name(rows);
    if curves.is_empty() {
        return Err(format!("no row has the metric `{metric}`"));
    }
    // A row that depends on no choice has no curve.
    if curves.iter().any(|(_, rows)| rows.len() > 1) {
        curves.retain(|(_, rows)| rows.len() > 1);
    }
    let all_curves = curves.len();
    if all_curves > MAX_ROWS_AND_VALUES[0] {
        let mut best: Vec<(f64, &str)> =
            curves.iter().map(|(name, rows)| (best_of(rows, metric), *name)).collect();
        best.sort_by(|a, b| b.0.total_cmp(&a.0));
        curves
            .retain(|(own, _)| best[..MAX_ROWS_AND_VALUES[0]].iter().any(|(_, name)| name == own));
    }
    let mut scene = Scene::new(
        210.0 + 550.0 * source.stretch[0],
        0.0,
        source.title(&format!("{title} of every specification")),
    );
    let mut top = 26.0;
    let drawn = || curves.iter().flat_map(|(_, rows)| rows);
    let scale = Scale::around(drawn().filter_map(|row| row.value(metric)), false);
    for (name, rows) in &curves {
        let (rows, place) = (rows.clone(), (top, scale));
        top = panel(&mut scene, source, name, rows, (metric, title), place)?;
    }
    scene.height = top;
    let more = match curves.len() {
        drawn if drawn < all_curves => {
            format!(
                " Drawn are the {drawn} rows with the best {title}, of {all_curves} that depend on the choices."
            )
        }
        _ => String::new(),
    };
    // The marks of few specifications are at one end by chance.
    let read = match curves.iter().any(|(_, rows)| rows.len() >= MIN_SPECIFICATIONS) {
        true => " Where the marks of a choice gather at one end, it matters.",
        false => "",
    };
    let shown =
        if source.shown.is_empty() { "" } else { " The diamond is the one that the table shows." };
    Ok(Drawn {
        caption: format!(
            "{title} of each row with every combination of choices, sorted; the marks below say what was chosen.{shown}{read}{more}"
        ),
        scene,
        points: None,
    })
}

/// The best value of a metric as a rank: the higher, the better.
fn best_of(rows: &[&ScoredRow], metric: &str) -> f64 {
    let ranks = rows.iter().filter_map(|row| {
        let described = row.metrics.iter().find(|it| it.name == metric);
        described.map_or(row.value(metric), |it| row.rank(it))
    });
    ranks.fold(f64::NEG_INFINITY, f64::max)
}

/// The choices of rows, each with its values: numbers by size, others in the order in which they occur.
fn choices<'r>(rows: &[&'r ScoredRow]) -> Vec<(&'r str, Vec<&'r Value>)> {
    let mut found: Vec<(&str, Vec<&Value>)> = Vec::new();
    for (axis, value) in rows.iter().flat_map(|row| &row.point) {
        match found.iter_mut().find(|(name, _)| name == axis) {
            Some((_, values)) if values.contains(&value) => {}
            Some((_, values)) => values.push(value),
            None => found.push((axis, vec![value])),
        }
    }
    for (_, values) in &mut found {
        if values.iter().all(|value| value.is_number()) {
            let number = |value: &Value| value.as_f64().unwrap_or(0.0);
            values.sort_by(|a, b| number(a).total_cmp(&number(b)));
        }
    }
    found
}

fn panel(
    scene: &mut Scene,
    source: &Source<'_>,
    name: &str,
    mut rows: Vec<&ScoredRow>,
    (metric, title): (&str, &str),
    (top, scale): (f64, Scale),
) -> Result<f64, String> {
    let value = |row: &ScoredRow| row.value(metric).unwrap_or(f64::NAN);
    let choices = choices(&rows);
    rows.sort_by(|a, b| value(a).total_cmp(&value(b)));
    let lines: usize = choices.iter().map(|(_, values)| values.len()).sum();
    if lines > MAX_ROWS_AND_VALUES[1] {
        return Err(format!(
            "the choices have {lines} values, more than {}",
            MAX_ROWS_AND_VALUES[1]
        ));
    }
    let (width, height) = (550.0 * source.stretch[0], 130.0 * source.stretch[1]);
    let count = rows.len() as f64;
    let panel =
        Panel { frame: [190.0, top, width, height], x: Scale::Linear(-0.5, count - 0.5), y: scale };
    panel.title(scene, name);
    panel.y_axis(scene, title, &panel.y.ticks(4));
    let step = width / count;
    let radius = (step * 0.32).clamp(0.8, 3.5);
    let is_shown = |row: &&ScoredRow| {
        !source.shown.is_empty() && row.point.iter().all(|axis| source.shown.contains(axis))
    };
    let places: Vec<[f64; 2]> =
        rows.iter().enumerate().map(|(at, row)| panel.at(at as f64, value(row))).collect();
    scene.dots(places.clone(), Shape::Disc, radius, Paint::category(0));
    if let Some(at) = rows.iter().position(is_shown) {
        scene.dots(vec![places[at]], Shape::Diamond, 6.0, Paint::category(1));
    }
    let mut line = top + height + 20.0;
    for (axis, values) in &choices {
        for chosen in values {
            let written = match chosen.as_f64() {
                Some(number) => brief(number),
                None => chosen.as_str().map_or_else(|| chosen.to_string(), str::to_owned),
            };
            let label = font::cut(&format!("{} = {written}", source.label(axis)), SIZES[2], 176.0);
            scene.words(label, [182.0, line + 4.0], Anchor::End, SIZES[2]);
            let with = |row: &ScoredRow| {
                row.point.iter().any(|(name, own)| name == axis && own == *chosen)
            };
            let own = rows.iter().enumerate().filter(|(_, row)| with(row));
            let marks: Vec<[f64; 2]> =
                own.map(|(at, _)| [panel.at(at as f64, 0.0)[0], line]).collect();
            scene.dots(marks, Shape::Square, radius.min(3.0), Paint::Soft);
            line += 17.0;
        }
        line += 5.0;
    }
    Ok(line + 26.0)
}
