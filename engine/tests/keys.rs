//! Tests of what enters a key and what does not.

use cache::{CacheKey, Digest, Shape};
use engine::{plan::keys::with_inputs, spec};
use ops::{Ctx, Determinism, Entry, Inputs, Op, OpError, Outputs, Port, table::op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// An op as it was once.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Before {
    size: u32,
}

/// The same op, which has learned an option since.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct After {
    size: u32,
    #[serde(default)]
    rounded: bool,
}

macro_rules! op {
    ($name:ty) => {
        impl Op for $name {
            const NAME: &'static str = "evolving";
            const VERSION: u32 = 1;
            const INPUTS: &'static [Port] = &[];
            const OUTPUTS: &'static [Port] =
                &[Port::new("out", &[cache::Kind::Matrix], "a matrix")];
            fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
                Ok(vec![Shape::of(cache::Kind::Matrix)])
            }
            fn run(&self, _inputs: &Inputs<'_>, _cx: &Ctx<'_>) -> Result<Outputs, OpError> {
                Err(OpError::failure("never run"))
            }
        }
    };
}
op!(Before);
op!(After);

static BEFORE: [Entry; 1] = [op::<Before>()];
static AFTER: [Entry; 1] = [op::<After>()];

/// The keys of all steps on a device, with inputs that stand for what they would read.
fn keys(text: &str, table: &'static [Entry], device: &str) -> Vec<(&'static Entry, CacheKey)> {
    let loaded = spec::load_with(Path::new("p.yaml"), text.to_owned(), &[], table, |_| None);
    let (pipeline, _) =
        loaded.unwrap_or_else(|diagnostics| panic!("{:?}", diagnostics.diagnostics));
    let key = |step: &engine::model::Step| {
        let inputs = step.inputs.iter().map(|it| (it.port.to_owned(), Digest::of(b"x"))).collect();
        (step.entry, with_inputs(step, inputs, device))
    };
    pipeline.steps.iter().map(key).collect()
}

#[test]
fn a_new_parameter_with_a_default_changes_no_key() {
    let old = "steps: { a: { op: evolving, size: 3 } }";
    let (before, after) = (keys(old, &BEFORE, "cpu"), keys(old, &AFTER, "cpu"));
    assert_eq!(before[0].1, after[0].1);
    assert_eq!(before[0].1.digest(), after[0].1.digest());
    let same = "steps: { a: { op: evolving, size: 3, rounded: false } }";
    assert_eq!(keys(same, &AFTER, "cpu")[0].1.digest(), before[0].1.digest());
    let other = "steps: { a: { op: evolving, size: 3, rounded: true } }";
    assert_ne!(keys(other, &AFTER, "cpu")[0].1.digest(), before[0].1.digest());
}

#[test]
fn only_ops_whose_bytes_depend_on_the_device_have_it_in_their_key() {
    let text = "steps:
  clips: { op: synth }
  mel: { op: log_mel, in: clips }
  norm: { op: normalize, in: mel }
  pca: { op: pca, in: norm, components: 4 }
  ae: { op: autoencoder, in: norm, latent: 4 }
  vae: { op: beta_vae, in: norm, latent: 4 }
  groups: { op: kmeans, for: { x: [pca, ae, vae] }, in: \"${x}\", clusters: 3 }
";
    let (here, there) = (keys(text, ops::OPS, "cpu"), keys(text, ops::OPS, "cuda"));
    let mut classes = BTreeMap::new();
    for ((entry, cpu), (_, cuda)) in here.iter().zip(&there) {
        let shared = cpu.digest() == cuda.digest();
        assert_eq!(shared, entry.determinism == Determinism::Bitwise, "{}", entry.name);
        assert_eq!(cpu.numerics.is_none(), shared, "{}", entry.name);
        *classes.entry(shared).or_insert(0) += 1;
    }
    assert!(classes[&true] >= 5 && classes[&false] == 2, "{classes:?}");
}

#[test]
fn a_step_s_name_is_in_no_key() {
    let text = "steps: { a: { op: evolving, size: 3 }, b: { op: evolving, size: 3 } }";
    let keys = keys(text, &BEFORE, "cpu");
    assert_eq!(keys[0].1.digest(), keys[1].1.digest());
}
