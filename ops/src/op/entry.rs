//! An op as a line of the table of ops, and its interface independent of its type.

use super::{Companion, Ctx, Determinism, Inputs, Op, OpError, Outputs, Port, Source};
use crate::device::GpuMemory;
use crate::measures::Measure;
use cache::Shape;
use serde_json::Value;
use std::{
    any::TypeId,
    collections::{BTreeMap, HashMap},
    sync::RwLock,
};

/// The description of an op, independent of its parameters.
pub struct Entry {
    /// The name in YAML.
    pub name: &'static str,
    /// The name in titles.
    pub title: &'static str,
    /// The version in the key.
    pub version: u32,
    /// The input ports.
    pub inputs: &'static [Port],
    /// The output ports.
    pub outputs: &'static [Port],
    /// True if the seed is part of the key.
    pub seeded: bool,
    /// The reproducibility of its bytes across devices.
    pub determinism: Determinism,
    /// Parameters that only limit the length of the work.
    pub progressive: &'static [&'static str],
    /// True if each row of its output follows from one row of its input.
    pub row_wise: bool,
    /// The reports for which it is added beside each of their rows.
    pub companion: Option<Companion>,
    /// True if its labels may name the recording of each clip.
    pub groups: bool,
    /// The metrics that its scores can have.
    pub metrics: &'static [Measure],
    /// The outputs with the rows to fit on and with those that are held out.
    pub split: Option<[&'static str; 2]>,
    /// True if the parameters define the ports, so that none are listed here.
    pub open: bool,
    schema: fn() -> &'static ParamSchema,
    parse: fn(Value) -> Result<Box<dyn AnyOp>, ParamError>,
}

/// An invalid parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamError {
    /// The path to the value: names of fields and numbers of list items; empty for the parameters
    /// as a whole.
    pub path: Vec<String>,
    /// A lower-case sentence without a full stop.
    pub message: String,
}

impl Entry {
    /// The JSON schema of the parameters; its description is the op's documentation.
    pub fn schema(&self) -> &'static Value {
        &(self.schema)().json
    }

    /// Parses parameters.
    ///
    /// # Errors
    /// The first invalid parameter.
    pub fn parse(&self, params: Value) -> Result<Box<dyn AnyOp>, ParamError> {
        (self.parse)(params)
    }

    /// The parameters that differ from their defaults.
    pub fn changed(&self, params: Value) -> BTreeMap<String, Value> {
        (self.schema)().changed(params)
    }
}

/// An op with its parameters, independent of its type. The methods are those of [`Op`].
#[expect(missing_docs, reason = "each method is the one of `Op`")]
pub trait AnyOp: Send + Sync {
    fn params(&self) -> Value;
    fn learns(&self) -> bool;
    fn inputs(&self) -> &'static [Port];
    fn outputs(&self) -> &'static [Port];
    fn outputs_with(&self, columns: &[String]) -> &'static [Port];
    fn class(&self) -> Option<&str>;
    fn sources(&self) -> Vec<Source>;
    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError>;
    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64>;
    fn warnings(&self, inputs: &[Option<Shape>]) -> Vec<OpError>;
    fn slow(&self, inputs: &[Option<Shape>]) -> Option<String>;
    fn gpu_memory(&self, inputs: &[Option<Shape>]) -> Option<GpuMemory>;
    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError>;
}

impl<O: Op> AnyOp for O {
    fn params(&self) -> Value {
        serde_json::to_value(self).expect("parameters always serialise")
    }
    fn learns(&self) -> bool {
        Op::learns(self)
    }
    fn inputs(&self) -> &'static [Port] {
        Op::inputs(self)
    }
    fn outputs(&self) -> &'static [Port] {
        Op::outputs(self)
    }
    fn outputs_with(&self, columns: &[String]) -> &'static [Port] {
        Op::outputs_with(self, columns)
    }
    fn class(&self) -> Option<&str> {
        Op::class(self)
    }
    fn sources(&self) -> Vec<Source> {
        Op::sources(self)
    }
    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        Op::check(self, inputs)
    }
    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        Op::memory(self, inputs)
    }
    fn warnings(&self, inputs: &[Option<Shape>]) -> Vec<OpError> {
        Op::warnings(self, inputs)
    }
    fn slow(&self, inputs: &[Option<Shape>]) -> Option<String> {
        Op::slow(self, inputs)
    }
    fn gpu_memory(&self, inputs: &[Option<Shape>]) -> Option<GpuMemory> {
        Op::gpu_memory(self, inputs)
    }
    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        Op::run(self, inputs, cx)
    }
}

/// The schema of an op's parameters.
pub(crate) struct ParamSchema {
    pub json: Value,
    defaults: BTreeMap<String, Value>,
}

impl ParamSchema {
    /// The schema of an op, computed once a process, since each key of a step needs it.
    pub fn of<O: Op>() -> &'static Self {
        static MADE: RwLock<Option<HashMap<TypeId, &'static ParamSchema>>> = RwLock::new(None);
        const NO_PANIC: &str = "no thread panics while it holds the schemas";
        let id = TypeId::of::<O>();
        if let Some(schema) = MADE.read().expect(NO_PANIC).as_ref().and_then(|made| made.get(&id)) {
            return schema;
        }
        let json = schemars::schema_for!(O).to_value();
        let described = json["properties"].as_object().into_iter().flatten();
        let default =
            |(name, it): (&String, &Value)| Some((name.clone(), it.get("default")?.clone()));
        let defaults = described.filter_map(default).collect();
        let mut made = MADE.write().expect(NO_PANIC);
        let made = made.get_or_insert_default().entry(id);
        made.or_insert_with(|| Box::leak(Box::new(Self { json, defaults })))
    }

    /// The parameters that differ from their defaults, so that a new parameter with a default changes neither keys nor
    /// metadata.
    pub fn changed(&self, params: Value) -> BTreeMap<String, Value> {
        let Value::Object(params) = params else { return BTreeMap::new() };
        let is_changed = |(name, value): &(String, Value)| self.defaults.get(name) != Some(value);
        params.into_iter().filter(is_changed).collect()
    }
}

/// The entry of an op.
pub const fn op<O: Op>() -> Entry {
    Entry {
        name: O::NAME,
        title: O::TITLE,
        version: O::VERSION,
        inputs: O::INPUTS,
        outputs: O::OUTPUTS,
        seeded: O::SEEDED,
        determinism: O::DETERMINISM,
        progressive: O::PROGRESSIVE,
        row_wise: O::ROW_WISE,
        companion: O::COMPANION,
        groups: O::GROUPS,
        metrics: O::METRICS,
        split: O::SPLIT,
        open: O::DYNAMIC_PORTS,
        schema: ParamSchema::of::<O>,
        parse: |params| {
            let parsed: Result<O, _> = serde_path_to_error::deserialize(params);
            let op = parsed.map_err(|error| ParamError {
                path: error
                    .path()
                    .iter()
                    .map(|part| part.to_string())
                    .filter(|part| part != "?")
                    .collect(),
                message: error.inner().to_string(),
            })?;
            Ok(Box::new(op))
        },
    }
}
