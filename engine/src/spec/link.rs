//! Connects steps: resolves names to indices in the list of steps, and sorts the list.

use super::{
    context::{Context, MAX_EXPLAINED},
    missing_inputs::{few_inputs, missing_inputs},
    node::Node,
    steps::{Draft, StepInput},
};
use crate::ui::{
    diagnostic::{Diagnostic, listed, quote},
    suggest,
};
use cache::Kind;
use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use ops::{Entry, Port, ports};
use petgraph::{algo::kosaraju_scc, graph::DiGraph};
use std::{
    cell::Cell,
    collections::{BTreeSet, VecDeque, hash_map},
};

/// A connection between two steps.
pub struct Link {
    /// The input port; none if it is faulty.
    pub input: Option<&'static Port>,
    /// The step that is read.
    pub step: usize,
    /// The output port of that step; none if it is faulty.
    pub output: Option<&'static Port>,
    /// The label of the connection, if the input port takes several.
    pub label: Option<String>,
    /// The node in the file where the connection is written.
    pub node: Node,
}

/// The error of an unknown reference: a message and, if possible, advice.
type Unknown = (String, Option<String>);

/// The steps by name.
pub struct Names<'d> {
    drafts: &'d [Draft],
    by_name: HashMap<&'d str, usize>,
    /// The first of the variants of each step.
    by_base: HashMap<&'d str, usize>,
    /// The number of further unknown names that are compared with all others.
    explanations: Cell<usize>,
}

impl<'d> Names<'d> {
    /// Indexes the names of all steps.
    pub fn new(drafts: &'d [Draft]) -> Self {
        let by_name =
            drafts.iter().enumerate().map(|(at, draft)| (draft.name.as_str(), at)).collect();
        let mut by_base = HashMap::new();
        for (at, draft) in drafts.iter().enumerate() {
            by_base.entry(draft.base.as_str()).or_insert(at);
        }
        Self { drafts, by_name, by_base, explanations: Cell::new(MAX_EXPLAINED) }
    }

    /// Resolves a reference to a step and, if one is named, its output port; of several variants of
    /// a step the first is meant.
    ///
    /// # Errors
    /// Returns a message and advice.
    pub fn find<'t>(&self, reference: &'t str) -> Result<(usize, Option<&'t str>), Unknown> {
        let step = |name: &str| self.by_name.get(name).or_else(|| self.by_base.get(name)).copied();
        self.find_by(reference, step)
    }

    /// Resolves a reference as a step means it: of several variants the step's own.
    fn find_for<'t>(
        &self,
        reader: &Draft,
        reference: &'t str,
    ) -> Result<(usize, Option<&'t str>), Unknown> {
        let own = |name: &str| reader.sources.iter().find(|(source, _)| source == name);
        let named = |name: &str| match reader.circular {
            // Any variant is good enough to show the cycle.
            true => self.by_name.get(name).or_else(|| self.by_base.get(name)).copied(),
            false => self.by_name.get(name).copied(),
        };
        self.find_by(reference, |name| own(name).map(|(_, at)| *at).or_else(|| named(name)))
    }

    fn find_by<'t>(
        &self,
        reference: &'t str,
        step: impl Fn(&str) -> Option<usize>,
    ) -> Result<(usize, Option<&'t str>), Unknown> {
        if let Some(at) = step(reference) {
            return Ok((at, None));
        }
        let (name, port) = match reference.rsplit_once('.') {
            Some((name, port)) => (name, Some(port)),
            None => (reference, None),
        };
        if let Some(at) = step(name).filter(|_| port.is_some()) {
            return Ok((at, port));
        }
        // `vae@0.5` is an unknown instance rather than a port `5` of `vae@0`.
        let name = if name.contains('@') && port.is_some_and(is_digits) { reference } else { name };
        Err(self.unknown(name))
    }

    /// The names of the instances of a `for` step, each once for all variants.
    pub fn instance_names(&self, step: &str) -> Vec<&'d str> {
        self.bases(|draft| draft.key.name == step && draft.base != step)
    }

    /// The instances that `step@*` means for a reader: those of its own variant.
    fn gathered<'t>(&'t self, reader: &'t Draft, step: &str) -> Vec<&'t str> {
        let own = reader.sources.iter().map(|(name, _)| name.as_str());
        match reader.circular {
            true => self.instance_names(step),
            false => {
                own.filter(|name| name.split_once('@').is_some_and(|it| it.0 == step)).collect()
            }
        }
    }

    /// The names of steps without variants, each once.
    fn bases(&self, of: impl Fn(&&Draft) -> bool) -> Vec<&'d str> {
        let mut seen = HashSet::new();
        let bases = self.drafts.iter().filter(of).map(|draft| draft.base.as_str());
        bases.filter(|base| seen.insert(*base)).collect()
    }

    /// The step at an index.
    pub fn step(&self, at: usize) -> &'d Draft {
        &self.drafts[at]
    }

    /// The names of steps with an output of scores.
    pub fn with_scores(&self) -> Vec<&'d str> {
        self.bases(|draft| draft.outputs.iter().any(|port| port.kinds.contains(&Kind::Scores)))
    }

    fn unknown(&self, name: &str) -> Unknown {
        let Some(left) = self.explanations.get().checked_sub(1) else {
            return (format!("there is no step {}", quote(name)), None);
        };
        self.explanations.set(left);
        let (base, instance) = name.split_once('@').unwrap_or((name, ""));
        let instances = self.instance_names(base);
        if !instances.is_empty() {
            let message = match instance {
                "" => format!("{} is made once for each value of its `for`", quote(base)),
                "*" => format!("{} means several steps, and this takes one", quote(name)),
                _ => format!("{} has no instance {}", quote(base), quote(instance)),
            };
            let near = suggest::closest(name, instances.iter().copied());
            let help = match near.filter(|_| !["", "*"].contains(&instance)) {
                Some(near) => format!("did you mean {}?", quote(near)),
                None => format!("write {}", listed(&instances[..instances.len().min(8)], "or")),
            };
            return (message, Some(help));
        }
        if name != base && self.by_base.contains_key(base) {
            let message = format!("step {} has no `for`, so it has no instances", quote(base));
            return (message, Some(format!("write {}", quote(base))));
        }
        let known = self.bases(|_| true);
        let same_op = self.bases(|draft| draft.entry.is_some_and(|entry| entry.name == name));
        let help = match &same_op[..] {
            [] => suggest::help(name, &known, "the steps are"),
            names => Some(format!(
                "{} is an op; the step that uses it is called {}",
                quote(name),
                listed(names, "or")
            )),
        };
        (format!("there is no step {}", quote(name)), help)
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The connections of every step.
pub fn link(cx: &mut Context, drafts: &[Draft]) -> Vec<Vec<Link>> {
    let names = Names::new(drafts);
    let mut links = Vec::new();
    for draft in drafts {
        let mut found = Vec::new();
        for read in &draft.reads {
            found.extend(join(cx, &names, draft, read));
        }
        few_inputs(cx, drafts, draft, &found);
        links.push(found);
        missing_inputs(cx, drafts, draft);
    }
    links
}

/// The connections of an input: one, or one for each instance of `step@*`.
fn join(cx: &mut Context, names: &Names<'_>, draft: &Draft, read: &StepInput) -> Vec<Link> {
    let many = read.port.is_some_and(|port| port.variadic);
    let label = read.label.as_ref().map(|key| key.name.clone());
    let reference = read.reference.trim();
    let all = reference.split_once("@*").filter(|_| many && label.is_none());
    let instances = all.map(|(base, _)| names.gathered(draft, base)).unwrap_or_default();
    let (Some((_, port)), [_, ..]) = (all, &instances[..]) else {
        return join_one(cx, names, draft, read, reference, label).into_iter().collect();
    };
    let mut links = Vec::new();
    for instance in instances {
        let label = instance.split_once('@').map(|(_, label)| label.to_owned());
        let reference = format!("{instance}{port}");
        links.extend(join_one(cx, names, draft, read, &reference, label));
        // All of these connections have the same fault, which is reported once.
        if links.last().is_none_or(|link| link.output.is_none()) {
            break;
        }
    }
    links
}

fn join_one(
    cx: &mut Context,
    names: &Names<'_>,
    draft: &Draft,
    read: &StepInput,
    reference: &str,
    label: Option<String>,
) -> Option<Link> {
    let (step, port) = match names.find_for(draft, reference) {
        Ok(found) => found,
        Err((message, mut help)) => {
            let reader = format!("step {} reads it here", quote(&draft.base));
            let several = read.port.is_some_and(|port| port.variadic) && read.label.is_none();
            if several && !names.instance_names(reference).is_empty() {
                help = Some(format!("write `{reference}@*` for all of them"));
            }
            cx.push(
                Diagnostic::error("spec::unknown_step", message)
                    .at(&read.node, reader)
                    .maybe_help(help),
            );
            return None;
        }
    };
    let other = &names.drafts[step];
    let output = other.entry.and_then(|entry| output(cx, other, entry, port, &read.node));
    Some(Link { input: read.port, step, output, label, node: read.node.clone() })
}

/// The output port of this name; the first one if no name is given.
pub fn output(
    cx: &mut Context,
    step: &Draft,
    entry: &'static Entry,
    port: Option<&str>,
    node: &Node,
) -> Option<&'static Port> {
    let Some(name) = port else { return step.outputs.first() };
    let found = step.outputs.iter().find(|port| port.name == name);
    if found.is_none() && step.has_hidden_outputs {
        // The run tells what is wrong with the list of files.
        return ports::named(&[(name, &[Kind::Labels])], "a column of the list of files").first();
    }
    if found.is_none() && step.has_ports() {
        let known: Vec<&str> = step.outputs.iter().map(|port| port.name).collect();
        let (base, op) = (quote(&step.base), entry.name);
        let message = format!("step {base} (`{op}`) has no output port {}", quote(name));
        let help = suggest::closest(name, known.iter().copied())
            .map(|near| format!("did you mean `{}.{near}`?", step.base))
            .or_else(|| suggest::help(name, &known, "its output ports are"));
        cx.push(
            Diagnostic::error("spec::unknown_port", message).at(node, "unknown").maybe_help(help),
        );
    }
    found
}

/// References that could give one of these kinds to a step, as far as is known before a run.
pub fn fitting(drafts: &[Draft], reader: &Draft, wanted: &[Kind]) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let others = drafts.iter().take_while(|draft| draft.base != reader.base);
    for draft in others.filter(|draft| seen.insert(&draft.base)) {
        for (at, port) in draft.outputs.iter().enumerate() {
            if port.kinds.iter().any(|kind| wanted.contains(kind)) {
                found.push(match at {
                    0 => draft.base.clone(),
                    _ => format!("{}.{}", draft.base, port.name),
                });
                break;
            }
        }
    }
    found
}

/// Joins kinds in words: "matrix or spectrogram".
pub fn kinds(kinds: &[Kind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    names.join(" or ")
}

/// Sorts steps so that each comes after all it reads, otherwise as in the file. Steps that need
/// themselves are reported and left out, with all steps that read them.
pub fn order(cx: &mut Context, drafts: &[Draft], links: &[Vec<Link>]) -> Vec<usize> {
    let mut graph = DiGraph::<usize, ()>::with_capacity(drafts.len(), drafts.len());
    let nodes: Vec<_> = (0..drafts.len()).map(|at| graph.add_node(at)).collect();
    for (reader, links) in links.iter().enumerate() {
        for link in links {
            graph.update_edge(nodes[link.step], nodes[reader], ());
        }
    }
    // This algorithm has no recursion, since a chain may be long.
    let mut circles: Vec<Vec<usize>> = kosaraju_scc(&graph)
        .into_iter()
        .map(|part| part.into_iter().map(|node| graph[node]).collect())
        .filter(|part: &Vec<usize>| {
            part.len() > 1 || graph.contains_edge(nodes[part[0]], nodes[part[0]])
        })
        .collect();
    circles.iter_mut().for_each(|circle| circle.sort_unstable());
    circles.sort();
    for circle in &circles {
        report_circle(cx, drafts, links, circle);
    }

    let mut waiting: Vec<usize> = nodes
        .iter()
        .map(|&node| graph.neighbors_directed(node, petgraph::Incoming).count())
        .collect();
    let mut ready: BTreeSet<usize> = (0..drafts.len()).filter(|&at| waiting[at] == 0).collect();
    let mut order = Vec::with_capacity(drafts.len());
    while let Some(at) = ready.pop_first() {
        order.push(at);
        for reader in graph.neighbors(nodes[at]) {
            let reader = graph[reader];
            waiting[reader] -= 1;
            if waiting[reader] == 0 {
                ready.insert(reader);
            }
        }
    }
    order
}

/// The most steps of a cycle that are named.
const MAX_IN_CIRCLE: usize = 20;

/// Reports the shortest cycle through the first of a group of steps that depend on each other.
fn report_circle(cx: &mut Context, drafts: &[Draft], links: &[Vec<Link>], knot: &[usize]) {
    let start = knot[0];
    // The steps reached so far, each with the connection by which it reads the next one.
    let mut via: HashMap<usize, (usize, &Link)> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    let mut path: Vec<(usize, &Link)> = Vec::new();
    'search: while let Some(reader) = queue.pop_front() {
        for link in links[reader].iter().filter(|link| knot.binary_search(&link.step).is_ok()) {
            if link.step == start {
                path.push((reader, link));
                let mut at = reader;
                while let Some(&(before, link)) = via.get(&at) {
                    path.push((before, link));
                    at = before;
                }
                break 'search;
            }
            if let hash_map::Entry::Vacant(place) = via.entry(link.step) {
                place.insert((reader, link));
                queue.push_back(link.step);
            }
        }
    }
    path.reverse();
    let name = |at: usize| drafts[at].base.as_str();
    let mut error = if let [(only, link)] = path[..] {
        Diagnostic::error("spec::cycle", format!("step {} reads itself", quote(name(only))))
            .at(&link.node, "a step reads only steps before it")
    } else {
        // The names are in the direction of the data, from the step that is read to its reader.
        let mut names: Vec<&str> = path.iter().rev().map(|(reader, _)| name(*reader)).collect();
        names.rotate_right(1);
        names.push(names[0]);
        if names.len() > MAX_IN_CIRCLE {
            names.splice(MAX_IN_CIRCLE / 2..names.len() - MAX_IN_CIRCLE / 2, ["…"]);
        }
        let mut error = Diagnostic::error(
            "spec::cycle",
            format!("these steps wait for each other: {}", names.join(" -> ")),
        );
        for (reader, link) in path.iter().take(MAX_IN_CIRCLE) {
            let remark = format!("{} reads {}", quote(name(*reader)), quote(name(link.step)));
            error = error.at(&link.node, remark);
        }
        error
    };
    error = error.help("let one of them read another step");
    cx.push(error);
}
