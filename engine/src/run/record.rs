//! The record of a run, from its plan and from what became of its steps.

use super::{Outcome, RunInfo, outcome::ScheduleResult, state::StepState};
use crate::{model::Pipeline, plan::Plan};
use cache::{
    Record,
    record::{Environment, Method, RECORD_VERSION, Row, RunStatus, StepRecord, StepStatus, Sweep},
};
use std::fs;

/// The record of a run of this plan in which no step has been reached.
pub fn outline(plan: &Plan<'_>, run: &RunInfo) -> Record {
    let pipeline = plan.pipeline;
    let state = StepState::skipped("it has not run yet".to_owned());
    let steps = pipeline.steps.iter().map(|step| state.record(pipeline, step)).collect();
    ScheduleResult { steps, errors: Vec::new(), interrupted: false }.into_outcome(plan, run).record
}

impl ScheduleResult {
    /// The outcome of the run of this plan.
    pub fn into_outcome(self, plan: &Plan<'_>, run: &RunInfo) -> Outcome {
        let pipeline = plan.pipeline;
        let of_step = |step: &StepRecord| {
            let name = step.name.clone();
            let warning = move |warning: &String| format!("step `{name}`: {warning}");
            step.warnings.iter().map(warning).collect::<Vec<_>>()
        };
        let table = pipeline.report.table.iter().map(|row| Row {
            title: row.title.clone(),
            scores: pipeline.steps[row.scores].name.clone(),
            reference: row.reference.map(|step| pipeline.steps[step].name.clone()),
            paper: row.paper.clone(),
            published: row.published.clone(),
            others: row
                .others
                .iter()
                .map(|(column, step)| (column.clone(), pipeline.steps[*step].name.clone()))
                .collect(),
            companion: row.companion.map(|step| pipeline.steps[step].name.clone()),
            point: row.point.clone(),
            seed: row.seed,
        });
        // A path need not be text.
        let arguments = std::env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned());
        let record = Record {
            version: RECORD_VERSION,
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            pipeline: pipeline.name.clone(),
            id: run.id.clone(),
            name: None,
            note: None,
            tags: Vec::new(),
            started: run.started.clone(),
            seconds: run.clock.elapsed().as_secs_f64(),
            status: self.status(plan.options.keep_going),
            command: std::iter::once("engine".to_owned()).chain(arguments).collect(),
            question: pipeline.report.question.clone(),
            table: table.collect(),
            columns: pipeline.report.columns.clone(),
            sweep: (pipeline.variants.count > 1).then(|| Sweep {
                axes: pipeline.variants.axes.clone(),
                seeds: pipeline.seeds.clone(),
                variants: pipeline.variants.count,
                steps: pipeline.variants.steps,
                shown: pipeline.variants.shown.clone(),
                wilcoxon: pipeline.report.wilcoxon,
                objective: pipeline.variants.search.as_ref().map(|it| it.objective.clone()),
                resource: pipeline.variants.search.as_ref().and_then(|it| it.resource.clone()),
            }),
            only_recordings: pipeline.report.only_recordings,
            figures: pipeline.report.figures.iter().map(|figure| figure.record(pipeline)).collect(),
            audio: !pipeline.report.mute,
            only: !plan.wanted.iter().all(|wanted| *wanted),
            warnings: self.steps.iter().flat_map(of_step).collect(),
            steps: self.steps,
            methods: methods(pipeline),
            environment: Environment {
                platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
                processor: processor(),
                threads: rayon::current_num_threads(),
            },
        };
        Outcome { record, errors: self.errors, stopped_by: None, note: None }
    }

    fn status(&self, keep_going: bool) -> RunStatus {
        let has_failed = |step: &StepRecord| step.status == StepStatus::Failed;
        match () {
            () if self.interrupted => RunStatus::Interrupted,
            () if self.errors.is_empty() && !self.steps.iter().any(has_failed) => RunStatus::Done,
            () if keep_going => RunStatus::Partial,
            () => RunStatus::Failed,
        }
    }
}

/// The ops of a pipeline, as they describe themselves, each with the steps that use it.
fn methods(pipeline: &Pipeline) -> Vec<Method> {
    let mut methods: Vec<Method> = Vec::new();
    for step in &pipeline.steps {
        let entry = step.entry;
        let at = methods.iter().position(|method| method.op == entry.name);
        let at = at.unwrap_or_else(|| {
            let doc = entry.schema()["description"].as_str().unwrap_or_default();
            let plain = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
            let parts: Vec<String> = doc.split("\n\n").map(plain).collect();
            let source = parts.iter().find_map(|part| part.strip_prefix("Source: "));
            methods.push(Method {
                op: entry.name.to_owned(),
                title: entry.title.to_owned(),
                version: entry.version,
                summary: parts.first().cloned().unwrap_or_default(),
                source: source.unwrap_or_default().to_owned(),
                uses: Vec::new(),
            });
            methods.len() - 1
        });
        let params = entry.changed(step.op.params());
        let name = cache::record::without_variant(&step.name).to_owned();
        let uses = &mut methods[at].uses;
        match uses.iter_mut().find(|(_, known)| *known == params) {
            Some((steps, _)) if steps.contains(&name) => {}
            Some((steps, _)) => steps.push(name),
            None => uses.push((vec![name], params)),
        }
    }
    methods
}

fn processor() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| "an unnamed processor".to_owned(), |(_, name)| name.trim().to_owned())
}
