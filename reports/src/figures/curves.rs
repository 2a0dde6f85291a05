//! Losses over the epochs of a training.

use super::{Drawn, source::Source, words};
use crate::draw::{
    Paint, Panel, Scale, Scene,
    axis::{Entry, legend},
};

/// The columns of a history that are drawn, with their descriptions.
const CURVES: [(&str, &str); 3] =
    [("loss", "loss"), ("reconstruction", "reconstruction error"), ("kl", "KL (nats per clip)")];
/// The factor above which a falling curve is drawn on a logarithmic axis.
const STEEP: f64 = 20.0;

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let histories = source.all("of");
    let title = match histories {
        [one] => format!("Training of {}", one.name()),
        _ => "Training".to_owned(),
    };
    let (width, height) = (270.0 * source.stretch[0], 185.0 * source.stretch[1]);
    let mut scene = Scene::new(0.0, 0.0, source.title(&title));
    let (mut drawn, mut is_log, mut held_out, mut has_kl) = (0_usize, false, false, false);
    // Trainings that differ by their seed alone share a colour.
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    for (at, history) in histories.iter().enumerate() {
        let name = without_seed(&history.step, history.name());
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, own)) => own.push(at),
            None => groups.push((name, vec![at])),
        }
    }
    let group = |at: usize| groups.iter().position(|(_, own)| own.contains(&at)).unwrap_or(0);
    for (column, title) in CURVES {
        let mut curves = Vec::new();
        for (at, history) in histories.iter().enumerate() {
            let values = history.reals(column)?;
            // A model without this term has no such column, or only zeros.
            if values.iter().any(|value| value.is_finite() && *value != 0.0) {
                curves.push((at, history.ints("epoch")?, values, false));
            }
            let validation = history.reals("validation").unwrap_or(&[]);
            if column == "loss" && validation.iter().any(|value| value.is_finite()) {
                curves.push((at, history.ints("epoch")?, validation, true));
                held_out = true;
            }
        }
        if curves.is_empty() {
            continue;
        }
        has_kl |= column == "kl";
        let all = || curves.iter().flat_map(|(_, _, values, _)| values.iter().copied());
        let low = all().fold(f64::INFINITY, f64::min);
        let high = all().fold(f64::NEG_INFINITY, f64::max);
        let steep = low > 0.0 && high / low > STEEP;
        is_log |= steep;
        let epochs =
            curves.iter().flat_map(|(_, epochs, ..)| epochs.iter()).map(|epoch| *epoch as f64);
        let left = 92.0 + (drawn % 2) as f64 * (width + 115.0);
        let top = 30.0 + (drawn / 2) as f64 * (height + 85.0);
        let panel = Panel {
            frame: [left, top, width, height],
            x: Scale::Linear(1.0, epochs.fold(2.0, f64::max)),
            y: if steep { Scale::log_around(all()) } else { Scale::around(all(), false) },
        };
        panel.title(&mut scene, title);
        panel.axes(&mut scene, "epoch", "");
        for (at, epochs, values, is_held_out) in curves {
            let points: Vec<_> = epochs
                .iter()
                .zip(values)
                .map(|(epoch, value)| panel.at(*epoch as f64, *value))
                .collect();
            match (is_held_out, &points[..]) {
                (true, _) => scene.dashed(points, Paint::category(group(at)), 2.0),
                (false, [only]) => scene.dots(
                    vec![*only],
                    crate::draw::Shape::Disc,
                    3.0,
                    Paint::category(group(at)),
                ),
                (false, _) => scene.line(points, Paint::category(group(at)), 2.5),
            }
        }
        drawn += 1;
    }
    if drawn == 0 {
        return Err("the history holds no numbers".to_owned());
    }
    let bottom = 30.0 + drawn.div_ceil(2) as f64 * (height + 85.0) - 30.0;
    scene.width = 120.0 + width + if drawn == 1 { 0.0 } else { 100.0 + width };
    let entries = groups.iter().enumerate();
    let entries: Vec<Entry> = entries
        .map(|(at, (name, _))| Entry {
            text: name.clone(),
            paint: Paint::category(at),
            shape: None,
        })
        .collect();
    scene.height = bottom + 8.0 + {
        let width = scene.width - 120.0;
        legend(&mut scene, [92.0, bottom], width, &entries)
    };
    let mut caption = "The loss and its parts after each epoch. A training that is done runs level at its right end; one that \
                       still falls would gain from more epochs."
        .to_owned();
    if has_kl {
        caption.push_str(" A KL near zero means that the latent carries nothing.");
    }
    if groups.len() < histories.len() {
        caption.push_str(" Seeds of one model share a colour.");
    }
    if is_log {
        caption.push_str(
            " Where the marks of an axis grow by factors (1, 100, 10,000), it is logarithmic.",
        );
    }
    if held_out {
        caption.push_str(" Dashed: clips that were held out.");
    }
    Ok(Drawn { scene, caption, points: None })
}

/// `ae (scope = global)` of `ae (scope = global, seed 0)`.
fn without_seed(step: &str, name: &str) -> String {
    let seed = words::variant(step).into_iter().find(|part| part.starts_with("seed "));
    let Some(seed) = seed else { return name.to_owned() };
    name.replace(&format!(", {seed})"), ")").replace(&format!(" ({seed})"), "")
}

#[cfg(test)]
mod tests {
    use super::without_seed;

    #[test]
    fn seeds_of_a_model_have_one_name() {
        let name = without_seed("ae{scope=global,seed=1}", "ae (scope = global, seed 1)");
        assert_eq!(name, "ae (scope = global)");
        assert_eq!(without_seed("ae{seed=1}", "ae (seed 1)"), "ae");
        assert_eq!(without_seed("ae", "ae"), "ae");
    }
}
