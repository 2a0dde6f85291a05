//! The silhouette of every clip.

use super::{
    Drawn,
    source::{Input, Source, noise_sentences, sorted_names},
};
use crate::draw::{Anchor, Mark, Paint, Panel, Scale, Scene, scene::SIZES};

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let inputs = source.all("of");
    let shown = &inputs[..inputs.len().min(4)];
    let columns = if shown.len() == 1 { 1 } else { 2 };
    let width = source.stretch[0] * if columns == 1 { 500.0 } else { 300.0 };
    let height = 380.0 * source.stretch[1];
    let title = match shown {
        [one] => format!("Silhouettes of {}", one.name()),
        _ => "Silhouettes".to_owned(),
    };
    let mut scene =
        Scene::new(90.0 + columns as f64 * (width + 70.0) - 50.0, 0.0, source.title(&title));
    let mut below = Vec::new();
    for (at, input) in shown.iter().enumerate() {
        let left = 70.0 + (at % columns) as f64 * (width + 70.0);
        let top =
            if shown.len() > 1 { 36.0 } else { 8.0 } + (at / columns) as f64 * (height + 90.0);
        let share =
            draw_clusters(&mut scene, source, input, [left, top, width, height], shown.len() > 1)?;
        below.push(format!("{}: {:.0} %", input.name(), 100.0 * share));
    }
    scene.height = if shown.len() > 1 { 36.0 } else { 8.0 }
        + shown.len().div_ceil(columns) as f64 * (height + 90.0)
        - 38.0;
    let noise = shown.iter().map(|input| (input.name(), input.fact("noise").unwrap_or(0.0)));
    let noise = noise_sentences(noise, "they have no silhouette");
    let left_out = match inputs.len() - shown.len() {
        0 => String::new(),
        n => format!(" {n} more are not shown."),
    };
    Ok(Drawn {
        caption: format!(
            "Each line is a clip; the clips of a cluster stand together, highest first. Lines to the left of zero are clips \
             that lie nearer to another cluster ({}). The dashed line is the mean. A cluster whose lines all end before \
             it is poorly separated.{noise}{left_out}",
            below.join("; ")
        ),
        scene,
        points: None,
    })
}

/// Draws the clusters one above another; returns the share of clips with a negative silhouette.
fn draw_clusters(
    scene: &mut Scene,
    source: &Source<'_>,
    input: &Input,
    frame: [f64; 4],
    with_title: bool,
) -> Result<f64, String> {
    // Noise has no silhouette.
    let both = input.text("cluster")?.iter().zip(input.reals("silhouette")?);
    let both = both.filter(|(_, value)| !value.is_nan());
    let (clusters, values): (Vec<String>, Vec<f64>) =
        both.map(|(cluster, value)| (cluster.clone(), *value)).unzip();
    if values.is_empty() {
        return Err(format!("`{}.{}` holds no clips", input.step, input.port));
    }
    let low = values.iter().copied().fold(-0.1, f64::min);
    let high = values.iter().copied().fold(0.5, f64::max);
    let panel = Panel {
        frame,
        x: Scale::Linear((low - 0.05).max(-1.0), (high + 0.05).min(1.0)),
        y: Scale::Linear(0.0, 1.0),
    };
    if with_title {
        panel.title(scene, input.name());
    }
    panel.x_axis(scene, "silhouette", &panel.x.ticks(6));
    let names = sorted_names(&clusters);
    let gap = 4.0_f64.min(frame[3] * 0.2 / names.len() as f64);
    let each = (frame[3] - gap * names.len() as f64) / values.len() as f64;
    let zero = panel.at(0.0, 0.0)[0];
    let mut y = frame[1];
    for (at, name) in names.iter().enumerate() {
        let own = clusters.iter().zip(&values).filter(|(cluster, _)| *cluster == name);
        let mut own: Vec<f64> = own.map(|(_, value)| *value).collect();
        own.sort_by(|a, b| b.total_cmp(a));
        let height = own.len() as f64 * each;
        // At most one step for each half unit of height, so that thousands of clips give a smooth
        // edge.
        let rows = ((height * 2.0) as usize).clamp(1, own.len());
        let tall = height / rows as f64;
        let edge = (0..rows).flat_map(|row| {
            let x = panel.at(own[row * own.len() / rows], 0.0)[0];
            [[x, y + row as f64 * tall], [x, y + (row + 1) as f64 * tall]]
        });
        let points = std::iter::once([zero, y]).chain(edge).chain([[zero, y + height]]).collect();
        scene.marks.push(Mark::Area { points, fill: Paint::category(at) });
        if height > SIZES[2] * 0.75 || names.len() < 12 {
            scene.words(
                source.label(name),
                [frame[0] - 8.0, y + height / 2.0 + 5.0],
                Anchor::End,
                SIZES[2],
            );
        }
        y += height + gap;
    }
    scene.upwards("cluster", [frame[0] - 48.0, frame[1] + frame[3] / 2.0], SIZES[1]);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let x = panel.at(mean, 0.0)[0];
    scene.dashed(vec![[x, frame[1]], [x, frame[1] + frame[3]]], Paint::Ink, 1.5);
    scene.line(vec![[zero, frame[1]], [zero, frame[1] + frame[3]]], Paint::Soft, 1.0);
    Ok(values.iter().filter(|value| **value < 0.0).count() as f64 / values.len() as f64)
}
