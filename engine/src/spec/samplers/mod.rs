//! Samplers: the ways of choosing the points of a sweep, and the table of them.
//!
//! A sampler is a pure function of its settings and of the results so far. A search begins anew in
//! every run and stops at the first batch whose results are not known yet, so a killed search
//! continues where it was: the results of finished batches are in the store.

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
pub use settings::{Setting, SettingType};

/// All samplers, in the order of the documentation. A sampler is a file of this module and a line
/// here.
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
    /// The documentation for the schema: a sentence with an example.
    const DOC: &'static str;
    /// The keys that may be written under the name of the sampler.
    const KEYS: Keys;
    /// True if the sampler chooses points by the results of earlier points, and so needs an
    /// `objective`.
    const SEARCHES: bool = false;

    /// Reads the settings, and adds axes to the reader. If the settings are faulty, the reader gets
    /// the diagnostics and the result is none.
    fn read(reader: &mut Reader<'_>, key: &Key, node: Node) -> Option<Self>;

    /// Proposes points, given the results so far.
    fn propose(&self, reader: &mut Reader<'_>, history: &History<'_>) -> Option<Proposal>;
}

/// The keys that may be written under the name of a sampler.
#[derive(Clone, Copy)]
pub enum Keys {
    /// Parameters, each with its values.
    Parameters,
    /// A list of points.
    Points,
    /// The listed settings.
    Settings(&'static [Setting]),
}

/// The points that a sampler proposes.
pub struct Proposal {
    /// The points, each once, in the order in which they were chosen.
    pub points: Vec<Point>,
    /// True if the results of these points lead to further points.
    pub more: bool,
    /// The parameter that grows from one rung of a halving search to the next, if there is one.
    pub resource: Option<String>,
}

impl Proposal {
    /// A proposal of these points and no further ones.
    fn all(points: Vec<Point>) -> Self {
        Self { points, more: false, resource: None }
    }
}

/// The entry of a sampler in the table.
pub struct Entry {
    /// The name in YAML.
    pub name: &'static str,
    /// The documentation.
    pub doc: &'static str,
    /// The keys that may be written under the name.
    pub keys: Keys,
    /// True if the sampler needs an `objective`.
    pub searches: bool,
    /// Reads the settings.
    pub read: fn(&mut Reader<'_>, &Key, Node) -> Option<Box<dyn AnySampler>>,
}

/// A sampler with its settings, of any type.
pub trait AnySampler {
    /// Proposes points; see [`Sampler::propose`].
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
