//! The graph of the steps: nodes are steps, edges lead from a step to those that read it.

use super::Step;
use petgraph::{
    Direction::{Incoming, Outgoing},
    graph::{DiGraph, NodeIndex},
    visit::{Dfs, EdgeRef, IntoNeighbors, NodeCount, Reversed, Visitable},
};
use std::collections::BTreeSet;

/// The graph of the steps of a pipeline. A node has the index of its step. Steps come after all
/// that they read, so their order is a topological one.
#[derive(Default)]
pub struct StepGraph(DiGraph<(), ()>);

impl StepGraph {
    /// The graph of these steps.
    pub fn of(steps: &[Step]) -> Self {
        Self::with_sources(steps.iter().map(|step| step.inputs.iter().map(|input| input.step)))
    }

    /// The graph of as many steps as there are lists of sources, each of which reads its sources.
    fn with_sources(all: impl ExactSizeIterator<Item = impl Iterator<Item = usize>>) -> Self {
        let mut graph = DiGraph::with_capacity(all.len(), all.len());
        (0..all.len()).for_each(|_| _ = graph.add_node(()));
        for (index, sources) in all.enumerate() {
            // A step that reads two ports of another is connected once.
            for source in sources.collect::<BTreeSet<usize>>() {
                graph.add_edge(NodeIndex::new(source), NodeIndex::new(index), ());
            }
        }
        Self(graph)
    }

    /// The steps that read a step.
    pub fn readers(&self, step: usize) -> impl Iterator<Item = usize> {
        self.0.neighbors_directed(NodeIndex::new(step), Outgoing).map(NodeIndex::index)
    }

    /// The steps that a step reads.
    pub fn sources(&self, step: usize) -> impl Iterator<Item = usize> {
        self.0.neighbors_directed(NodeIndex::new(step), Incoming).map(NodeIndex::index)
    }

    /// All edges: a step, and a step that reads it.
    pub fn edges(&self) -> impl Iterator<Item = (usize, usize)> {
        let ends = self.0.edge_references();
        ends.map(|edge| (edge.source().index(), edge.target().index()))
    }

    /// Marks the wanted steps: the named steps and all that they need, or every step if none is
    /// named.
    pub fn wanted(&self, only: &BTreeSet<usize>) -> Vec<bool> {
        match only.is_empty() {
            true => vec![true; self.0.node_count()],
            false => reached(Reversed(&self.0), only),
        }
    }

    /// Marks the steps that come after one of the named steps.
    pub fn after(&self, until: &BTreeSet<usize>) -> Vec<bool> {
        let readers = until.iter().flat_map(|step| self.readers(*step)).collect();
        reached(&self.0, &readers)
    }

    /// The steps that are marked by the longest path from a step without inputs. Within a layer no
    /// step needs another.
    pub fn layers(&self, marked: &[bool]) -> Vec<Vec<usize>> {
        let mut depth = vec![0; self.0.node_count()];
        let mut layers: Vec<Vec<usize>> = Vec::new();
        for index in (0..depth.len()).filter(|index| marked[*index]) {
            let at = self.sources(index).map(|source| depth[source] + 1).max().unwrap_or(0);
            depth[index] = at;
            if layers.len() <= at {
                layers.resize_with(at + 1, Vec::new);
            }
            layers[at].push(index);
        }
        layers
    }

    /// For each marked step, the longest time from its start to the end of all that depends on it,
    /// from the time that each step takes.
    pub fn critical_paths(&self, marked: &[bool], time: impl Fn(usize) -> u64) -> Vec<u64> {
        let mut paths = vec![0_u64; self.0.node_count()];
        for index in (0..paths.len()).rev().filter(|index| marked[*index]) {
            let after = self.readers(index).map(|reader| paths[reader]).max();
            paths[index] = time(index) + after.unwrap_or(0);
        }
        paths
    }
}

/// Marks the steps that can be reached from the named ones, and these themselves.
fn reached<G>(graph: G, from: &BTreeSet<usize>) -> Vec<bool>
where
    G: IntoNeighbors<NodeId = NodeIndex> + Visitable<NodeId = NodeIndex> + NodeCount,
{
    let mut marked = vec![false; graph.node_count()];
    let start = from.iter().map(|step| NodeIndex::new(*step)).collect();
    let mut walk = Dfs::from_parts(start, graph.visit_map());
    while let Some(node) = walk.next(graph) {
        marked[node.index()] = true;
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::StepGraph;
    use std::collections::BTreeSet;

    /// Two chains that meet in step 4, which reads step 2 twice; step 5 stands alone.
    fn graph() -> StepGraph {
        let sources: [&[usize]; 6] = [&[], &[0], &[1], &[0], &[2, 3, 2], &[]];
        StepGraph::with_sources(sources.into_iter().map(|sources| sources.iter().copied()))
    }

    fn marked(steps: &[bool]) -> Vec<usize> {
        (0..steps.len()).filter(|step| steps[*step]).collect()
    }

    #[test]
    fn wanted_is_what_is_named_with_all_that_it_needs() {
        let wanted = |only: &[usize]| marked(&graph().wanted(&only.iter().copied().collect()));
        assert_eq!(wanted(&[]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(wanted(&[2]), [0, 1, 2]);
        assert_eq!(wanted(&[3, 5]), [0, 3, 5]);
    }

    #[test]
    fn after_a_step_comes_what_reads_it_and_not_the_step_itself() {
        let after = |until: &[usize]| marked(&graph().after(&until.iter().copied().collect()));
        assert_eq!(after(&[1]), [2, 4]);
        assert_eq!(after(&[0]), [1, 2, 3, 4]);
        assert_eq!(after(&[1, 2]), [2, 4], "one of the named steps reads another");
        assert_eq!(after(&[]), [0; 0]);
    }

    #[test]
    fn edges_are_counted_once_and_layers_follow_the_longest_path() {
        let graph = graph();
        let edges: BTreeSet<(usize, usize)> = graph.edges().collect();
        assert_eq!(graph.edges().count(), 5);
        assert_eq!(edges, [(0, 1), (0, 3), (1, 2), (2, 4), (3, 4)].into());
        assert_eq!(graph.layers(&[true; 6]), [vec![0, 5], vec![1, 3], vec![2], vec![4]]);
        let part = graph.wanted(&[2].into());
        assert_eq!(graph.layers(&part), [[0], [1], [2]]);
    }

    #[test]
    fn a_critical_path_is_the_longest_way_to_an_end() {
        let time = |step: usize| [1, 10, 10, 50, 3, 7][step];
        let graph = graph();
        assert_eq!(graph.critical_paths(&[true; 6], time), [54, 23, 13, 53, 3, 7]);
        let part = graph.wanted(&[2].into());
        assert_eq!(graph.critical_paths(&part, time), [21, 20, 10, 0, 0, 0]);
    }
}
