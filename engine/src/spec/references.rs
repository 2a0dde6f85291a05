//! Resolves the references of an `in` while steps are still names.

use super::node::{Node, Value};
use foldhash::HashMap;

/// The references in an `in`.
pub fn reads(node: &Node) -> Vec<String> {
    match &node.value {
        Value::Text(text) => vec![text.trim().to_owned()],
        Value::Map(entries) => entries.iter().flat_map(|(_, node)| reads(node)).collect(),
        _ => Vec::new(),
    }
}

/// The names and the protos of a reference, with or without a port: one, or for `step@*` all
/// instances, in the order of their names.
pub fn find(by_name: &HashMap<String, usize>, reference: &str) -> Vec<(String, usize)> {
    if let Some((step, _)) = reference.split_once("@*") {
        let is_one = |name: &str| name.split_once('@').is_some_and(|(base, _)| base == step);
        let all = by_name.iter().filter(|(name, _)| is_one(name));
        let mut all: Vec<_> = all.map(|(name, &proto)| (name.clone(), proto)).collect();
        all.sort();
        return all;
    }
    let without_port = reference.rsplit_once('.').map(|(name, _)| name);
    let mut names = [Some(reference), without_port].into_iter().flatten();
    let found = names.find_map(|name| by_name.get(name).map(|&proto| (name.to_owned(), proto)));
    found.into_iter().collect()
}
