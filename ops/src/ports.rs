//! Ports: the named inputs and outputs of an op, some of which come from parameters.

use cache::Kind;
use std::sync::Mutex;

/// A named input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The name in YAML.
    pub name: &'static str,
    /// The accepted kinds. For an output with several kinds, [`Op::check`](crate::Op::check)
    /// determines the kind from the inputs.
    pub kinds: &'static [Kind],
    /// True if a step may leave it out.
    pub optional: bool,
    /// True if it takes several artifacts, each under a label.
    pub variadic: bool,
    /// A description in one line.
    pub doc: &'static str,
}

impl Port {
    /// The input port of ops that take any features as vectors.
    pub const FEATURES: Self = Self::new(
        "features",
        &[Kind::Matrix, Kind::Spectrogram],
        "One row of numbers a clip; images are taken row after row.",
    );

    /// The input port of ops that read recordings.
    pub const RECORDINGS: Self = Self::new("clips", &[Kind::Clips], "recordings");

    /// A required port.
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

    /// True if an input name belongs to this port: the name itself, or the name with a label.
    pub fn takes(&self, name: &str) -> bool {
        match name.split_once('@') {
            Some((port, _)) => self.variadic && port == self.name,
            None => !self.variadic && name == self.name,
        }
    }
}

/// The name of one of several artifacts at a port: `clusters@pca`. Names are part of keys, and the
/// output of an op may show the label.
pub fn labelled(port: &str, label: &str) -> &'static str {
    named(&[(&format!("{port}@{label}"), &[])], "one of several")[0].name
}

const NO_PANIC: &str = "no thread panics while it holds the ports";

/// The distinct lists of ports that pipelines in this process have named.
static NAMED: Mutex<Vec<&'static [Port]>> = Mutex::new(Vec::new());

/// Ports with these names and kinds. They are kept for the life of the process, like those that an
/// op declares. Equal ones are kept once, so memory is bounded by the pipelines.
pub fn named(ports: &[(&str, &'static [Kind])], doc: &'static str) -> &'static [Port] {
    let mut known = NAMED.lock().expect(NO_PANIC);
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

/// These ports, and further ones of the same kinds. As those of [`named`], they are kept for the
/// life of the process.
pub fn with_further<'n>(
    ports: &'static [Port],
    names: impl Iterator<Item = &'n str>,
    kinds: &'static [Kind],
    doc: &'static str,
) -> &'static [Port] {
    let further = names.map(|name| named(&[(name, kinds)], doc)[0]);
    let all: Vec<Port> = ports.iter().copied().chain(further).collect();
    let mut known = NAMED.lock().expect(NO_PANIC);
    if let Some(kept) = known.iter().find(|kept| ***kept == all[..]) {
        return kept;
    }
    let kept: &'static [Port] = Vec::leak(all);
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
