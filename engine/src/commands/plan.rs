//! `engine plan`: of each step, whether it would run, and why.

use super::prepare::{Prepared, prepare};
use crate::{
    cli::{PlanArgs, Stop, print},
    fold::{self, paragraph},
    keys,
    pipeline::Step,
    run::{key_of, wanted},
};
use cache::store::Finished;

/// Prints the plan.
///
/// # Errors
/// With the exit code, if the pipeline or its data is wrong.
pub fn plan(args: &PlanArgs) -> Result<(), Stop> {
    print(&text(&prepare(args, None)?));
    Ok(())
}

/// The plan: a line a step.
pub fn text(prepared: &Prepared) -> String {
    let Prepared { pipeline, store, files, options, .. } = prepared;
    let wanted = wanted(pipeline, &options.only);
    let history = store.history();
    let mut there: Vec<Option<Finished>> = Vec::new();
    let longest = |of: fn(&Step) -> &str| {
        pipeline.steps.iter().map(|step| of(step).chars().count()).max().unwrap_or(0)
    };
    let (names, ops) = (longest(|step| &step.name), longest(|step| step.entry.name));
    let (mut text, mut runs, mut may_run, width) = (String::new(), 0, 0, fold::width());
    for (index, step) in pipeline.steps.iter().enumerate() {
        let digest = |from: usize, port: &str| {
            there[from].as_ref()?.outputs.get(port).map(|object| object.digest)
        };
        let key = key_of(step, &files[index], digest);
        let forced = options.force.contains(&index);
        let finished =
            key.as_ref().and_then(|key| store.finished(&key.digest())).filter(|_| !forced);
        let (status, reason) = match (&key, &finished) {
            _ if !wanted[index] => ("skip", "not asked for".to_owned()),
            (_, Some(_)) => ("hit", String::new()),
            (Some(_), None) if forced => ("run", "forced".to_owned()),
            (Some(key), None) => ("run", keys::reason(key, &history)),
            (None, None) if !keys::has_run(step, &history) => ("run", keys::NEVER.to_owned()),
            (None, None) => {
                let before = step.inputs.iter().find(|input| there[input.step].is_none());
                let name = before.map_or("", |input| pipeline.steps[input.step].name.as_str());
                ("maybe", format!("unless `{name}` makes the same as before"))
            }
        };
        runs += usize::from(status == "run");
        may_run += usize::from(status == "maybe");
        let head = format!("{status:<5}  {:<names$}  {:<ops$}  ", step.name, step.entry.name);
        text.push_str(&paragraph(&head, &reason, width));
        there.push(finished);
    }
    let steps = pipeline.steps.len();
    text.push_str(&match (runs, may_run) {
        (0, 0) if options.only.is_empty() => {
            format!("nothing to run: the results of all {steps} steps are there\n")
        }
        (0, 0) => "nothing to run: the results are there\n".to_owned(),
        (_, 0) => format!("{runs} of {steps} steps to run\n"),
        _ => format!("{runs} of {steps} steps to run, and perhaps {may_run} more\n"),
    });
    text
}
