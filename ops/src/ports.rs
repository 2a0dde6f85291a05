//! Ports whose names come from parameters.

use crate::Port;
use cache::Kind;
use std::sync::Mutex;

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
