//! The context that all stages of reading share: the text, and the diagnostics found so far.

use super::node::{Key, Node, Origin};
use crate::{
    model::{Place, SourceText, Span},
    ui::diagnostic::Diagnostic,
};
use std::{rc::Rc, sync::Arc};

/// The text of a pipeline, and the diagnostics found so far.
pub struct Context {
    /// The pipeline file.
    pub source: Arc<SourceText>,
    /// The diagnostics of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// The bytes of memory that trees may still take: variables and `for` copy them.
    budget: usize,
    /// The number of further diagnostics that get a long explanation.
    explanations: usize,
}

/// The most diagnostics that get a long explanation: it takes long to compare a name with all
/// others, and nobody reads more of them.
pub const MAX_EXPLAINED: usize = 64;

impl Context {
    /// A context without diagnostics.
    pub fn new(source: Arc<SourceText>) -> Self {
        Self { source, diagnostics: Vec::new(), budget: 32 << 20, explanations: MAX_EXPLAINED }
    }

    /// Adds a diagnostic.
    pub fn push(&mut self, error: Diagnostic) {
        self.diagnostics.push(error);
    }

    /// Accounts for a copy of `weight` bytes; false if there is no memory left for it.
    pub fn reserve(&mut self, weight: usize) -> bool {
        let enough = weight <= self.budget;
        self.budget = self.budget.saturating_sub(weight);
        enough
    }

    /// True if the next diagnostic may get a long explanation; counts it.
    pub fn explains(&mut self) -> bool {
        let more = self.explanations > 0;
        self.explanations = self.explanations.saturating_sub(1);
        more
    }

    /// The place of a part of a scalar, such as `${x}` in a text; the whole scalar if the part is
    /// not found.
    pub fn part(&self, span: &Span, part: &str) -> Span {
        let within = self.source.text.get(span.clone()).and_then(|text| text.find(part));
        within.map_or(span.clone(), |at| span.start + at..span.start + at + part.len())
    }
}

impl Diagnostic {
    /// Adds the place and the origin of a value.
    #[must_use]
    pub fn at(self, node: &Node, remark: impl Into<String>) -> Self {
        self.placed(&node.span, node.origin.as_ref(), remark)
    }

    /// Adds the place and the origin of a key.
    #[must_use]
    pub fn at_key(self, key: &Key, remark: impl Into<String>) -> Self {
        self.placed(&key.span, key.origin.as_ref(), remark)
    }

    /// Adds a place. A value from the command line is not in the file: the message then names the
    /// option and no place.
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

    /// Adds the origin of a value, without its place.
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
