//! The trials of a sweep as lines: through the value of each parameter to the metric.

use super::{
    Drawn,
    source::Source,
    trials::{Axis, over_seeds, parameters, value},
};
use crate::{
    draw::{Anchor, Map, Paint, Scale, Scene, axis::color_bar, font, scene::SIZES},
    scores::{ScoredRow, by_name},
};
use serde_json::Value;

/// The most rows and the most parameters that are drawn.
const MAX_ROWS_AND_PARAMETERS: [usize; 2] = [6, 10];

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let rows = &source.table.rows;
    let (metric, title) = source.metric()?;
    let scored: Vec<&ScoredRow> = rows.iter().filter(|row| row.value(metric).is_some()).collect();
    let scale = Scale::around(scored.iter().filter_map(|row| row.value(metric)), false);
    let groups = by_name(scored.iter().copied());
    if groups.is_empty() {
        return Err(format!("no row has the metric `{metric}`"));
    }
    let width = 560.0 * source.stretch[0];
    let heading = source.title(&format!("{title} over the parameters"));
    let mut scene = Scene::new(width + 190.0, 0.0, heading);
    let mut top = 6.0;
    for (name, own) in groups.iter().take(MAX_ROWS_AND_PARAMETERS[0]) {
        top = panel(&mut scene, source, (name, own), (metric, title, scale), top)?;
    }
    scene.height = top;
    let more = match groups.len().saturating_sub(MAX_ROWS_AND_PARAMETERS[0]) {
        0 => String::new(),
        more => format!(" {more} more rows are not drawn."),
    };
    Ok(Drawn {
        caption: format!(
            "Each line is a trial of the sweep{}: it goes through the values of its parameters and ends at its {title}, which \
             is its colour as well. Where lines of one colour meet on an axis, the scores go with that value.{more}",
            over_seeds(source)
        ),
        scene,
        points: None,
    })
}

/// Draws the trials of one row; returns their lower end.
fn panel(
    scene: &mut Scene,
    source: &Source<'_>,
    (name, rows): (&str, &[&ScoredRow]),
    (metric, title, scale): (&str, &str, Scale),
    top: f64,
) -> Result<f64, String> {
    let mut axes = parameters(rows.iter().copied());
    if axes.len() > MAX_ROWS_AND_PARAMETERS[1] {
        return Err(format!(
            "the sweep has {} parameters, more than {}",
            axes.len(),
            MAX_ROWS_AND_PARAMETERS[1]
        ));
    }
    axes.push(metric);
    let (left, top) = (70.0, top + 50.0);
    let (width, height) = (560.0 * source.stretch[0], 230.0 * source.stretch[1]);
    let heading = font::cut(name, SIZES[0], width + 100.0);
    scene.words(heading, [left - 50.0, top - 32.0], Anchor::Start, SIZES[0]);
    let gap = width / (axes.len() - 1).max(1) as f64;
    let x = |at: usize| left + at as f64 * gap;
    let values: Vec<Vec<Option<Value>>> = axes
        .iter()
        .map(|axis| rows.iter().map(|row| value(row, axis)).collect::<Vec<_>>())
        .collect();
    let mut places = vec![Vec::new(); rows.len()];
    let mut words = Vec::new();
    for (at, (axis, values)) in axes.iter().zip(&values).enumerate() {
        let is_metric = at + 1 == axes.len();
        let mut scaled = Axis::of(values.iter().flatten(), is_metric);
        if is_metric {
            scaled.scale = scale;
        }
        let y = |number: f64| top + height * (1.0 - scaled.scale.share(number));
        for (place, value) in places.iter_mut().zip(values) {
            // A trial without this parameter has a gap.
            let number = value.as_ref().map_or(f64::NAN, |value| scaled.number(value));
            place.push([x(at), y(number)]);
        }
        words.extend(scaled.ticks(5).into_iter().map(|(number, text)| ([x(at), y(number)], text)));
        let label = if is_metric { title } else { source.label(axis) };
        let label = font::cut(label, SIZES[2], gap - 8.0);
        scene.words(label, [x(at), top + height + 22.0], Anchor::Middle, SIZES[2]);
    }
    // The best are drawn last, so that no other hides them.
    let share = |at: usize| scale.share(rows[at].value(metric).unwrap_or(f64::NAN));
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|a, b| share(*a).total_cmp(&share(*b)).then(a.cmp(b)));
    for at in order {
        let [r, g, b] = Map::Cividis.at(share(at));
        scene.line(places[at].clone(), Paint::Rgb(r, g, b), 1.8);
    }
    for at in 0..axes.len() {
        scene.line(vec![[x(at), top], [x(at), top + height]], Paint::Soft, 1.2);
    }
    for ([x, y], text) in words {
        scene.line(vec![[x - 4.0, y], [x, y]], Paint::Soft, 1.2);
        let text = font::cut(&text, SIZES[2], gap - 16.0);
        // Lines pass behind the number, so that it can be read.
        let width = font::width(&text, SIZES[2]) + 4.0;
        scene.rect([x - 5.0 - width, y - 7.0, width, 14.0], Paint::Paper);
        scene.words(text, [x - 7.0, y + 5.0], Anchor::End, SIZES[2]);
    }
    color_bar(scene, [left + width + 24.0, top, 14.0, height], Map::Cividis, scale, "");
    Ok(top + height + 40.0)
}
