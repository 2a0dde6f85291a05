//! A study: a pipeline with all that its run needs, and the batches of a search until it has no
//! further points.

use super::{
    Outcome, RunInfo, execute_where,
    search::{Batches, results},
};
use crate::{
    model::{Files, Options, Pipeline},
    plan::{self, Plan},
    spec::Results,
    ui::{diagnostic::Diagnostic, events},
};
use cache::{Store, record::RunStatus};
use ops::Cancel;
use tracing::info_span;

/// A pipeline that is ready to run.
pub struct Study {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The diagnostics of the pipeline that are only warnings.
    pub warnings: Vec<Diagnostic>,
    /// The store.
    pub store: Store,
    /// The source files of every step.
    pub files: Files,
    /// The options of the run.
    pub options: Options,
}

impl Study {
    /// The plan of the study.
    pub fn plan(&self) -> Plan<'_> {
        plan::build(&self.pipeline, &self.files, &self.store, &self.options)
    }

    /// Runs the study, and then what `further` makes of it as long as its search has further
    /// points. Returns the last study with the outcome of all batches.
    ///
    /// # Errors
    /// The errors of `further`.
    pub fn run<E>(
        mut self,
        run: &RunInfo,
        cancel: &dyn Cancel,
        further: impl Fn(Self, &Results, &Batches) -> Result<Self, E>,
    ) -> Result<(Self, Outcome), E> {
        let mut batches = Batches::default();
        let mut outcome = self.run_batch(run, cancel, &Results::default());
        while self.has_more_after(&outcome) {
            let points = self.pipeline.variants.count;
            batches.note(&outcome.record);
            let results = results(&self.pipeline, &outcome.record, &self.store);
            self = further(self, &results, &batches)?;
            if self.pipeline.variants.count == points {
                break;
            }
            outcome = self.run_batch(run, cancel, &results);
        }
        batches.restore(&mut outcome.record);
        let of_pipeline = self.warnings.iter().map(|warning| warning.message.clone());
        outcome.record.warnings.splice(0..0, of_pipeline);
        Ok((self, outcome))
    }

    fn run_batch(&self, run: &RunInfo, cancel: &dyn Cancel, results: &Results) -> Outcome {
        let steps = self.pipeline.steps.len();
        let _execute = info_span!("execute", steps).entered();
        let _shown = events::Steps::begin(steps);
        let plan = self.plan();
        let outcome = execute_where(&plan, run, cancel, results);
        // The memory of thousands of steps is not freed one by one, which takes time.
        std::mem::forget(plan);
        outcome
    }

    /// True if the search has further points, now that these are done.
    fn has_more_after(&self, outcome: &Outcome) -> bool {
        let failed = !outcome.errors.is_empty() && !self.options.keep_going;
        let stopped = failed || outcome.stopped_by.is_some() || outcome.note.is_some();
        let more = self.pipeline.variants.search.as_ref().is_some_and(|search| search.more);
        more && !stopped && outcome.record.status != RunStatus::Interrupted
    }
}
