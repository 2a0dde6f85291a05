//! The words for what a figure is drawn from: `UMAP of pca` and `instrument` in place of the names of
//! steps, ports and variants.

use crate::scores::steps::Steps;
use cache::{Kind, Record, record::StepRecord};

/// The words for an input of a figure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The name: `UMAP of pca`, `K-Means of pca`, `vae`, or for classes their name: `instrument`.
    pub name: String,
    /// The method that made it: `UMAP`.
    pub method: String,
    /// The name of the classes that it holds or was compared with.
    pub classes: Option<String>,
}

/// The words for an output of a step.
pub fn of(record: &Record, steps: &Steps<'_>, step: &str, port: &str) -> Words {
    let Some(step) = steps.get(step) else {
        return Words { name: plain(step), ..Words::default() };
    };
    let title = record.methods.iter().find(|it| it.op == step.op).map(|it| it.title.as_str());
    // The author's own programs, and the ops of older records, have no title.
    let method = title.unwrap_or_default().replace('_', " ");
    let kind = step.shapes.get(port).map(|shape| shape.kind);
    let made = |from: &StepRecord, method: &str| match space(steps, from) {
        Some(space) if !method.is_empty() => format!("{method} of {space}"),
        _ => plain(&from.name),
    };
    let classes = step.inputs.get("truth").map(|source| column(record, steps, source));
    match kind {
        Some(Kind::Labels) if space(steps, step).is_none() => {
            let name = column(record, steps, &format!("{}.{port}", step.name));
            Words { name: name.clone(), method, classes: Some(name) }
        }
        Some(Kind::Labels | Kind::Matrix | Kind::Linkage) => {
            Words { name: made(step, &method), method, classes }
        }
        Some(Kind::Composition | Kind::Silhouettes) => {
            let clusters = step.inputs.get("clusters").and_then(|source| maker(steps, source));
            let name = clusters.map_or_else(
                || plain(&step.name),
                |clusters| of(record, steps, &clusters.name, clusters_port(step)).name,
            );
            Words { name, method, classes }
        }
        _ => Words { name: plain(&step.name), method, classes },
    }
}

/// The output of clusters that a step reads.
fn clusters_port(step: &StepRecord) -> &str {
    let source = step.inputs.get("clusters").map_or("", String::as_str);
    source.rsplit_once('.').map_or("", |(_, port)| port)
}

/// The step behind `step.port`.
fn maker<'r>(steps: &Steps<'r>, source: &str) -> Option<&'r StepRecord> {
    steps.get(source.rsplit_once('.')?.0)
}

/// The features that a step reads, by the name of the step that made them.
fn space(steps: &Steps<'_>, step: &StepRecord) -> Option<String> {
    let is_space = |source: &&String| {
        let kind = source.rsplit_once('.').and_then(|(step, port)| {
            steps.get(step).and_then(|step| step.shapes.get(port)).map(|shape| shape.kind)
        });
        matches!(kind, Some(Kind::Matrix | Kind::Spectrogram))
    };
    let source = step.inputs.get("features").or_else(|| step.inputs.values().find(is_space))?;
    Some(plain(&maker(steps, source)?.name))
}

/// The name of the classes at `step.port`: the one their source gives, or the column that is a port of its own.
fn column(record: &Record, steps: &Steps<'_>, source: &str) -> String {
    let port = source.rsplit_once('.').map_or("", |(_, port)| port);
    let step = maker(steps, source);
    // A program's outputs are clusters as well as classes: only their author knows.
    let is_program = |step: &StepRecord| {
        !record.methods.iter().any(|it| it.op == step.op && !it.title.is_empty())
    };
    if let Some(step) = step.filter(|step| port != "labels" && is_program(step)) {
        return plain(&step.name);
    }
    let class = step.and_then(|step| step.class.clone());
    let is_column = port != "labels" && step.is_some_and(|step| step.inputs.is_empty());
    if is_column { port.to_owned() } else { class.unwrap_or_else(|| "class".to_owned()) }
}

/// The name of a step as its author knows it: `norm (mfcc)` for `norm@mfcc{seed=0}`.
fn plain(step: &str) -> String {
    let base = cache::record::without_variant(step);
    match base.split_once('@') {
        Some((step, instance)) => format!("{step} ({instance})"),
        None => base.to_owned(),
    }
}

/// A step and its variant in words: `vae (beta = 4)` for `vae{beta=4}`.
pub fn step(name: &str) -> String {
    match &variant(name)[..] {
        [] => plain(name),
        variant => format!("{} ({})", plain(name), variant.join(", ")),
    }
}

/// The point of the sweep and the seed that a name holds: `beta = 4` and `seed 1`.
pub fn variant(step: &str) -> Vec<String> {
    let Some((_, inside)) = step.split_once('{') else { return Vec::new() };
    let mut parts: Vec<String> = Vec::new();
    for part in inside.strip_suffix('}').unwrap_or(inside).split(',') {
        match (part.split_once('='), parts.last_mut()) {
            (Some(("seed", seed)), _) => parts.push(format!("seed {seed}")),
            (Some((name, value)), _) => parts.push(format!("{name} = {value}")),
            // A value with a comma in it.
            (None, Some(last)) => {
                last.push(',');
                last.push_str(part);
            }
            (None, None) => parts.push(part.to_owned()),
        }
    }
    parts
}

/// Makes the names of the inputs of one role differ: by what varies among them, and by the names of their steps where
/// that does not do.
pub fn disambiguate(inputs: &mut [(&str, &mut Words)]) {
    let variants: Vec<Vec<String>> = inputs.iter().map(|(step, _)| variant(step)).collect();
    // What has one value among those that have it at all tells nothing apart.
    let key = |part: &str| part.split(' ').next().unwrap_or_default().to_owned();
    let varies = |part: &String| {
        variants.iter().flatten().any(|other| key(other) == key(part) && other != part)
    };
    for ((_, words), parts) in inputs.iter_mut().zip(&variants) {
        let own: Vec<&str> = parts.iter().filter(|part| varies(part)).map(String::as_str).collect();
        if !own.is_empty() {
            words.name = format!("{} ({})", words.name, own.join(", "));
        }
    }
    let names: Vec<Words> = inputs.iter().map(|(_, words)| (**words).clone()).collect();
    for (at, (step, words)) in inputs.iter_mut().enumerate() {
        let is_twin = |(other, words): (usize, &Words)| {
            other != at && (&words.name, &words.classes) == (&names[at].name, &names[at].classes)
        };
        let step = plain(step);
        if names.iter().enumerate().any(is_twin) && words.name != step {
            words.name = format!("{} ({step})", words.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disambiguated(steps: &[(&str, &str)]) -> Vec<String> {
        let words = |name: &str| Words { name: name.to_owned(), ..Words::default() };
        let mut all: Vec<Words> = steps.iter().map(|(_, name)| words(name)).collect();
        let mut both: Vec<(&str, &mut Words)> =
            steps.iter().map(|(step, _)| *step).zip(&mut all).collect();
        disambiguate(&mut both);
        all.into_iter().map(|words| words.name).collect()
    }

    #[test]
    fn only_what_differs_is_named() {
        assert_eq!(disambiguated(&[("map@pca{seed=0}", "UMAP of pca")]), ["UMAP of pca"]);
        assert_eq!(
            disambiguated(&[("vae{beta=1,seed=0}", "vae"), ("vae{beta=4,seed=0}", "vae")]),
            ["vae (beta = 1)", "vae (beta = 4)"]
        );
        assert_eq!(disambiguated(&[("vae{beta=1,seed=0}", "vae"), ("pca", "pca")]), ["vae", "pca"],);
        assert_eq!(
            disambiguated(&[
                ("near", "UMAP of pca"),
                ("far", "UMAP of pca"),
                ("tsne", "t-SNE of pca")
            ]),
            ["UMAP of pca (near)", "UMAP of pca (far)", "t-SNE of pca"]
        );
    }

    #[test]
    fn variants_and_instances_are_written_out() {
        assert_eq!(variant("vae{channels=[8, 16],seed=2}"), ["channels = [8, 16]", "seed 2"]);
        assert!(variant("vae").is_empty());
        assert_eq!(plain("norm@mfcc{seed=0}"), "norm (mfcc)");
        assert_eq!(step("ae@mel{scope=global,seed=1}"), "ae (mel) (scope = global, seed 1)");
    }
}
