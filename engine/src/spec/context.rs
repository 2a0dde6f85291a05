//! What every stage of reading shares: the text, and the faults found so far.

use super::node::{Key, Node, Origin};
use crate::{
    pipeline::{Place, SourceText, Span},
    ui::diagnostic::Diagnostic,
};
use std::{rc::Rc, sync::Arc};

/// The text and the faults found so far.
pub struct Context {
    /// The pipeline file.
    pub source: Arc<SourceText>,
    /// What is wrong with it.
    pub faults: Vec<Diagnostic>,
    /// How much more memory trees may take: variables and `for` copy them.
    budget: usize,
    /// How many more faults are explained by what else there is.
    explanations: usize,
}

/// Diagnostics that are explained at length: to compare a name with all others takes long, and of more
/// faults than these nobody reads.
pub const MOST_EXPLAINED: usize = 64;

impl Context {
    /// No faults yet.
    pub fn new(source: Arc<SourceText>) -> Self {
        Self { source, faults: Vec::new(), budget: 32 << 20, explanations: MOST_EXPLAINED }
    }

    /// Notes a fault.
    pub fn push(&mut self, fault: Diagnostic) {
        self.faults.push(fault);
    }

    /// Accounts for a copy; false once there have been too many.
    pub fn afford(&mut self, weight: usize) -> bool {
        let enough = weight <= self.budget;
        self.budget = self.budget.saturating_sub(weight);
        enough
    }

    /// Whether one more fault is worth a look at all steps for what could help.
    pub fn explains(&mut self) -> bool {
        let more = self.explanations > 0;
        self.explanations = self.explanations.saturating_sub(1);
        more
    }

    /// The place of a part of a scalar, such as `${x}` in a text, or else the whole scalar.
    pub fn part(&self, span: &Span, part: &str) -> Span {
        let within = self.source.text.get(span.clone()).and_then(|text| text.find(part));
        within.map_or(span.clone(), |at| span.start + at..span.start + at + part.len())
    }
}

impl Diagnostic {
    /// Adds the place of a value, and where the value came from.
    #[must_use]
    pub fn at(self, node: &Node, remark: impl Into<String>) -> Self {
        self.placed(&node.span, node.origin.as_ref(), remark)
    }

    /// Adds the place of a key, and where it came from.
    #[must_use]
    pub fn at_key(self, key: &Key, remark: impl Into<String>) -> Self {
        self.placed(&key.span, key.origin.as_ref(), remark)
    }

    /// What an option says stands nowhere in the file: the message names the option and no place.
    fn placed(
        mut self,
        span: &Span,
        origin: Option<&Rc<Origin>>,
        remark: impl Into<String>,
    ) -> Self {
        let remark = remark.into();
        if !matches!(origin.map(Rc::as_ref), Some(Origin::Set(_))) {
            return self.label(span.clone(), remark).from(origin);
        }
        self = self.from(origin);
        if !remark.is_empty() {
            self.message.push_str(&format!(": {remark}"));
        }
        self
    }

    /// Adds the place of a parameter.
    #[must_use]
    pub fn at_place(self, place: &Place, remark: impl Into<String>) -> Self {
        let option = place.option.clone().map(|option| Rc::new(Origin::Set(option)));
        self.placed(&place.span, option.as_ref(), remark)
    }

    /// Adds where a value came from, without its place.
    #[must_use]
    pub fn at_origin(self, node: &Node) -> Self {
        self.from(node.origin.as_ref())
    }

    fn from(mut self, origin: Option<&Rc<Origin>>) -> Self {
        match origin.map(Rc::as_ref) {
            None => self,
            Some(Origin::Variable(name, span)) => {
                self.label(span.clone(), format!("`{name}` is set here"))
            }
            Some(Origin::Environment(name)) => {
                self.message.push_str(&format!(", from the environment variable `{name}`"));
                self
            }
            Some(Origin::Set(option)) => {
                self.message.push_str(&format!(", from `--set {option}`"));
                self
            }
        }
    }
}
