//! The KL divergence and variance of latent units.

use super::{
    Drawn,
    source::{Input, Source},
};
use crate::draw::{
    Anchor, Paint, Panel, Scale, Scene, Shape,
    axis::{Entry, legend},
    scene::SIZES,
};

/// The colour of active units.
const IN_USE: Paint = Paint::Category(0);
const IDLE: Paint = Paint::Rgb(0xb0, 0xb0, 0xb0);

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let models = source.all("of");
    let title = match models {
        [one] => format!("Latent units of {}", one.name()),
        _ => "Latent units".to_owned(),
    };
    let size = [270.0 * source.stretch[0], 185.0 * source.stretch[1]];
    let mut scene = Scene::new(220.0 + 2.0 * size[0], 0.0, source.title(&title));
    let mut top = 44.0;
    let mut counts = Vec::new();
    for model in models {
        let active = active(model)?;
        let in_use = active.iter().filter(|active| **active).count();
        counts.push(format!("{}: {in_use} of {}", model.name(), active.len()));
        draw_model(&mut scene, model, &active, top, size)?;
        top += size[1] + 90.0;
    }
    let entries = [
        Entry { text: "active".to_owned(), paint: IN_USE, shape: Some(Shape::Square) },
        Entry { text: "inactive".to_owned(), paint: IDLE, shape: Some(Shape::Square) },
    ];
    let bottom = top - 32.0;
    scene.height =
        bottom + 6.0 + legend(&mut scene, [92.0, bottom], 60.0 + 2.0 * size[0], &entries);
    Ok(Drawn {
        caption: format!(
            "KL and variance of each latent unit. Active units: {}. A unit is active if its KL is above 0.01 nats or, in a model without a KL, if its mean \
             varies at least a hundredth as much as the most variable one. An inactive unit carries no information about \
             a clip.",
            counts.join("; ")
        ),
        scene,
        points: None,
    })
}

/// True for each active unit.
fn active(model: &Input) -> Result<Vec<bool>, String> {
    Ok(model.ints("active")?.iter().map(|active| *active != 0).collect())
}

fn has_kl(kl: &[f64]) -> bool {
    kl.iter().any(|value| value.is_finite())
}

fn draw_model(
    scene: &mut Scene,
    model: &Input,
    active: &[bool],
    top: f64,
    [width, height]: [f64; 2],
) -> Result<(), String> {
    let kl = model.reals("kl")?;
    let variance = model.reals("variance_of_mean")?;
    // The quantity that decides if a unit is active.
    let by = if has_kl(kl) { kl } else { variance };
    let mut order: Vec<usize> = (0..active.len()).collect();
    order.sort_by(|a, b| by[*b].total_cmp(&by[*a]).then(a.cmp(b)));
    scene.words(model.name(), [92.0, top - 16.0], Anchor::Start, SIZES[0]);
    let panels = [("KL, nats", kl), ("variance of the mean", variance)];
    let panels = panels.into_iter().filter(|(_, values)| values.iter().any(|it| it.is_finite()));
    for (at, (title, values)) in panels.enumerate() {
        let largest = values.iter().copied().filter(|it| it.is_finite()).fold(0.0, f64::max);
        let panel = Panel {
            frame: [92.0 + at as f64 * (width + 115.0), top, width, height],
            x: Scale::Linear(0.0, order.len() as f64),
            y: Scale::Linear(0.0, if largest > 0.0 { largest * 1.05 } else { 1.0 }),
        };
        panel.y_axis(scene, title, &panel.y.ticks(4));
        let width = panel.frame[2] / order.len() as f64;
        for (place, &unit) in order.iter().enumerate() {
            let value = if values[unit].is_finite() { values[unit].max(0.0) } else { 0.0 };
            let [left, high] = panel.at(place as f64, value);
            let low = panel.at(0.0, 0.0)[1];
            let fill = if active[unit] { IN_USE } else { IDLE };
            // A bar of zero height is still visible.
            let height = (low - high).max(1.0);
            scene.rect([left + width * 0.1, low - height, (width * 0.8).max(0.4), height], fill);
        }
        let step = order.len().div_ceil(9).max(1);
        let ticks = order.iter().enumerate().step_by(step);
        let ticks: Vec<_> =
            ticks.map(|(place, unit)| (place as f64 + 0.5, unit.to_string())).collect();
        let bare = Panel { y: Scale::Linear(0.0, 1.0), ..panel };
        axis_below(scene, &bare, &ticks);
    }
    Ok(())
}

/// Draws unit numbers below the bars, without grid lines through them.
fn axis_below(scene: &mut Scene, panel: &Panel, ticks: &[(f64, String)]) {
    let [left, top, width, height] = panel.frame;
    scene.line(vec![[left, top + height], [left + width, top + height]], Paint::Soft, 1.0);
    for (value, text) in ticks {
        let x = left + width * panel.x.share(*value);
        scene.words(text, [x, top + height + 19.0], Anchor::Middle, SIZES[2]);
    }
    let middle = [left + width / 2.0, top + height + 40.0];
    scene.words("unit, strongest first", middle, Anchor::Middle, SIZES[1]);
}
