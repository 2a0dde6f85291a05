//! Expands the steps as they are written to the steps of all variants.
//!
//! A variant is a point of the sweep with a seed. There is one instance of a step for each
//! combination of the things that the step depends on: the axes that change its own fields, the
//! seed if it draws random numbers, and all that its inputs depend on. Variants therefore share
//! every instance that they can.

use super::{
    context::Context,
    expand,
    node::{Key, Node},
    references::{find, reads},
    sweep::{Axis, Steps, Sweep, Target},
    vars::Variables,
};
use crate::ui::diagnostic::Diagnostic;
use foldhash::{HashMap, HashMapExt as _};
use ops::Entry;
use std::{collections::BTreeSet, rc::Rc};

/// An instance of a step, whose fields are not read yet.
pub struct Instance {
    /// The full name: `groups@pca{beta=2,seed=1}`.
    pub name: String,
    /// The name within each variant: `groups@pca`.
    pub base: String,
    /// The name in the file.
    pub key: Key,
    /// The fields of the step, without `for`.
    pub fields: Rc<Vec<(Key, Node)>>,
    /// The axes that the instance depends on.
    pub axes: Axes,
    /// The study's seed of the instance.
    pub seed: u64,
    /// The instances that its inputs refer to, by their names within the variant.
    pub sources: Vec<(String, usize)>,
    /// True if the step waits for itself, in which case `sources` is not complete.
    pub circular: bool,
}

/// A set of axes of the sweep; the seed counts as one axis after the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Axes(u64);

impl Axes {
    fn add(&mut self, axis: usize) {
        self.0 |= 1 << axis;
    }

    /// The axes that are in either set.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True if the set contains an axis.
    pub fn has(self, axis: usize) -> bool {
        self.0 >> axis & 1 == 1
    }
}

/// A point of the sweep with a seed.
pub struct Variant {
    /// The number of the point.
    pub point: usize,
    /// The seed.
    pub seed: u64,
    steps: HashMap<String, usize>,
}

impl Variant {
    /// The instance that a name such as `groups@pca` refers to in this variant.
    pub fn step(&self, name: &str) -> Option<usize> {
        self.steps.get(name).copied()
    }

    /// The steps of the variant.
    pub fn all(&self) -> impl Iterator<Item = usize> {
        self.steps.values().copied()
    }

    /// The number of steps of the variant.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }
}

/// The instances of all steps, and the variants that they belong to.
pub fn expand_variants(
    cx: &mut Context,
    vars: &mut Variables,
    table: &'static [Entry],
    sweep: &Sweep,
    seeds: &[u64],
    steps: &Steps,
) -> (Vec<Instance>, Vec<Variant>) {
    let touched = steps.iter().map(|(key, fields)| touched(vars, sweep, key, fields)).collect();
    let mut expander = Expander {
        cx,
        vars,
        table,
        sweep,
        seeds,
        steps,
        touched,
        protos: Vec::new(),
        of_step: HashMap::new(),
        of_instance: HashMap::new(),
        instances: Vec::new(),
        known: HashMap::new(),
    };
    let mut variants = Vec::new();
    for point in 0..sweep.points.len() {
        for seed in 0..seeds.len() {
            let Some(variant) = expander.variant(point, seed) else {
                return (Vec::new(), Vec::new());
            };
            variants.push(variant);
        }
    }
    expander.vars.assign(std::iter::empty());
    expander.in_order_of_file(variants)
}

/// The axes that change the fields of a step.
fn touched(vars: &Variables, sweep: &Sweep, key: &Key, fields: &[(Key, Node)]) -> Axes {
    let mut axes = Axes::default();
    if sweep.axes.is_empty() {
        return axes;
    }
    let mut replaced = Vec::new();
    for (at, axis) in sweep.axes.iter().enumerate() {
        if let Target::Parameter { step, name } = &axis.target
            && step.split('@').next() == Some(&key.name)
        {
            axes.add(at);
            if *step == key.name {
                replaced.push(name);
            }
        }
    }
    let mut needed = BTreeSet::new();
    let fields = fields.iter().filter(|(key, _)| !replaced.contains(&&key.name));
    fields.for_each(|(_, node)| vars.needed_by(node, &mut needed));
    for (at, axis) in sweep.axes.iter().enumerate() {
        if matches!(&axis.target, Target::Variable(name) if needed.contains(name.as_str())) {
            axes.add(at);
        }
    }
    axes
}

/// The place of a step in the file, and among the instances of its `for`.
type Place = (usize, usize);

/// Axes, each with the number of its value.
type Choice = Vec<(usize, usize)>;

/// The prototype of instances: a step with its fields filled in, before its inputs are resolved.
struct Proto {
    place: Place,
    name: String,
    fields: Rc<Vec<(Key, Node)>>,
    axes: Axes,
    /// True if the step draws random numbers from the study's seed.
    seeded: bool,
    /// The references in the step's inputs.
    reads: Vec<String>,
}

struct Expander<'a> {
    cx: &'a mut Context,
    vars: &'a mut Variables,
    table: &'static [Entry],
    sweep: &'a Sweep,
    seeds: &'a [u64],
    steps: &'a Steps,
    touched: Vec<Axes>,
    protos: Vec<Proto>,
    /// The protos of a step, by its place and the values of the axes that touch it.
    of_step: HashMap<(usize, Vec<usize>), Vec<usize>>,
    /// The proto of an instance of a `for`, by its place and the values of its own axes: an axis
    /// that touches one instance does not change the others.
    of_instance: HashMap<(Place, Choice), usize>,
    /// The instances, each with the place of its proto in the file.
    instances: Vec<(Instance, Place)>,
    /// The instance for a proto, its inputs and its seed.
    known: HashMap<(usize, Vec<usize>, usize), usize>,
}

impl Expander<'_> {
    /// The steps of one variant; none if there are too many.
    fn variant(&mut self, point: usize, seed: usize) -> Option<Variant> {
        let values = &self.sweep.points[point];
        let mut protos: Vec<usize> = Vec::new();
        for step in 0..self.steps.len() {
            protos.extend(self.protos_of(step, values));
        }
        if !self.cx.reserve(24 * protos.len()) {
            return self.too_large(0);
        }
        let by_name: HashMap<String, usize> =
            protos.iter().map(|&proto| (self.protos[proto].name.clone(), proto)).collect();
        // Each step comes after those that it reads. The stack is explicit, since a chain may be
        // long.
        let mut done: Vec<Option<usize>> = vec![None; self.protos.len()];
        let mut open = vec![false; self.protos.len()];
        let mut stack = protos.clone();
        stack.reverse();
        while let Some(&proto) = stack.last() {
            let waiting: Vec<usize> = self.protos[proto]
                .reads
                .iter()
                .flat_map(|read| find(&by_name, read))
                .map(|(_, source)| source)
                .filter(|source| done[*source].is_none() && !open[*source])
                .collect();
            let is_new = !std::mem::replace(&mut open[proto], true);
            if is_new && !waiting.is_empty() {
                stack.extend(waiting);
                continue;
            }
            stack.pop();
            if done[proto].is_none() {
                done[proto] = Some(self.instance(proto, point, seed, &by_name, &done)?);
            }
        }
        let done = |proto: usize| done[proto].expect("the stack held every proto");
        let steps = by_name.into_iter().map(|(name, proto)| (name, done(proto))).collect();
        Some(Variant { point, seed: self.seeds[seed], steps })
    }

    /// The protos of a step at a point.
    fn protos_of(&mut self, step: usize, values: &[usize]) -> Vec<usize> {
        let touched = self.touched[step];
        let values: Vec<usize> =
            (0..values.len()).filter(|axis| touched.has(*axis)).map(|axis| values[axis]).collect();
        if let Some(protos) = self.of_step.get(&(step, values.clone())) {
            return protos.clone();
        }
        let axes = self.sweep.axes.iter().enumerate().filter(|(at, _)| touched.has(*at));
        let chosen: Vec<_> = axes.zip(&values).map(|(axis, value)| (axis, *value)).collect();
        self.vars.assign(chosen.iter().filter_map(|((_, axis), value)| match &axis.target {
            Target::Variable(name) => Some((name.as_str(), &axis.values[*value])),
            Target::Parameter { .. } => None,
        }));
        let (key, fields) = &self.steps[step];
        let mut fields = fields.clone();
        for ((_, axis), value) in &chosen {
            if matches!(&axis.target, Target::Parameter { step, .. } if *step == key.name) {
                set(self.cx, &mut fields, axis, *value);
            }
        }
        let mut protos = Vec::new();
        for (at, (name, mut fields)) in
            expand::expand(self.cx, self.vars, key, &fields).into_iter().enumerate()
        {
            let (mut axes, mut own) = (Axes::default(), Vec::new());
            for ((number, axis), value) in &chosen {
                match &axis.target {
                    Target::Parameter { step, .. } if *step == name && *step != key.name => {
                        set(self.cx, &mut fields, axis, *value);
                    }
                    Target::Parameter { step, .. } if *step != key.name => continue,
                    _ => {}
                }
                axes.add(*number);
                own.push((*number, *value));
            }
            if let Some(&known) = self.of_instance.get(&((step, at), own.clone())) {
                protos.push(known);
                continue;
            }
            let field = |name: &str| fields.iter().find(|(key, _)| key.name == name);
            let op = field("op").and_then(|(_, node)| node.text());
            let entry = self.table.iter().find(|entry| Some(entry.name) == op);
            let seeded = entry.is_some_and(|entry| entry.seeded) && field("seed").is_none();
            let reads = field("in").map(|(_, node)| reads(node)).unwrap_or_default();
            let fields = Rc::new(fields);
            self.protos.push(Proto { place: (step, at), name, fields, axes, seeded, reads });
            protos.push(self.protos.len() - 1);
            self.of_instance.insert(((step, at), own), self.protos.len() - 1);
        }
        self.of_step.insert((step, values), protos.clone());
        protos
    }

    /// The instance of a proto whose inputs are known; none if there are too many.
    fn instance(
        &mut self,
        proto: usize,
        point: usize,
        seed: usize,
        by_name: &HashMap<String, usize>,
        done: &[Option<usize>],
    ) -> Option<usize> {
        let seed_axis = self.sweep.axes.len();
        let Proto { name, fields, axes, seeded, reads, place } = &self.protos[proto];
        let (mut axes, mut sources, mut circular) = (*axes, Vec::new(), false);
        for read in reads {
            for (name, source) in find(by_name, read) {
                // A step that waits for itself is reported when the steps are ordered.
                let Some(source) = done[source] else {
                    circular = true;
                    continue;
                };
                axes = axes.union(self.instances[source].0.axes);
                sources.push((name, source));
            }
        }
        let own_seed = if *seeded { seed } else { 0 };
        if *seeded && self.seeds.len() > 1 {
            axes.add(seed_axis);
        }
        let inputs = sources.iter().map(|(_, source)| *source).collect();
        if let Some(&known) = self.known.get(&(proto, inputs, own_seed)) {
            return Some(known);
        }
        let inputs = sources.iter().map(|(_, source)| *source).collect();
        let step = place.0;
        if !self.cx.reserve(96 * (2 + fields.len())) {
            return self.too_large(step);
        }
        let (key, _) = &self.steps[step];
        let mut suffix = Vec::new();
        for (at, axis) in self.sweep.axes.iter().enumerate().filter(|(at, _)| axes.has(*at)) {
            let value = self.sweep.points[point][at];
            suffix.push(format!("{}={}", axis.short, axis.labels[value]));
        }
        if axes.has(seed_axis) {
            suffix.push(format!("seed={}", self.seeds[seed]));
        }
        let full = match &suffix[..] {
            [] => name.clone(),
            parts => format!("{name}{{{}}}", parts.join(",")),
        };
        let instance = Instance {
            name: full,
            base: name.clone(),
            key: key.clone(),
            fields: fields.clone(),
            axes,
            seed: self.seeds[own_seed],
            sources,
            circular,
        };
        self.instances.push((instance, *place));
        let at = self.instances.len() - 1;
        self.known.insert((proto, inputs, own_seed), at);
        Some(at)
    }

    fn too_large<T>(&mut self, step: usize) -> Option<T> {
        let help = "vary less at once, or give fewer seeds";
        let error = Diagnostic::error("spec::too_large", "the pipeline makes too many steps");
        let (key, _) = &self.steps[step];
        self.cx.push(error.at_key(key, "for this one there is no room left").help(help));
        None
    }

    /// Sorts the instances in the order of the file.
    fn in_order_of_file(self, mut variants: Vec<Variant>) -> (Vec<Instance>, Vec<Variant>) {
        let mut order: Vec<usize> = (0..self.instances.len()).collect();
        order.sort_by_key(|&at| (self.instances[at].1, at));
        let mut place = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, &old)| place[old] = new);
        let mut instances = self.instances;
        instances.iter_mut().for_each(|(instance, _)| {
            instance.sources.iter_mut().for_each(|(_, source)| *source = place[*source]);
        });
        variants.iter_mut().for_each(|variant| {
            variant.steps.values_mut().for_each(|step| *step = place[*step]);
        });
        let mut sorted: Vec<_> = instances.into_iter().zip(place).collect();
        sorted.sort_by_key(|(_, place)| *place);
        (sorted.into_iter().map(|((instance, _), _)| instance).collect(), variants)
    }
}

/// Sets a field of a step to a value of an axis.
fn set(cx: &Context, fields: &mut Vec<(Key, Node)>, axis: &Axis, value: usize) {
    let Target::Parameter { name, .. } = &axis.target else { return };
    let span = axis.parameter_span(cx);
    let key = Key { name: name.clone(), span, origin: axis.key.origin.clone() };
    let field = (key, axis.values[value].clone());
    match fields.iter_mut().find(|(key, _)| key.name == *name) {
        Some(old) => *old = field,
        None => fields.push(field),
    }
}
