//! Criteria over the number of clusters.

use super::{Drawn, source::Source};
use crate::{
    draw::{Paint, Panel, Scale, Scene, Shape},
    scores::selection::{CRITERIA, chosen, describe},
};

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let of = source.one("of")?;
    let numbers = of.ints("clusters")?;
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
        return Err("it holds no number of clusters".to_owned());
    };
    let title = format!("Criteria for the number of clusters of {}", of.name());
    let (width, height) = (270.0 * source.stretch[0], 180.0 * source.stretch[1]);
    let mut scene = Scene::new(220.0 + 2.0 * width, 0.0, source.title(&title));
    let mut drawn = 0_usize;
    for criterion in &CRITERIA {
        let values = of.reals(criterion.column)?;
        let errors = match criterion.column {
            "gap" => of.reals("gap_error").unwrap_or(&[]),
            _ => &[],
        };
        let error = |at: usize| errors.get(at).copied().filter(|it| it.is_finite()).unwrap_or(0.0);
        let ends = values.iter().enumerate().flat_map(|(at, it)| [it - error(at), it + error(at)]);
        if !values.iter().any(|value| value.is_finite()) {
            continue;
        }
        let left = 92.0 + (drawn % 2) as f64 * (width + 115.0);
        let top = 30.0 + (drawn / 2) as f64 * (height + 82.0);
        let panel = Panel {
            frame: [left, top, width, height],
            x: Scale::Linear(*first as f64 - 0.5, *last as f64 + 0.5),
            y: match criterion.column {
                "prediction_strength" => Scale::Linear(0.0, 1.05),
                _ => Scale::around(ends, false),
            },
        };
        panel.title(&mut scene, criterion.heading.trim_end_matches([' ', '↑', '↓']));
        let step = numbers.len().div_ceil(10);
        let ticks: Vec<(f64, String)> =
            numbers.iter().step_by(step).map(|k| (*k as f64, k.to_string())).collect();
        panel.x_axis(&mut scene, "number of clusters", &ticks);
        panel.y_axis(&mut scene, "", &panel.y.ticks(4));
        if criterion.column == "prediction_strength" {
            let line = [*first, *last].map(|k| panel.at(k as f64, 0.8)).to_vec();
            scene.dashed(line, Paint::Soft, 1.5);
        }
        let points: Vec<[f64; 2]> = numbers
            .iter()
            .zip(values)
            .filter(|(_, value)| value.is_finite())
            .map(|(k, value)| panel.at(*k as f64, *value))
            .collect();
        for (at, (k, value)) in numbers.iter().zip(values).enumerate() {
            if error(at) > 0.0 && value.is_finite() {
                let ends = [value - error(at), value + error(at)];
                scene.line(
                    ends.map(|end| panel.at(*k as f64, end)).to_vec(),
                    Paint::category(0),
                    1.5,
                );
            }
        }
        scene.line(points.clone(), Paint::category(0), 2.5);
        scene.dots(points, Shape::Disc, 3.0, Paint::category(0));
        let named = chosen(&of.artifact, criterion.column);
        let place = named.and_then(|named| numbers.iter().position(|k| *k == named));
        if let Some(at) = place.filter(|at| values[*at].is_finite()) {
            let mark = panel.at(numbers[at] as f64, values[at]);
            scene.dots(vec![mark], Shape::Diamond, 7.0, Paint::category(1));
        }
        drawn += 1;
    }
    if drawn == 0 {
        return Err("none of the criteria has a value".to_owned());
    }
    scene.height = 30.0 + drawn.div_ceil(2) as f64 * (height + 82.0) - 14.0;
    if drawn == 1 {
        scene.width = width + 120.0;
    }
    let description = describe(&of.artifact);
    Ok(Drawn {
        caption: format!(
            "The diamond marks the number that a criterion names. Of {}: {description} Bars: the error of the gap. The dashed \
             line: 0.8, from which clusters count as reproduced in the other half of the clips.",
            of.name()
        ),
        scene,
        points: None,
    })
}
