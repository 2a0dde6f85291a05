//! The sampler `random`: points drawn at random.

use super::{
    Keys, Proposal, Sampler,
    draws::Draws,
    settings::{N, OVER, SEED, SamplerSettings},
};
use crate::spec::{
    node::{Key, Node},
    points::Reader,
    search::History,
};
use ops::{Purpose, Random};

/// Points drawn at random.
pub struct Uniform(SamplerSettings);

impl Sampler for Uniform {
    const NAME: &'static str = "random";
    const DOC: &'static str = "Points drawn at random: `{ n: 20, seed: 0, over: { vae.beta: \"loguniform(0.1, 10)\" } }`.";
    const KEYS: Keys = Keys::Settings(&[N, SEED, OVER]);

    fn read(reader: &mut Reader<'_>, key: &Key, node: Node) -> Option<Self> {
        SamplerSettings::read::<Self>(reader, key, node).map(Self)
    }

    fn propose(&self, reader: &mut Reader<'_>, _history: &History<'_>) -> Option<Proposal> {
        let mut draws = Draws::new(reader, &self.0);
        draws.fill(reader, draws.n, places(self.0.seed, self.0.over.len()))?;
        Some(Proposal::all(draws.finish(reader)))
    }
}

/// Positions in the unit cube without end, each coordinate drawn on its own.
pub fn places(seed: u64, dimensions: usize) -> impl Iterator<Item = Vec<f64>> {
    (0..u32::MAX / 2).map(move |index| {
        let mut random = Random::new(seed, Purpose::Sweep, index);
        (0..dimensions).map(|_| random.uniform()).collect()
    })
}
