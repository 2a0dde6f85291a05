//! The tree of a pipeline file: values with their places in the file.

use crate::{
    model::{Place, Span},
    ui::diagnostic::quote,
};
use serde_json::Value as Json;
use std::rc::Rc;

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// The place in the file; for a value from elsewhere, the place of what it replaces.
    pub span: Span,
    /// The origin of the value, if it does not come from its place.
    pub origin: Option<Rc<Origin>>,
    /// The original text of a scalar whose type was only guessed, because it comes from the command
    /// line or the environment, where `2024` may be the name of a folder.
    pub raw: Option<Rc<str>>,
}

/// The value of a node.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number within the range of 64 bits, signed or unsigned.
    Int(i128),
    /// Any other number.
    Real(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file; no name twice.
    Map(Vec<(Key, Node)>),
    /// A value whose fault is reported already; it fits everywhere.
    Faulty,
}

/// The name of an entry of a map.
#[derive(Clone, Debug)]
pub struct Key {
    /// The name.
    pub name: String,
    /// The place in the file.
    pub span: Span,
    /// The origin of the key, if it does not come from its place.
    pub origin: Option<Rc<Origin>>,
}

/// The origin of a value that does not come from its place in the file.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A variable: its name and the place where it is set.
    Variable(String, Span),
    /// A variable of the environment.
    Environment(String),
    /// The command line: the option as it was typed.
    Set(String),
}

impl Node {
    /// A value at a place.
    pub fn new(value: Value, span: Span) -> Self {
        Self { value, span, origin: None, raw: None }
    }

    /// An empty value with the same place and the same origin.
    pub fn clone_bare(&self) -> Self {
        Self { value: Value::Null, span: self.span.clone(), origin: self.origin.clone(), raw: None }
    }

    /// The place of the value, if it is read at `span`.
    pub fn place(&self, span: &Span) -> Place {
        let option = match self.origin.as_deref() {
            Some(Origin::Set(option)) => Some(option.clone()),
            _ => None,
        };
        Place { span: span.clone(), option }
    }

    /// The text, if the value is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Describes the value for a message: "the text `abc`", "a list".
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null | Value::Faulty => "nothing".to_owned(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Int(value) => format!("`{value}`"),
            Value::Real(value) if value.fract() == 0.0 => format!("`{value:?}`"),
            Value::Real(value) => format!("`{}`", real(*value)),
            Value::Text(text) if text.is_empty() => "an empty text".to_owned(),
            Value::Text(text) => format!("the text {}", quote(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }

    /// Describes the value, and tells an empty list or map from one with entries.
    pub fn describe_or_empty(&self) -> String {
        match &self.value {
            Value::List(items) if items.is_empty() => "an empty list".to_owned(),
            Value::Map(entries) if entries.is_empty() => "an empty map".to_owned(),
            _ => self.describe(),
        }
    }

    /// A scalar as it is inserted into a text or a name.
    pub fn plain(&self) -> Option<String> {
        if let Some(raw) = &self.raw {
            return Some(raw.to_string());
        }
        Some(match &self.value {
            Value::Null => String::new(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Real(value) => real(*value),
            Value::Text(text) => text.clone(),
            Value::List(_) | Value::Map(_) | Value::Faulty => return None,
        })
    }

    /// The value at a path of keys and indices; the last one on the way if there is none.
    pub fn at_path<'n>(&'n self, path: &[String]) -> &'n Self {
        let step = |node: &'n Self, part: &str| match &node.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == part).map(|it| &it.1),
            Value::List(items) => part.parse().ok().and_then(|at: usize| items.get(at)),
            _ => None,
        };
        path.iter().fold(self, |node, part| step(node, part).unwrap_or(node))
    }

    /// The value as JSON.
    pub fn json(&self) -> Json {
        match &self.value {
            Value::Null | Value::Faulty => Json::Null,
            Value::Bool(value) => Json::from(*value),
            Value::Int(value) => whole(*value),
            Value::Real(value) => Json::from(*value),
            Value::Text(text) => Json::from(text.as_str()),
            Value::List(items) => items.iter().map(Node::json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|(key, node)| (key.name.clone(), node.json())).collect()
            }
        }
    }

    /// True if the value or a part of it is faulty.
    pub fn is_faulty(&self) -> bool {
        match &self.value {
            Value::Faulty => true,
            Value::List(items) => items.iter().any(Node::is_faulty),
            Value::Map(entries) => entries.iter().any(|(_, node)| node.is_faulty()),
            _ => false,
        }
    }

    /// The bytes of memory that the tree takes, roughly.
    pub fn weight(&self) -> usize {
        const NODE: usize = 64;
        NODE + match &self.value {
            Value::Text(text) => text.len(),
            Value::List(items) => items.iter().map(Node::weight).sum(),
            Value::Map(entries) => {
                entries.iter().map(|(key, node)| NODE + key.name.len() + node.weight()).sum()
            }
            _ => 0,
        }
    }

    /// The number of nested lists and maps.
    pub fn depth(&self) -> usize {
        match &self.value {
            Value::List(items) => 1 + items.iter().map(Node::depth).max().unwrap_or(0),
            Value::Map(entries) => {
                1 + entries.iter().map(|(_, node)| node.depth()).max().unwrap_or(0)
            }
            _ => 0,
        }
    }
}

/// A whole number as JSON.
pub fn whole(value: i128) -> Json {
    match (u64::try_from(value), i64::try_from(value)) {
        (Ok(value), _) => Json::from(value),
        (_, Ok(value)) => Json::from(value),
        _ => Json::from(value as f64),
    }
}

/// Formats a number as a person would write it.
pub fn real(value: f64) -> String {
    match value {
        _ if value.is_nan() => ".nan".to_owned(),
        f64::INFINITY => ".inf".to_owned(),
        f64::NEG_INFINITY => "-.inf".to_owned(),
        _ if value != 0.0 && !(1e-5..1e15).contains(&value.abs()) => format!("{value:e}"),
        _ => value.to_string(),
    }
}
