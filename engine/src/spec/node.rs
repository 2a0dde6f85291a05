//! The tree of a pipeline file: values that know where they are written.

use crate::{
    pipeline::{Place, Span},
    ui::diagnostic::quote,
};
use serde_json::Value as Json;
use std::rc::Rc;

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it stands in the file; for a value from elsewhere, what it stands in for.
    pub span: Span,
    /// Where it came from, if not from its place.
    pub origin: Option<Rc<Origin>>,
    /// A scalar's own text where its type was only guessed: from the command line or the
    /// environment, where `2024` may well be a folder.
    pub raw: Option<Rc<str>>,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number, within what 64 bits hold with or without a sign.
    Int(i128),
    /// Any other number.
    Real(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file; no name twice.
    Map(Vec<(Key, Node)>),
    /// Something whose fault is known already; it fits everywhere.
    Faulty,
}

/// The name of an entry of a map.
#[derive(Clone, Debug)]
pub struct Key {
    /// The name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// Where it came from, if not from its place.
    pub origin: Option<Rc<Origin>>,
}

/// Where a value came from, if not from its place in the file.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A variable: its name and where it is set.
    Variable(String, Span),
    /// A variable of the environment.
    Environment(String),
    /// The command line: the option as it was given.
    Set(String),
}

impl Node {
    /// A value at a place.
    pub fn new(value: Value, span: Span) -> Self {
        Self { value, span, origin: None, raw: None }
    }

    /// Nothing, at the same place and of the same origin.
    pub fn clone_bare(&self) -> Self {
        Self { value: Value::Null, span: self.span.clone(), origin: self.origin.clone(), raw: None }
    }

    /// Where it comes from, if it is read at `span`.
    pub fn place(&self, span: &Span) -> Place {
        let option = match self.origin.as_deref() {
            Some(Origin::Set(option)) => Some(option.clone()),
            _ => None,
        };
        Place { span: span.clone(), option }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, for a message: "the text `abc`", "a list".
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

    /// The same, where a list or map is told from one with nothing in it.
    pub fn describe_or_empty(&self) -> String {
        match &self.value {
            Value::List(items) if items.is_empty() => "an empty list".to_owned(),
            Value::Map(entries) if entries.is_empty() => "an empty map".to_owned(),
            _ => self.describe(),
        }
    }

    /// A scalar as it is put into a text or a name.
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

    /// Whether it or something in it is known to be at fault.
    pub fn is_faulty(&self) -> bool {
        match &self.value {
            Value::Faulty => true,
            Value::List(items) => items.iter().any(Node::is_faulty),
            Value::Map(entries) => entries.iter().any(|(_, node)| node.is_faulty()),
            _ => false,
        }
    }

    /// How much memory it takes, roughly.
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

    /// How many lists and maps are inside each other here.
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

/// A number as one would write it.
pub fn real(value: f64) -> String {
    match value {
        _ if value.is_nan() => ".nan".to_owned(),
        f64::INFINITY => ".inf".to_owned(),
        f64::NEG_INFINITY => "-.inf".to_owned(),
        _ if value != 0.0 && !(1e-5..1e15).contains(&value.abs()) => format!("{value:e}"),
        _ => value.to_string(),
    }
}
