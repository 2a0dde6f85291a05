//! `engine plan`: of each step, whether it would run, and why.

use super::prepare::{Prepared, prepare};
use crate::{
    cli::{PlanArgs, Stop, print},
    keys,
    run::{key_of, wanted},
};
use cache::store::Finished;

/// Prints the plan.
///
/// # Errors
/// With the exit code, if the pipeline or its data is wrong.
pub fn plan(args: &PlanArgs) -> Result<(), Stop> {
    print(&text(&prepare(args, false)?));
    Ok(())
}

/// The plan: a line a step.
pub fn text(prepared: &Prepared) -> String {
    let Prepared { pipeline, store, files, options, .. } = prepared;
    let wanted = wanted(pipeline, &options.only);
    let history = store.history();
    let mut there: Vec<Option<Finished>> = Vec::new();
    let (mut text, mut runs) = (String::new(), 0);
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
            (None, None) => {
                let before = step.inputs.iter().find(|input| there[input.step].is_none());
                let name = before.map_or("", |input| pipeline.steps[input.step].name.as_str());
                ("run", format!("after `{name}`, unless that makes the same again"))
            }
        };
        runs += usize::from(status == "run");
        let line = format!("{status:<5} {:<18} {:<14} {reason}", step.name, step.entry.name);
        text.push_str(line.trim_end());
        text.push('\n');
        there.push(finished);
    }
    let steps = pipeline.steps.len();
    text.push_str(&match runs {
        0 => format!("nothing to run: the results of all {steps} steps are there\n"),
        _ => format!("{runs} of {steps} steps to run\n"),
    });
    text
}
