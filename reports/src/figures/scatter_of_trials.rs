//! The trials of a sweep as points: a parameter or a metric against a metric.

use super::{
    Drawn,
    source::{Source, repeats_sentence},
    trials::{Axis, names, over_seeds, parameters, value},
};
use crate::draw::{
    Paint, Panel, Scene, Shape,
    axis::{Entry, legend},
};
use serde_json::Value;

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let rows = &source.table.rows;
    let all = parameters(rows.iter());
    let x = source.text("x").or(all.first().copied()).ok_or("there is no sweep")?;
    let y = match source.text("y") {
        Some(y) => y,
        None => source.metric()?.0,
    };
    for name in [x, y] {
        if !rows.iter().any(|row| value(row, name).is_some()) {
            return Err(format!(
                "no row has the parameter or the metric `{name}`; the parameters are {}",
                all.join(", ")
            ));
        }
    }
    let trials: Vec<(&str, Value, Value)> = rows
        .iter()
        .filter_map(|row| Some((row.name.as_str(), value(row, x)?, value(row, y)?)))
        .collect();
    if trials.is_empty() {
        return Err(format!("no row has both `{x}` and `{y}`"));
    }
    let is_metric = |name: &str| !all.contains(&name);
    let across = Axis::of(trials.iter().map(|trial| &trial.1), is_metric(x));
    let up = Axis::of(trials.iter().map(|trial| &trial.2), is_metric(y));
    let title = |name| source.label(source.table.title_of(name));
    let (width, height) = (520.0 * source.stretch[0], 340.0 * source.stretch[1]);
    let panel = Panel { frame: [96.0, 12.0, width, height], x: across.scale, y: up.scale };
    let heading = format!("{} and {} of each trial", title(x), title(y));
    let mut scene = Scene::new(width + 120.0, height + 62.0, source.title(&heading));
    panel.x_axis(&mut scene, title(x), &across.ticks((width / 80.0) as usize));
    panel.y_axis(&mut scene, title(y), &up.ticks((height / 50.0) as usize));
    let mut entries = Vec::new();
    for (at, name) in names(rows).into_iter().enumerate() {
        let own = trials.iter().filter(|trial| trial.0 == name);
        let places: Vec<[f64; 2]> =
            own.map(|(_, x, y)| panel.at(across.number(x), up.number(y))).collect();
        if places.is_empty() {
            continue;
        }
        scene.dots(places, Shape::category(at), 4.5, Paint::category(at));
        let (paint, shape) = (Paint::category(at), Some(Shape::category(at)));
        entries.push(Entry { text: name.to_owned(), paint, shape });
    }
    if entries.len() > 1 {
        scene.height += 8.0 + legend(&mut scene, [96.0, height + 66.0], width, &entries);
    }
    Ok(Drawn {
        caption: format!(
            "Each mark is a trial of the sweep{}: {} against {}, {} in all. What two trials differ in beside the lower axis is \
             not shown, so marks above one another say how much all else matters.{}",
            over_seeds(source),
            title(y),
            title(x),
            trials.len(),
            repeats_sentence(entries.len())
        ),
        scene,
        points: None,
    })
}
