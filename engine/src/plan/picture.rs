//! The steps and their connections, as a picture for Mermaid or Graphviz.

use crate::model::Pipeline;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

/// The picture: the steps, and the ports by which each pair is connected.
pub struct Picture {
    nodes: Vec<Node>,
    /// The edges from one node to another, with their ports; no ports where the reader has only
    /// one.
    edges: BTreeMap<(usize, usize), BTreeSet<&'static str>>,
}

struct Node {
    name: String,
    op: &'static str,
    instances: usize,
}

impl Picture {
    /// The picture of a pipeline. The instances of a step are one node unless `expand` is true.
    pub fn of(pipeline: &Pipeline, expand: bool) -> Self {
        let mut nodes: Vec<Node> = Vec::new();
        let mut places: HashMap<(&str, &str), usize> = HashMap::new();
        let mut place = Vec::new();
        for step in &pipeline.steps {
            let name = if expand { &step.name } else { base(&step.name) };
            let at = *places.entry((name, step.entry.name)).or_insert_with(|| {
                nodes.push(Node { name: name.to_owned(), op: step.entry.name, instances: 0 });
                nodes.len() - 1
            });
            nodes[at].instances += 1;
            place.push(at);
        }
        let mut edges: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (from, to) in pipeline.graph.edges() {
            let reader = &pipeline.steps[to];
            let ports = edges.entry((place[from], place[to])).or_default();
            if reader.op.inputs().len() > 1 {
                let inputs = reader.inputs.iter().filter(|input| input.step == from);
                ports.extend(inputs.filter_map(|input| input.port.split('@').next()));
            }
        }
        Self { nodes, edges }
    }

    /// A flowchart for Mermaid, which GitHub and GitLab show as a picture in Markdown.
    pub fn mermaid(&self) -> String {
        let mut out = "flowchart LR\n".to_owned();
        for (at, node) in self.nodes.iter().enumerate() {
            let (title, op) = (in_mermaid(&node.title()), in_mermaid(node.op));
            let _ = writeln!(out, "    n{at}[\"{title}<br/><small>{op}</small>\"]");
        }
        for ((from, to), ports) in &self.edges {
            let label = joined(ports);
            let label = if label.is_empty() { label } else { format!("|\"{label}\"|") };
            let _ = writeln!(out, "    n{from} -->{label} n{to}");
        }
        out
    }

    /// A digraph for Graphviz.
    pub fn dot(&self) -> String {
        let mut out = "digraph pipeline {\n    rankdir=LR;\n    node [shape=box];\n".to_owned();
        for (at, node) in self.nodes.iter().enumerate() {
            let (title, op) = (in_dot(&node.title()), in_dot(node.op));
            let _ = writeln!(out, "    n{at} [label=\"{title}\\n{op}\"];");
        }
        for ((from, to), ports) in &self.edges {
            let label = joined(ports);
            let label =
                if label.is_empty() { label } else { format!(" [label=\"{}\"]", in_dot(&label)) };
            let _ = writeln!(out, "    n{from} -> n{to}{label};");
        }
        out.push_str("}\n");
        out
    }
}

impl Node {
    fn title(&self) -> String {
        match self.instances {
            1 => self.name.clone(),
            several => format!("{} ×{several}", self.name),
        }
    }
}

/// The name of a step without its instance and variant.
fn base(name: &str) -> &str {
    name.split(['@', '{']).next().unwrap_or(name)
}

fn joined(ports: &BTreeSet<&str>) -> String {
    ports.iter().copied().collect::<Vec<_>>().join(", ")
}

/// Escapes text for Mermaid, which writes special characters as numbered entities with `#` for `&`.
fn in_mermaid(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || " _-.,@×=+()/".contains(letter);
    text.chars()
        .map(|letter| match plain(letter) {
            true => letter.to_string(),
            false if letter.is_control() => " ".to_owned(),
            false => format!("#{};", u32::from(letter)),
        })
        .collect()
}

fn in_dot(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            _ if letter.is_control() => out.push(' '),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{in_dot, in_mermaid};

    #[test]
    fn nothing_in_a_name_acts() {
        assert_eq!(in_mermaid("a\"]<b>&#x"), "a#34;#93;#60;b#62;#38;#35;x");
        assert_eq!(in_dot("a\"\\n\n"), "a\\\"\\\\n ");
    }
}
