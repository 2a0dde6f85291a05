//! A metric over two parameters of a sweep.

use super::{Drawn, source::Source};
use crate::{
    draw::{
        Anchor, Map, Paint, Scale, Scene,
        axis::{brief, color_bar},
        font,
        scene::SIZES,
    },
    scores::ScoredRow,
};
use serde_json::Value;

/// The values in each cell of the grid.
type Cells = Vec<(Value, Value, Vec<f64>)>;
const MAX_SIDE: usize = 24;

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let rows = &source.table.rows;
    let (metric, title) = source.metric()?;
    let swept =
        |row: &ScoredRow| row.point.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let names = rows.iter().map(swept).find(|names| !names.is_empty()).unwrap_or_default();
    let axis = |setting: &str, at: usize| {
        let name = source.text(setting).map(str::to_owned).or_else(|| names.get(at).cloned());
        let name = name.ok_or("it takes a sweep over two parameters")?;
        if names.contains(&name) {
            return Ok(name);
        }
        Err(format!("the sweep has no parameter `{name}`; it has {}", names.join(", ")))
    };
    let (x, y) = (axis("x", 0)?, axis("y", 1)?);
    let mut titles: Vec<&str> = Vec::new();
    for row in rows {
        if !titles.contains(&row.name.as_str()) {
            titles.push(&row.name);
        }
    }
    let mut scene = Scene::new(
        100.0 + 540.0 * source.stretch[0],
        0.0,
        source.title(&format!("{title} over the sweep")),
    );
    let mut top = 0.0;
    let groups: Vec<(&str, Cells)> = titles
        .into_iter()
        .map(|name| (name, cells(rows.iter().filter(|row| row.name == name), metric, &x, &y)))
        .filter(|(_, cells)| !cells.is_empty())
        .collect();
    if groups.is_empty() {
        return Err(format!("no row has the metric `{metric}`"));
    }
    let means = groups.iter().flat_map(|(_, cells)| cells.iter().map(|cell| mean(&cell.2)));
    let scale = Scale::around(means.collect::<Vec<_>>(), false);
    for (name, cells) in &groups {
        top = draw_title(&mut scene, source, (name, cells), [&x, &y], top, scale, title)? + 30.0;
    }
    scene.height = top;
    let several = groups.iter().any(|(_, cells)| cells.iter().any(|cell| cell.2.len() > 1))
        || rows.iter().any(|row| row.seeds.len() > 1);
    Ok(Drawn {
        caption: format!(
            "{title} at each point of the sweep{}. Bright is high; a ridge along one axis says that the other \
             parameter hardly matters. Cells differ by chance too: compare with the spread over seeds.",
            if several { ", the mean over seeds and other swept parameters" } else { "" }
        ),
        scene,
        points: None,
    })
}

/// The values for each pair of parameter values.
fn cells<'a>(rows: impl Iterator<Item = &'a ScoredRow>, metric: &str, x: &str, y: &str) -> Cells {
    let mut cells = Cells::new();
    for row in rows {
        let value = |name: &str| row.point.iter().find(|(own, _)| own == name).map(|it| &it.1);
        let (Some(a), Some(b), Some(value)) =
            (value(x), value(y), row.values.get(metric).copied().filter(|value| value.is_finite()))
        else {
            continue;
        };
        match cells.iter_mut().find(|cell| cell.0 == *a && cell.1 == *b) {
            Some(cell) => cell.2.push(value),
            None => cells.push((a.clone(), b.clone(), vec![value])),
        }
    }
    cells
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The distinct values: numbers by size, others in order of occurrence.
fn distinct<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    if found.iter().all(|value| value.is_number()) {
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        found.sort_by(|a, b| number(a).total_cmp(&number(b)));
    }
    found
}

fn shown(value: &Value) -> String {
    match (value.as_str(), value.as_f64()) {
        (Some(text), _) => text.to_owned(),
        (None, Some(number)) => brief(number),
        (None, None) => value.to_string(),
    }
}

fn draw_title(
    scene: &mut Scene,
    source: &Source<'_>,
    (title, cells): (&str, &Cells),
    [x_name, y_name]: [&str; 2],
    top: f64,
    scale: Scale,
    metric: &str,
) -> Result<f64, String> {
    let columns = distinct(cells.iter().map(|cell| &cell.0));
    let rows = distinct(cells.iter().map(|cell| &cell.1));
    if columns.len() > MAX_SIDE || rows.len() > MAX_SIDE {
        return Err(format!(
            "{} × {} points are too many for a heatmap",
            columns.len(),
            rows.len()
        ));
    }
    let widest =
        rows.iter().map(|it| font::width(&shown(it), SIZES[2])).fold(0.0, f64::max).min(120.0);
    let (left, top) = (40.0 + widest, top + 34.0);
    let end = 540.0 * source.stretch[0];
    let width = (end - left) / columns.len() as f64;
    let height = (300.0 / rows.len() as f64).clamp(26.0, 56.0) * source.stretch[1];
    scene.words(
        font::cut(title, SIZES[0], end + 60.0),
        [left, top - 12.0],
        Anchor::Start,
        SIZES[0],
    );
    let bottom = top + rows.len() as f64 * height;
    let largest = cells.iter().map(|cell| mean(&cell.2).abs()).fold(0.0, f64::max);
    let decimals = match largest {
        100.0.. => 0,
        10.0..100.0 => 1,
        1.0..10.0 => 2,
        _ => 3,
    };
    for (row, y) in rows.iter().enumerate() {
        let low = bottom - (row + 1) as f64 * height;
        let middle = low + height / 2.0 + 5.0;
        scene.words(
            font::cut(&shown(y), SIZES[2], 120.0),
            [left - 7.0, middle],
            Anchor::End,
            SIZES[2],
        );
        for (column, x) in columns.iter().enumerate() {
            let place = [left + column as f64 * width, low];
            let cell = cells.iter().find(|cell| cell.0 == **x && cell.1 == **y);
            let Some((_, _, values)) = cell else { continue };
            let share = scale.share(mean(values));
            let [r, g, b] = Map::Cividis.at(share);
            scene.rect(
                [place[0] + 0.5, place[1] + 0.5, width - 1.0, height - 1.0],
                Paint::Rgb(r, g, b),
            );
            let text = format!("{:.decimals$}", mean(values));
            let fill = Map::Cividis.text_on(share);
            let size = [SIZES[2], 12.0, 10.0]
                .into_iter()
                .find(|size| font::width(&text, *size) <= width - 4.0);
            if let Some(size) = size {
                let at = [place[0] + width / 2.0, middle];
                scene.painted(text, at, Anchor::Middle, size, fill);
            }
        }
    }
    for (column, x) in columns.iter().enumerate() {
        let middle = left + (column as f64 + 0.5) * width;
        scene.words(
            font::cut(&shown(x), SIZES[2], width),
            [middle, bottom + 19.0],
            Anchor::Middle,
            SIZES[2],
        );
    }
    scene.words(
        source.label(x_name),
        [left + width * columns.len() as f64 / 2.0, bottom + 40.0],
        Anchor::Middle,
        SIZES[1],
    );
    scene.upwards(source.label(y_name), [18.0, (top + bottom) / 2.0], SIZES[1]);
    color_bar(scene, [end + 12.0, top, 14.0, bottom - top], Map::Cividis, scale, metric);
    Ok(bottom + 44.0)
}
