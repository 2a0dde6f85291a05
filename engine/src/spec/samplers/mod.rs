//! Samplers: the ways of choosing the points of a sweep, and the table of them.
//!
//! A sampler is a pure function of its settings and of the results so far. A search begins anew in
//! every run and stops at the first batch whose results are not there yet, so a killed one goes on
//! where it was: what it has run is in the store.

mod distribution;
mod draws;
mod grid;
mod halving;
mod list;
mod random;
mod settings;
mod sobol;
mod tpe;

use super::{
    node::{Key, Node},
    points::{Point, Reader},
    search::History,
};
pub use distribution::ParamDistribution;
pub use settings::{Setting, Takes};

/// Every sampler, in the order of the documentation. A sampler is a file of this room and a line here.
pub static SAMPLERS: &[Entry] = &[
    sampler::<grid::Grid>(),
    sampler::<list::List>(),
    sampler::<random::Uniform>(),
    sampler::<sobol::Sobol>(),
    sampler::<tpe::Tpe>(),
    sampler::<halving::Halving>(),
];

/// A way of choosing the points of a sweep; its fields are its settings.
pub trait Sampler: Sized + 'static {
    /// The name in YAML; also the name of the file.
    const NAME: &'static str;
    /// What it does, for the schema: a sentence with an example.
    const DOC: &'static str;
    /// What may be written under its name.
    const KEYS: Keys;
    /// Whether it chooses points by the results of those before, so that it needs an `objective`.
    const SEARCHES: bool = false;

    /// Reads the settings, and adds what varies to the axes of the reader. What is wrong is among
    /// the faults of the reader where this gives nothing.
    fn read(reader: &mut Reader<'_>, key: &Key, node: Node) -> Option<Self>;

    /// The points that it has come to, given the results so far.
    fn propose(&self, reader: &mut Reader<'_>, history: &History<'_>) -> Option<Proposal>;
}

/// What may be written under the name of a sampler.
#[derive(Clone, Copy)]
pub enum Keys {
    /// Parameters, each with its values.
    Parameters,
    /// A list of points.
    Points,
    /// These settings.
    Settings(&'static [Setting]),
}

/// The points that a sampler has come to.
pub struct Proposal {
    /// The points, each once, in the order in which they were chosen.
    pub points: Vec<Point>,
    /// Whether the results of these points lead to others.
    pub more: bool,
}

impl Proposal {
    /// These points and no further ones.
    fn all(points: Vec<Point>) -> Self {
        Self { points, more: false }
    }
}

/// What is known of a sampler without its settings.
pub struct Entry {
    /// The name in YAML.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// What may be written under its name.
    pub keys: Keys,
    /// Whether it needs an `objective`.
    pub searches: bool,
    /// Reads the settings.
    pub read: fn(&mut Reader<'_>, &Key, Node) -> Option<Box<dyn AnySampler>>,
}

/// A sampler with its settings, of whatever type.
pub trait AnySampler {
    /// See [`Sampler::propose`].
    fn propose(&self, reader: &mut Reader<'_>, history: &History<'_>) -> Option<Proposal>;
}

impl<S: Sampler> AnySampler for S {
    fn propose(&self, reader: &mut Reader<'_>, history: &History<'_>) -> Option<Proposal> {
        Sampler::propose(self, reader, history)
    }
}

const fn sampler<S: Sampler>() -> Entry {
    Entry {
        name: S::NAME,
        doc: S::DOC,
        keys: S::KEYS,
        searches: S::SEARCHES,
        read: |reader, key, node| {
            S::read(reader, key, node).map(|sampler| Box::new(sampler) as Box<dyn AnySampler>)
        },
    }
}

/// The names of all samplers.
pub fn names() -> Vec<&'static str> {
    SAMPLERS.iter().map(|entry| entry.name).collect()
}
