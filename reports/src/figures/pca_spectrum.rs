//! The variances of principal components, with those that a β-VAE is expected to keep.
//!
//! A loss of squared errors plus β times the KL divergence is that of a Gaussian decoder with
//! noise variance ½. The optimum of a linear model keeps the components with a variance above β ×
//! that noise variance (Lucas et al., 2019, "Don't blame the ELBO!"). A network is not linear, so
//! this is only a forecast.

use super::{Drawn, source::Source};
use crate::draw::{
    Paint, Panel, Scale, Scene, Shape,
    axis::{Entry, brief, legend},
};

/// The noise variance that corresponds to a sum of squared errors.
const NOISE_VARIANCE: f64 = 0.5;

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let spectrum = source.one("of")?;
    let variances = spectrum.reals("explained_variance")?;
    let models = source.all("models");
    let lines = models
        .iter()
        .map(|model| {
            let beta = model.fact("effective_beta");
            let beta = beta.ok_or_else(|| {
                let is_variational = model.fact("total_kl").is_some();
                let why = if is_variational {
                    "its objective has other terms"
                } else {
                    "it is not variational"
                };
                format!("`{}` has no effective β: {why}", model.step)
            })?;
            let threshold = beta * NOISE_VARIANCE;
            let kept = variances.iter().filter(|variance| **variance > threshold).count();
            Ok((model, beta, threshold, kept))
        })
        .collect::<Result<Vec<_>, String>>()?;
    let n = variances.len();
    let values = variances.iter().copied().chain(lines.iter().map(|line| line.2));
    let (width, height) = (520.0 * source.stretch[0], 330.0 * source.stretch[1]);
    let panel = Panel {
        frame: [96.0, 12.0, width, height],
        x: Scale::Linear(0.0, n as f64 + 1.0),
        y: Scale::log_around(values),
    };
    let mut scene =
        Scene::new(width + 120.0, 0.0, source.title("Variance of principal components"));
    panel.axes(&mut scene, "component", "variance (log scale)");
    let above = |variance: &f64| *variance > 0.0;
    let points = variances.iter().enumerate().filter(|(_, variance)| above(variance));
    let points = points.map(|(at, variance)| panel.at(at as f64 + 1.0, *variance)).collect();
    scene.dots(points, Shape::Disc, 4.0, Paint::category(0));
    let mut entries = vec![Entry {
        text: format!("{}: variance of each component", spectrum.name()),
        paint: Paint::category(0),
        shape: Some(Shape::Disc),
    }];
    let mut forecasts = Vec::new();
    for (at, (model, beta, threshold, kept)) in lines.iter().enumerate() {
        let paint = Paint::category(at + 1);
        if *threshold > 0.0 {
            let ends = [0.0, n as f64 + 1.0].map(|x| panel.at(x, *threshold));
            scene.dashed(ends.to_vec(), paint, 2.5);
        }
        let beta = brief(*beta);
        entries.push(Entry {
            text: format!("{}, effective β {beta}: forecast {kept} of {n} kept", model.name()),
            paint,
            shape: None,
        });
        let active =
            model.fact("active_units").map_or(String::new(), |it| format!(", found active: {it}"));
        let units = model.table()?.rows();
        forecasts.push(format!(
            "{}: at most {} of its {units} units{active}",
            model.name(),
            kept.min(&units)
        ));
    }
    scene.height =
        height + 72.0 + legend(&mut scene, [96.0, height + 66.0], width + 10.0, &entries);
    let mut caption =
        "The variance of each principal component. How fast it falls shows how many dimensions the clips have under a linear model."
            .to_owned();
    if !forecasts.is_empty() {
        caption.push_str(&format!(
            " Forecast, not a result: a linear β-VAE keeps the components above its dashed line (effective β × noise \
             variance {NOISE_VARIANCE}) and lets the others collapse; a network may do otherwise. {}.",
            forecasts.join("; ")
        ));
    }
    Ok(Drawn { scene, caption, points: None })
}
