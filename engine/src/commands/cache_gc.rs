//! `engine cache gc`: removes the parts of the store that no kept run needs.

use super::cache::open;
use crate::{
    cli::{self, BAD_INPUT, CommandError, FAILED, OutArg, StoreArg, print},
    plan::keys,
    record::{leftovers, runs},
    run::cluster::driver::unfinished,
    ui::size::bytes as size,
};
use cache::{
    Digest, Store,
    store::{StoreEntry, plain},
};
use clap::Args;
use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::Path,
    time::{Duration, SystemTime},
};
use tracing::warn;

/// The arguments of `cache gc`.
#[derive(Args)]
pub struct GcArgs {
    /// Remove the oldest of it until so much is left, such as 10GB or 500MB; what runs need stays.
    #[arg(long, value_name = "SIZE", value_parser = cli::size)]
    pub budget: Option<u64>,
    /// Keep what was written within this time, such as 30d, 12h or 0s; so a run that was killed
    /// can go on.
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = cli::time)]
    pub older_than: Duration,
    /// Say what would go, without removing it.
    #[arg(long)]
    pub dry_run: bool,
    /// The folder of the runs.
    #[command(flatten)]
    pub out: OutArg,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
}

/// The parts of the store that the kept runs need.
struct Needed {
    runs: usize,
    objects: HashSet<Digest>,
    work: HashSet<Digest>,
    logs: HashSet<Digest>,
    notes: HashSet<Digest>,
    figures: HashSet<Digest>,
    plans: HashSet<Digest>,
}

/// The place of the plans of a cluster among the sorts of what may go.
const PLANS: usize = 7;

/// Removes what no kept run needs, or prints what would be removed.
///
/// # Errors
/// Returns the exit code if a record cannot be read, another process uses the store, or a file
/// cannot be removed.
pub fn gc(args: &GcArgs) -> Result<(), CommandError> {
    let store = open(&args.store)?;
    let needed = needed(&store, &args.out.out).map_err(|error| {
        let what = "what that run needs is not known, so nothing was removed";
        CommandError::new(BAD_INPUT, format!("{error}; {what}"))
    })?;
    if needed.runs == 0 {
        let message = format!(
            "there are no runs below `{}`, so everything would go; name their folder with `--out`, or remove the store itself",
            args.out.out.display()
        );
        return Err(CommandError::new(BAD_INPUT, message));
    }
    let usage = store.usage();
    let left_behind = leftovers::find(&args.out.out, args.older_than);
    let nothing = HashSet::new();
    let sorts = [
        (["object", "objects"], usage.objects, &needed.objects),
        (["checkpoint", "checkpoints"], usage.checkpoints, &needed.work),
        (["log", "logs"], usage.logs, &needed.logs),
        (["list of files", "lists of files"], usage.notes, &needed.notes),
        (["figure", "figures"], usage.figures, &needed.figures),
        (["note of a run", "notes of runs"], usage.up_to_date, &nothing),
        (["unfinished file", "unfinished files"], usage.unfinished, &nothing),
        (["plan of a cluster", "plans of a cluster"], usage.plans, &needed.plans),
    ];
    let (mut held, mut recent, mut names, mut old) = (0, 0, Vec::new(), Vec::new());
    for (sort, (name, all, needed)) in sorts.into_iter().enumerate() {
        held += bytes_of(&all);
        let (unneeded, young) = unneeded(all, needed, args.older_than);
        recent += young;
        names.push(name);
        old.extend(unneeded.into_iter().map(|it| (sort, it)));
    }
    let going = within(args.budget, held, old);
    let of = |wanted: &dyn Fn(usize) -> bool| -> Vec<StoreEntry> {
        let some = going.iter().filter(|(sort, _)| wanted(*sort));
        some.map(|(_, held)| held.clone()).collect()
    };
    let (objects, checkpoints) = (of(&|it| it == 0), of(&|it| it == 1));
    let (files, plans) = (of(&|it| it > 1 && it != PLANS), of(&|it| it == PLANS));
    let bytes: u64 =
        [&objects, &checkpoints, &files, &plans].into_iter().map(|of| bytes_of(of)).sum();
    let left = held - bytes;

    let counts = names.iter().enumerate().filter_map(|(sort, [one, several])| {
        let count = of(&|it| it == sort).len();
        (count > 0 || sort < 2)
            .then(|| format!("{count} {}", if count == 1 { one } else { several }))
    });
    let counts: Vec<String> = counts.collect();
    let runs = [
        (
            left_behind.folders.len(),
            ["run folder without a record", "run folders without a record"],
        ),
        (left_behind.files.len(), ["file of a killed run", "files of killed runs"]),
    ];
    let runs = runs.into_iter().filter(|(count, _)| *count > 0);
    let runs = runs.map(|(count, [one, several])| {
        format!("{count} {}", if count == 1 { one } else { several })
    });
    let counts: Vec<String> = counts.into_iter().chain(runs).collect();
    let (last, others) = counts.split_last().expect("objects are always counted");
    warn_of_others(&store, &args.out.out, &objects);
    let going = format!("{} and {last}, {}", others.join(", "), size(bytes));
    let mut text = if args.dry_run {
        format!("would remove {going}; {} would be left\n", size(left))
    } else {
        if !store.try_lock_exclusive().map_err(|error| CommandError::of_store(&error))? {
            let message = "another process uses this store; try again when it has ended (`--dry-run` works at any time)";
            return Err(CommandError::new(FAILED, message));
        }
        store
            .remove(&objects, &checkpoints, &files)
            .and_then(|_| store.remove_plans(&plans))
            .map_err(|error| CommandError::of_store(&error))?;
        leftovers::remove(&left_behind).map_err(|error| {
            let out = args.out.out.display();
            CommandError::new(
                FAILED,
                format!("cannot remove what killed runs left below `{out}`: {}", plain(&error)),
            )
        })?;
        format!("removed {going}; {} are left\n", size(left))
    };
    if recent > 0 {
        text.push_str(&format!(
            "{recent} more that no run needs were written too recently; `--older-than 0s` takes them as well\n"
        ));
    }
    if let Some(budget) = args.budget.filter(|budget| left > *budget) {
        text.push_str(&format!(
            "that is more than {}: {} kept runs need the rest; remove folders of runs below `{}` that you need no more\n",
            size(budget),
            needed.runs,
            args.out.out.display()
        ));
    }
    print(&text);
    Ok(())
}

/// Warns of runs below other folders that need some of these objects.
fn warn_of_others(store: &Store, out: &Path, going: &[StoreEntry]) {
    let canonical = |path: &Path| fs::canonicalize(path).ok();
    let here = canonical(out);
    let places: BTreeSet<_> = store.run_folders().iter().filter_map(|it| canonical(it)).collect();
    for place in places.into_iter().filter(|place| Some(place) != here.as_ref()) {
        let place_of = place.display();
        match needed(store, &place) {
            Ok(needed) => {
                let lost = going.iter().filter(|it| needed.objects.contains(&it.digest)).count();
                if lost > 0 {
                    let objects = if lost == 1 { "object" } else { "objects" };
                    let runs = match needed.runs {
                        1 => "a run".to_owned(),
                        several => format!("{several} runs"),
                    };
                    warn!(
                        "{runs} below `{place_of}` need {lost} {objects} of these; `--out` names one folder of runs"
                    );
                }
            }
            Err(error) => warn!("{error}; what that run needs is not known"),
        }
    }
}

/// The parts of the store that the records below a folder need.
fn needed(store: &Store, out: &Path) -> Result<Needed, String> {
    let records: Result<Vec<_>, _> = runs::all(out).iter().map(|run| runs::read(run)).collect();
    let records = records?;
    let steps = || records.iter().flat_map(|record| &record.steps);
    let named: HashSet<Digest> = steps().filter_map(|step| step.key).collect();
    let history = store.history();
    let kept = history.iter().filter(|finished| named.contains(&finished.key));
    let notes = kept.clone().filter_map(|finished| finished.cache_key.inputs.get(keys::FILES));
    let notes = notes.copied().collect();
    let work = kept.filter_map(|finished| {
        let entry = ::ops::find(&finished.cache_key.op)?;
        Some(keys::without(&finished.cache_key, entry.progressive).digest())
    });
    // Workers of a plan that was neither followed to its end nor cancelled may still wait in the queue.
    let plans = unfinished(store, None).into_iter().map(|(folder, _)| folder.digest());
    Ok(Needed {
        plans: plans.flatten().collect(),
        runs: records.len(),
        objects: steps().flat_map(|step| step.outputs.values().copied()).collect(),
        work: work.collect(),
        figures: records.iter().flat_map(reports::figures::kept).collect(),
        logs: named,
        notes,
    })
}

/// The entries that no run needs and that are old enough, the oldest first; and the number of those
/// that are too young.
fn unneeded(
    held: Vec<StoreEntry>,
    needed: &HashSet<Digest>,
    older_than: Duration,
) -> (Vec<StoreEntry>, usize) {
    let now = SystemTime::now();
    let (mut old, recent): (Vec<_>, Vec<_>) = held
        .into_iter()
        .filter(|held| !needed.contains(&held.digest))
        .partition(|held| now.duration_since(held.modified).unwrap_or_default() >= older_than);
    old.sort_by_key(|held| (held.modified, held.digest));
    (old, recent.len())
}

/// The oldest entries, as many as must go to meet a budget; all entries if there is no budget.
fn within(
    budget: Option<u64>,
    held: u64,
    mut all: Vec<(usize, StoreEntry)>,
) -> Vec<(usize, StoreEntry)> {
    let Some(budget) = budget else { return all };
    all.sort_by_key(|(_, held)| (held.modified, held.digest));
    let mut left = held;
    all.retain(|(_, held)| {
        let goes = left > budget;
        left -= if goes { held.bytes } else { 0 };
        goes
    });
    all
}

fn bytes_of(held: &[StoreEntry]) -> u64 {
    held.iter().map(|held| held.bytes).sum()
}
