//! The rate of the latent space against the distortion of the reconstruction.

use super::{Drawn, source::Source};
use crate::draw::{Anchor, Paint, Panel, Scale, Scene, Shape, axis::brief, scene::SIZES};

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let mut points = Vec::new();
    for history in source.all("of") {
        let last = |name: &str| Ok::<_, String>(history.reals(name)?.last().copied());
        let (rate, distortion, beta) = (last("kl")?, last("reconstruction")?, last("beta")?);
        let (Some(rate), Some(distortion)) = (rate, distortion) else { continue };
        if rate.is_finite() && distortion.is_finite() {
            points.push((rate, distortion, beta.filter(|beta| beta.is_finite()), history.name()));
        }
    }
    if points.is_empty() {
        return Err("none of the trainings has a KL".to_owned());
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (width, height) = (510.0 * source.stretch[0], 330.0 * source.stretch[1]);
    let panel = Panel {
        frame: [96.0, 22.0, width, height],
        x: Scale::around(points.iter().map(|point| point.0), true),
        y: Scale::around(points.iter().map(|point| point.1), false),
    };
    let title = source.title("Rate and distortion");
    let mut scene = Scene::new(width + 130.0, height + 77.0, &title);
    panel.axes(&mut scene, "rate: KL (nats per clip)", "distortion: reconstruction error");
    let places: Vec<_> = points.iter().map(|point| panel.at(point.0, point.1)).collect();
    // One line connects trainings that differ only in β.
    let mut betas: Vec<_> = points.iter().map(|(_, _, beta, _)| beta.map(f64::to_bits)).collect();
    betas.sort_unstable();
    betas.dedup();
    let is_sweep = betas.len() == points.len();
    if is_sweep {
        scene.line(places.clone(), Paint::Soft, 1.2);
    }
    scene.dots(places.clone(), Shape::Disc, 5.5, Paint::category(0));
    let mut taken: Vec<[f64; 2]> = Vec::new();
    for (place, (_, _, beta, step)) in places.iter().zip(&points) {
        let text = match beta.map(brief) {
            Some(beta) if is_sweep || betas.len() > 1 => format!("β = {beta}"),
            Some(beta) => format!("{step}, β = {beta}"),
            None => (*step).to_owned(),
        };
        // A label moves upwards while another is near.
        let mut at = [place[0] + 9.0, place[1] - 9.0];
        while taken.iter().any(|it| (it[0] - at[0]).abs() < 62.0 && (it[1] - at[1]).abs() < 16.0) {
            at[1] -= 16.0;
        }
        let is_far = at[0] > width + 30.0;
        let anchor = if is_far { Anchor::End } else { Anchor::Start };
        scene.words(
            text,
            if is_far { [place[0] - 5.0, at[1] - 6.0] } else { at },
            anchor,
            SIZES[2],
        );
        taken.push(at);
    }
    let of = match is_sweep {
        true => "Each point is the end of a training with its own β.",
        false => {
            "Each point is the end of a training; errors are comparable where the reduction of the loss is the same."
        }
    };
    Ok(Drawn {
        caption: format!(
            "{of} Lower points reconstruct better, points further left have a less informative latent; a larger β trades the one for \
             the other. A point at the left edge has a collapsed posterior."
        ),
        scene,
        points: None,
    })
}
