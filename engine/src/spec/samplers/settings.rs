//! The settings of samplers: their types, and how they are read.

use super::{Keys, Sampler, distribution::ParamDistribution};
use crate::{
    spec::{
        node::{Key, Node},
        points::Reader,
        sweep::{MAX_VARIANTS, error},
    },
    ui::{
        diagnostic::{Diagnostic, listed, quote},
        suggest,
    },
};
use std::collections::BTreeMap;

/// A setting of a sampler.
#[derive(Clone, Copy)]
pub struct Setting {
    /// The name in YAML.
    pub name: &'static str,
    /// The documentation.
    pub doc: &'static str,
    /// The type of the setting.
    pub takes: SettingType,
    /// True if the setting is required.
    pub required: bool,
}

/// The type of a setting.
#[derive(Clone, Copy)]
pub enum SettingType {
    /// A number of points.
    Points,
    /// A whole number of at least the given one.
    Count(u64),
    /// The name of a parameter, which varies with the others.
    Parameter,
    /// Parameters, each with its values or with a range of them.
    Space,
}

/// The setting `n`, the number of points.
pub const N: Setting =
    Setting { name: "n", doc: "The number of points.", takes: SettingType::Points, required: true };
/// The setting `seed`, the seed of all random numbers.
pub const SEED: Setting = Setting {
    name: "seed",
    doc: "The seed of the points: another seed draws others.",
    takes: SettingType::Count(0),
    required: false,
};
/// The setting `over`, the parameters that are drawn.
pub const OVER: Setting = Setting {
    name: "over",
    doc: "For each parameter a list of values, `\"uniform(LOW, HIGH)\"`, `\"loguniform(LOW, HIGH)\"`, or `\"int(LOW, HIGH)\"` for whole numbers.",
    takes: SettingType::Space,
    required: true,
};

/// The settings of a sampler, as they are written.
pub struct SamplerSettings {
    /// The key of the sampler.
    pub key: Key,
    /// The number of points.
    pub n: usize,
    /// The seed of the points.
    pub seed: u64,
    /// The distribution of each parameter, in the order of the axes.
    pub over: Vec<ParamDistribution>,
    counts: BTreeMap<&'static str, (u64, Node)>,
}

impl SamplerSettings {
    /// Reads the settings of a sampler, and adds its parameters to the axes.
    pub fn read<S: Sampler>(reader: &mut Reader<'_>, key: &Key, node: Node) -> Option<Self> {
        const EXAMPLE: &str = "{ n: 20, over: { STEP.PARAMETER: [1, 2, 4] } }";
        let Keys::Settings(known) = S::KEYS else { return None };
        let entries = reader.map(key, node, EXAMPLE)?;
        let given = |name: &str| entries.iter().any(|(key, _)| key.name == name);
        let lacking: Vec<&str> =
            known.iter().filter(|it| it.required && !given(it.name)).map(|it| it.name).collect();
        let mut fine = lacking.is_empty();
        if !fine {
            // A misspelt setting is reported below, which helps more than the report of a missing
            // one.
            let slips = entries.iter().any(|(key, _)| known.iter().all(|it| it.name != key.name));
            let message = format!("`{}` needs {}", key.name, listed(&lacking, "and"));
            if !slips {
                // The documentation of a sampler ends with an example.
                let example = S::DOC.rsplit('`').nth(1).unwrap_or(EXAMPLE);
                let help = format!("write `{}: {example}`", key.name);
                let remark = format!("without {}", listed(&lacking, "and"));
                reader.cx.push(error(message).at_key(key, remark).help(help));
            }
        }
        let (mut counts, mut over, mut parameter) = (BTreeMap::new(), Vec::new(), None);
        for (name, node) in entries {
            let Some(setting) = known.iter().find(|setting| setting.name == name.name) else {
                let known: Vec<&str> = known.iter().map(|setting| setting.name).collect();
                let message = format!("`{}` has no entry {}", key.name, quote(&name.name));
                reader.cx.push(
                    Diagnostic::error("spec::unknown_entry", message)
                        .at_key(&name, "unknown")
                        .maybe_help(suggest::help(&name.name, &known, "the entries are")),
                );
                fine = false;
                continue;
            };
            let least = match setting.takes {
                SettingType::Count(least) => least,
                _ => 1,
            };
            match setting.takes {
                SettingType::Points | SettingType::Count(_) => {
                    match reader.count(&name, &node, least.into()) {
                        Some(count) => drop(counts.insert(setting.name, (count, node))),
                        None => fine = false,
                    }
                }
                SettingType::Parameter => parameter = Some((name, node)),
                SettingType::Space => match space(reader, &name, node) {
                    Some(space) => over = space,
                    None => fine = false,
                },
            }
        }
        if let Some((name, node)) = parameter {
            fine &= varies(reader, &name, &node).is_some();
        }
        let n = counts.get(N.name).map_or(1, |(n, _)| *n);
        let Some(n) = usize::try_from(n).ok().filter(|n| *n <= MAX_VARIANTS) else {
            reader.too_many(key);
            return None;
        };
        let seed = counts.get(SEED.name).map_or(0, |(seed, _)| *seed);
        fine.then_some(Self { key: key.clone(), n, seed, over, counts })
    }

    /// A whole number, if it is given, and the node where it is written.
    pub fn count(&self, name: &str) -> Option<&(u64, Node)> {
        self.counts.get(name)
    }
}

/// Reads the distribution of each parameter of `over`.
fn space(reader: &mut Reader<'_>, key: &Key, node: Node) -> Option<Vec<ParamDistribution>> {
    let mut space = Vec::new();
    for (name, node) in reader.map(key, node, "{ STEP.PARAMETER: [1, 2, 4] }")? {
        let axis = reader.add_axis(&name);
        let distribution = distribution(reader, &name, &node);
        space.push(distribution.filter(|_| axis.is_some()));
    }
    space.into_iter().collect()
}

/// Reads the distribution of one parameter.
fn distribution(reader: &mut Reader<'_>, key: &Key, node: &Node) -> Option<ParamDistribution> {
    let node = reader.fill(node);
    match ParamDistribution::parse(&node) {
        Some(Ok(distribution)) => Some(distribution),
        None => {
            let values = reader.values(key, &node)?;
            let named: Vec<_> = values.iter().map(|value| reader.label(value)).collect();
            named.iter().all(Option::is_some).then_some(ParamDistribution::Among(values))
        }
        Some(Err(message)) => {
            let help =
                "write a list of values, `uniform(0, 1)`, `loguniform(0.1, 10)` or `int(4, 40)`";
            reader.cx.push(error(message).at(&node, "not a range").help(help));
            None
        }
    }
}

/// Adds the parameter that a setting names to the axes.
fn varies(reader: &mut Reader<'_>, key: &Key, node: &Node) -> Option<usize> {
    let Some(name) = node.text().map(str::to_owned) else {
        let message = format!("`{}` must be the name of a parameter", key.name);
        let remark = format!("this is {}", node.describe_or_empty());
        reader.cx.push(error(message).at_key(key, remark).help("write `STEP.PARAMETER`"));
        return None;
    };
    reader.add_axis(&Key { name, span: node.span.clone(), origin: node.origin.clone() })
}
