//! Ports: what an op reads and makes, by name; some names come from parameters.

use cache::Kind;
use std::sync::Mutex;

/// A named input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The name in YAML.
    pub name: &'static str,
    /// The kinds that fit. An output that may be of several kinds takes one of them by its inputs;
    /// [`Op::check`](crate::Op::check) says which.
    pub kinds: &'static [Kind],
    /// Whether a step may leave it out.
    pub optional: bool,
    /// Whether it takes several artifacts, each under a label.
    pub variadic: bool,
    /// One line on what it holds.
    pub doc: &'static str,
}

impl Port {
    /// What ops read that take any features as vectors.
    pub const FEATURES: Self = Self::new(
        "features",
        &[Kind::Matrix, Kind::Spectrogram],
        "One row of numbers a clip; images are taken row after row.",
    );

    /// A port that every step has.
    pub const fn new(name: &'static str, kinds: &'static [Kind], doc: &'static str) -> Self {
        Self { name, kinds, optional: false, variadic: false, doc }
    }

    /// A port that a step may leave out.
    pub const fn optional(name: &'static str, kinds: &'static [Kind], doc: &'static str) -> Self {
        Self { optional: true, ..Self::new(name, kinds, doc) }
    }

    /// A port that takes two artifacts or more, such as all instances of a `for`.
    pub const fn variadic(name: &'static str, kinds: &'static [Kind], doc: &'static str) -> Self {
        Self { variadic: true, ..Self::new(name, kinds, doc) }
    }

    /// Whether what is connected under a name is meant for it: its own, or a label of its own.
    pub fn takes(&self, name: &str) -> bool {
        match name.split_once('@') {
            Some((port, _)) => self.variadic && port == self.name,
            None => !self.variadic && name == self.name,
        }
    }
}

/// The name of one of several artifacts at a port: `clusters@pca`. Names go into keys, and what an op
/// makes may show the label.
pub fn labelled(port: &str, label: &str) -> &'static str {
    named(&[(&format!("{port}@{label}"), &[])], "one of several")[0].name
}

/// Every list of ports that a pipeline of this process has named, each once.
static NAMED: Mutex<Vec<&'static [Port]>> = Mutex::new(Vec::new());

/// Ports of these names and kinds. They are kept for the life of the process, as those that an op
/// declares are; equal ones are kept once, so memory is bounded by what the pipelines say.
pub fn named(ports: &[(&str, &'static [Kind])], doc: &'static str) -> &'static [Port] {
    let mut known = NAMED.lock().expect("no thread panics while it holds the ports");
    let fits = |(port, asked): (&Port, &(&str, _))| (port.name, port.kinds) == *asked;
    let same = |kept: &&&'static [Port]| {
        kept.len() == ports.len()
            && kept.iter().zip(ports).all(fits)
            && kept.iter().all(|port| port.doc == doc)
    };
    if let Some(kept) = known.iter().find(same) {
        return kept;
    }
    let port = |&(name, kinds)| Port::new(String::leak(str::to_owned(name)), kinds, doc);
    let kept: &'static [Port] = Vec::leak(ports.iter().map(port).collect());
    known.push(kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ports_are_kept_once() {
        let ask = |name: &str| named(&[("x", &[Kind::Matrix]), (name, &[Kind::Labels])], "a table");
        let first = ask("y");
        assert!(std::ptr::eq(first, ask(&String::from("y"))));
        assert!(!std::ptr::eq(first, ask("z")));
        assert_eq!((first[1].name, first[1].kinds), ("y", &[Kind::Labels][..]));
    }
}
