//! `engine cache verify`: reads everything again, or computes it again.

use super::{
    cache::open,
    prepare::{MissingStore, prepare},
};
use crate::{
    cli::{CommandError, FAILED, INTERRUPTED, PlanArgs, StoreArg, print},
    devices,
    run::recompute::{Candidate, Recomputed, recompute, sampled},
    ui::{
        fold::{paragraph, width},
        interrupt::Interrupt,
        size::bytes as size,
    },
};
use cache::{Store, StoreError};
use clap::Args;
use ops::Cancel;
use std::{collections::BTreeMap, path::PathBuf};
use tracing::info;

/// The most steps that are listed as not computed again, for each reason.
const NAMED: usize = 6;

/// The arguments of `cache verify`.
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
    /// Also read the files outside again that runs have read, though their size and times are the
    /// same.
    #[arg(long, conflicts_with = "recompute")]
    pub sources: bool,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
}

/// Verifies the store, and prints what was proved to standard output.
///
/// # Errors
/// Returns the exit code 1 if the store holds wrong bytes.
pub fn verify(args: &VerifyArgs) -> Result<(), CommandError> {
    if !args.recompute {
        let store = open(&args.store)?;
        let sources = if args.sources { reread_sources(&store) } else { Ok(()) };
        return reread(&store).and(sources);
    }
    let (store, candidates) = match &args.pipeline {
        Some(pipeline) => {
            let plan = PlanArgs {
                gpus_elsewhere: false,
                pipeline: pipeline.clone(),
                set: args.set.clone(),
                store: StoreArg { store: args.store.store.clone(), remote: None },
                only: Vec::new(),
                until: Vec::new(),
                force: Vec::new(),
                memory: None,
                threads: None,
                device: devices::DeviceChoice::Auto,
            };
            let study = prepare(&plan, None, MissingStore::Empty)?;
            let candidates = Candidate::of_pipeline(&study);
            (study.store, candidates)
        }
        None => {
            let store = open(&args.store)?;
            let candidates = Candidate::of_store(&store, &store.files().paths());
            (store, candidates)
        }
    };
    let mut paths = store.files().paths();
    // A recording that one step lists may be read by another step.
    paths.extend(candidates.iter().flat_map(Candidate::paths));
    let all = candidates.len();
    let candidates = sampled(candidates, args.sample.unwrap_or(1.0));
    let interrupt = Interrupt::listen();
    let (mut same, mut other, mut unproved) = (0, Vec::new(), BTreeMap::<String, Vec<&str>>::new());
    for (at, candidate) in candidates.iter().enumerate() {
        info!("[{}/{}] {}", at + 1, candidates.len(), candidate.name);
        match recompute(candidate, &store, &paths, &interrupt) {
            Recomputed::Same => same += 1,
            Recomputed::Different(how) => other.push(format!("{}: {how}", candidate.name)),
            Recomputed::Unproved(why) => unproved.entry(why).or_default().push(&candidate.name),
        }
        if interrupt.is_cancelled() {
            return Err(CommandError::Shown(INTERRUPTED));
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
    if other.is_empty() && !nothing { Ok(()) } else { Err(CommandError::Shown(FAILED)) }
}

/// Reads every file that the store counts as unchanged. A file with other bytes is forgotten, so
/// that the next run reads it; so are notes that depend only on the version of a file.
fn reread_sources(store: &Store) -> Result<(), CommandError> {
    let (read, others) = store.files().verify();
    let files = if read == 1 { "file" } else { "files" };
    if others.is_empty() {
        print(&format!("read {read} {files} outside: all hold what was read before\n"));
        return Ok(());
    }
    let kept = store.save_files().and_then(|()| store.remove(&[], &[], &store.usage().up_to_date));
    kept.map_err(|error| CommandError::of_store(&error))?;
    let mut text = format!("read {read} {files} outside: {} changed unseen\n", others.len());
    for path in others {
        let path = path.display();
        text.push_str(&format!(
            "  `{path}` holds other bytes, though its size and times are the same\n"
        ));
    }
    text.push_str("the next run reads them again\n");
    print(&text);
    Err(CommandError::Shown(FAILED))
}

/// Reads every object, and looks for objects that are listed and missing.
fn reread(store: &Store) -> Result<(), CommandError> {
    let objects = store.usage().objects;
    let bytes: u64 = objects.iter().map(|object| object.bytes).sum();
    // Reading a damaged object removes it from the store, so that the next run makes it again.
    let damaged = objects.iter().filter_map(|object| store.get(&object.digest).err());
    let mut damaged: Vec<String> = damaged.map(|error| error.to_string()).collect();
    let mut missing = Vec::new();
    for step in store.history() {
        for (port, object) in &step.outputs {
            let known = objects.iter().any(|held| held.digest == object.digest);
            if known {
                continue;
            }
            match store.get(&object.digest) {
                // A file with other content has its name.
                Err(error @ StoreError::Damaged { .. }) => damaged.push(error.to_string()),
                Err(_) => {
                    let (name, op) = (object.digest.short(), &step.cache_key.op);
                    missing.push(format!("object `{name}` ({op}.{port}) is missing"));
                }
                Ok(_) => {}
            }
        }
    }
    let mut text = format!("read {} objects, {}", objects.len(), size(bytes));
    if damaged.is_empty() && missing.is_empty() {
        text.push_str(": all are what their names say\n");
        print(&text);
        return Ok(());
    }
    text.push_str(&format!(": {} damaged, {} missing\n", damaged.len(), missing.len()));
    for error in damaged.iter().chain(&missing) {
        text.push_str(&format!("  {error}\n"));
    }
    text.push_str("the next run that needs them makes them again\n");
    print(&text);
    Err(CommandError::Shown(FAILED))
}

/// Parses a share such as `5%`, greater than 0 and at most 100%.
fn share(text: &str) -> Result<f64, String> {
    let percent =
        text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = percent.filter(|percent| *percent > 0.0 && *percent <= 100.0);
    share.map(|percent| percent / 100.0).ok_or_else(|| "expected a share such as 5%".to_owned())
}
