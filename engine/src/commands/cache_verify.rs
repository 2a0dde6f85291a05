//! `engine cache verify`: reads everything again, or computes it again.

use super::{cache::open, prepare::prepare};
use crate::{
    cli::{FAILED, INTERRUPTED, PlanArgs, Stop, StoreArg, print},
    devices,
    run::recompute::{Found, Subject, recompute, sampled},
    say::{
        fold::{paragraph, width},
        interrupt::Interrupt,
        progress::say,
        size::bytes as size,
    },
};
use cache::Store;
use clap::Args;
use ops::Cancel;
use std::{collections::BTreeMap, path::PathBuf};

/// How many steps are named that were not computed again for one reason.
const NAMED: usize = 6;

/// What `cache verify` reads.
#[derive(Args)]
pub struct VerifyArgs {
    /// Only the steps of this pipeline; with it, files that were moved are found where it names them.
    #[arg(requires = "recompute")]
    pub pipeline: Option<PathBuf>,
    /// Compute steps again from their inputs, and compare bytes.
    #[arg(long)]
    pub recompute: bool,
    /// Only this share of the steps, such as 5%; always the same ones.
    #[arg(long, value_name = "PERCENT", requires = "recompute", value_parser = share)]
    pub sample: Option<f64>,
    /// Set a variable (`data=DIR`) or a parameter of a step of the pipeline.
    #[arg(long, value_name = "NAME=VALUE", requires = "pipeline")]
    pub set: Vec<String>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
}

/// Verifies; a statement of what was proved goes to standard output.
///
/// # Errors
/// With the exit code 1, if something is not what it should be.
pub fn verify(args: &VerifyArgs) -> Result<(), Stop> {
    if !args.recompute {
        return reread(&open(&args.store)?);
    }
    let (store, subjects) = match &args.pipeline {
        Some(pipeline) => {
            let plan = PlanArgs {
                pipeline: pipeline.clone(),
                set: args.set.clone(),
                store: StoreArg { store: args.store.store.clone() },
                only: Vec::new(),
                until: Vec::new(),
                force: Vec::new(),
                memory: None,
                threads: None,
                device: devices::Wanted::Auto,
            };
            let prepared = prepare(&plan, None)?;
            let subjects = Subject::of_pipeline(&prepared);
            (prepared.store, subjects)
        }
        None => {
            let store = open(&args.store)?;
            let subjects = Subject::of_store(&store, &store.files().paths());
            (store, subjects)
        }
    };
    let mut paths = store.files().paths();
    // The recordings that one step lists, another reads.
    paths.extend(subjects.iter().flat_map(Subject::paths));
    let all = subjects.len();
    let subjects = sampled(subjects, args.sample.unwrap_or(1.0));
    let interrupt = Interrupt::listen();
    let (mut same, mut other, mut unproved) = (0, Vec::new(), BTreeMap::<String, Vec<&str>>::new());
    for (at, subject) in subjects.iter().enumerate() {
        say(&format!("[{}/{}] {}", at + 1, subjects.len(), subject.name));
        match recompute(subject, &store, &paths, &interrupt) {
            Found::Same => same += 1,
            Found::Other(how) => other.push(format!("{}: {how}", subject.name)),
            Found::Unproved(why) => unproved.entry(why).or_default().push(&subject.name),
        }
        if interrupt.is_cancelled() {
            return Err(Stop(INTERRUPTED));
        }
    }
    let part = args.sample.map_or_else(String::new, |it| format!(", a sample of {} %", it * 100.0));
    let mut text = format!(
        "computed {} of {all} steps again{part}: {same} gave the same bytes, {} did not\n",
        same + other.len(),
        other.len()
    );
    for line in &other {
        text.push_str(&paragraph("  differs: ", line, width()));
    }
    for (why, steps) in unproved {
        let more = match steps.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = steps[..steps.len().min(NAMED)].join(", ");
        let head = format!("  not proved, {}: ", steps.len());
        text.push_str(&paragraph(&head, &format!("{why} ({named}{more})"), width()));
    }
    let nothing = same + other.len() == 0;
    if nothing {
        text.push_str("nothing was computed again, so nothing is proved\n");
    }
    text.push_str(&format!(
        "engine {}, {} {}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    ));
    print(&text);
    if other.is_empty() && !nothing { Ok(()) } else { Err(Stop(FAILED)) }
}

/// Reads every object, and looks for those that are named and gone.
fn reread(store: &Store) -> Result<(), Stop> {
    let objects = store.usage().objects;
    let bytes: u64 = objects.iter().map(|object| object.bytes).sum();
    let mut faults: Vec<String> = objects
        .iter()
        // What is damaged leaves the store, so that the next run makes it again.
        .filter_map(|object| store.get(&object.digest).err().map(|fault| fault.to_string()))
        .collect();
    let damaged = faults.len();
    for step in store.history() {
        for (port, object) in &step.outputs {
            let known = objects.iter().any(|held| held.digest == object.digest);
            if !known {
                let op = &step.cache_key.op;
                faults.push(format!("object `{}` ({op}.{port}) is missing", object.digest.short()));
            }
        }
    }
    let missing = faults.len() - damaged;
    let mut text = format!("read {} objects, {}", objects.len(), size(bytes));
    if faults.is_empty() {
        text.push_str(": all are what their names say\n");
        print(&text);
        return Ok(());
    }
    text.push_str(&format!(": {damaged} damaged, {missing} missing\n"));
    for fault in &faults {
        text.push_str(&format!("  {fault}\n"));
    }
    text.push_str("the next run that needs them makes them again\n");
    print(&text);
    Err(Stop(FAILED))
}

/// A share such as `5%`, above nothing and up to all.
fn share(text: &str) -> Result<f64, String> {
    let percent =
        text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = percent.filter(|percent| *percent > 0.0 && *percent <= 100.0);
    share.map(|percent| percent / 100.0).ok_or_else(|| "expected a share such as 5%".to_owned())
}
