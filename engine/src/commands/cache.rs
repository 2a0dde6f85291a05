//! `engine cache`: shows the contents of the store, keeps it small, and verifies it.

use super::{cache_gc, cache_verify, export, remote};
use crate::{
    cli::{BAD_INPUT, CommandError, OutArg, StoreArg, print},
    record::runs,
    ui::size::bytes as size,
};
use cache::{
    Digest, Store,
    store::{Finished, StoreEntry, Usage},
};
use clap::{Args, Subcommand};
use std::collections::{BTreeMap, HashMap};

/// A command on the store.
#[derive(Subcommand)]
pub enum CacheCommand {
    /// Say what takes room: by op, by kind, and in all.
    #[command(after_help = "Examples:\n  engine cache du\n  engine cache du --store /data/engine")]
    Du(DuArgs),
    /// Remove what no kept run needs. A run is kept while its folder is there.
    #[command(after_help = "Examples:
  engine cache gc --dry-run                 what would go
  engine cache gc                           whatever no run needs and is older than a day
  engine cache gc --budget 10GB             the oldest of it, until 10 GB are left
  engine cache gc --older-than 30d")]
    Gc(cache_gc::GcArgs),
    /// Check that everything is what its name says; with --recompute, that computing it again gives
    /// the same bytes.
    #[command(after_help = "Examples:
  engine cache verify                                             read everything again
  engine cache verify --sources                                   files outside the store as well
  engine cache verify --recompute --sample 5%                     compute every twentieth step again
  engine cache verify --recompute pipelines/quickstart.yaml       all steps of a study

Exit codes: 0 everything that was checked holds, 1 something does not, or nothing could be checked.")]
    Verify(cache_verify::VerifyArgs),
    /// Copy finished steps to a remote: a folder, or a bucket that speaks S3.
    #[command(after_help = "Examples:
  engine cache push --remote /mnt/lab/engine          all finished steps
  engine cache push latest --remote s3://lab/engine   those of a run

The environment gives the access to a bucket: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL.")]
    Push(remote::RemoteArgs),
    /// Copy finished steps from a remote. A run with `--remote` takes what it needs by itself.
    #[command(after_help = "Examples:
  engine cache pull --remote /mnt/lab/engine
  engine cache pull latest --remote s3://lab/engine")]
    Pull(remote::RemoteArgs),
    /// Print the file of a result.
    #[command(after_help = "Examples:
  engine cache path latest pca.latent       of a run: STEP.PORT, or STEP for its first
  engine cache path 3f9ac2                  by the beginning of its digest")]
    Path(PathArgs),
}

/// The arguments of `cache du`.
#[derive(Args)]
pub struct DuArgs {
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
}

/// The arguments of `cache path`.
#[derive(Args)]
pub struct PathArgs {
    /// A digest or its beginning; or a run, and then its output.
    #[arg(value_name = "DIGEST | RUN STEP.PORT", num_args = 1..=2, required = true)]
    pub of: Vec<String>,
    /// The folder of the runs.
    #[command(flatten)]
    pub out: OutArg,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
}

/// Runs the given subcommand.
///
/// # Errors
/// Returns the exit code if the arguments are wrong or the command fails.
pub fn cache(command: &CacheCommand) -> Result<(), CommandError> {
    match command {
        CacheCommand::Du(args) => du(args),
        CacheCommand::Gc(args) => cache_gc::gc(args),
        CacheCommand::Verify(args) => cache_verify::verify(args),
        CacheCommand::Push(args) => remote::push(args),
        CacheCommand::Pull(args) => remote::pull(args),
        CacheCommand::Path(args) => path(args),
    }
}

/// Opens an existing store; a folder with a mistyped name is not created.
///
/// # Errors
/// Returns the exit code if there is no store.
pub fn open(args: &StoreArg) -> Result<Store, CommandError> {
    if !args.store.exists() {
        let message = format!(
            "there is no store `{}`; name it with `--store`, or make one with `engine run`",
            args.store.display()
        );
        return Err(CommandError::new(BAD_INPUT, message));
    }
    args.open_existing()
}

/// The number and the bytes of the objects of one group.
#[derive(Clone, Copy, Default)]
struct Group {
    objects: usize,
    bytes: u64,
}

fn du(args: &DuArgs) -> Result<(), CommandError> {
    let store = open(&args.store)?;
    let (usage, history) = (store.usage(), store.history());
    let (by_op, by_kind) = grouped(&usage, &history);
    let mut rows = vec![("by op".to_owned(), None)];
    rows.extend(by_op.into_iter().map(|(name, group)| (format!("  {name}"), Some(group))));
    rows.push(("by kind".to_owned(), None));
    rows.extend(by_kind.into_iter().map(|(name, group)| (format!("  {name}"), Some(group))));
    let of = |held: &[StoreEntry]| Group {
        objects: held.len(),
        bytes: held.iter().map(|held| held.bytes).sum(),
    };
    let (objects, checkpoints) = (of(&usage.objects), of(&usage.checkpoints));
    let journal = Group { objects: history.len(), bytes: usage.journal_bytes };
    let beside = [
        ("logs", of(&usage.logs)),
        ("lists of source files", of(&usage.notes)),
        ("figures", of(&usage.figures)),
        ("notes of runs", of(&usage.up_to_date)),
        ("plans of a cluster", of(&usage.plans)),
        ("unfinished files", of(&usage.unfinished)),
    ];
    let beside_bytes: u64 = beside.iter().map(|(_, group)| group.bytes).sum();
    let all = objects.bytes + checkpoints.bytes + beside_bytes + journal.bytes;
    rows.push(("objects".to_owned(), Some(objects)));
    rows.push(("checkpoints".to_owned(), Some(checkpoints)));
    let some = beside.into_iter().filter(|(_, group)| group.objects > 0);
    rows.extend(some.map(|(name, group)| (name.to_owned(), Some(group))));
    rows.push(("steps in the journal".to_owned(), Some(journal)));
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, group) in rows {
        let numbers = group.map_or_else(String::new, |group| {
            format!("  {:>8}  {:>10}", group.objects, size(group.bytes))
        });
        text.push_str(format!("{name:<width$}{numbers}").trim_end());
        text.push('\n');
    }
    text.push_str(&format!("{:<width$}  {:>8}  {:>10}\n", "in all", "", size(all)));
    print(&text);
    Ok(())
}

type Groups = Vec<(String, Group)>;

/// Groups objects by op and by kind, the largest group first. An object that several steps made
/// counts once.
fn grouped(usage: &Usage, history: &[Finished]) -> (Groups, Groups) {
    let mut producers: HashMap<Digest, (&str, &str)> = HashMap::new();
    for step in history {
        for object in step.outputs.values() {
            producers
                .entry(object.digest)
                .or_insert((&step.cache_key.op, object.shape.kind.name()));
        }
    }
    let (mut by_op, mut by_kind) = (BTreeMap::new(), BTreeMap::new());
    for object in &usage.objects {
        let nobody = ("(no step names it)", "(unknown)");
        let (op, kind) = producers.get(&object.digest).copied().unwrap_or(nobody);
        for group in
            [by_op.entry(op).or_insert_with(Group::default), by_kind.entry(kind).or_default()]
        {
            group.objects += 1;
            group.bytes += object.bytes;
        }
    }
    let sorted = |groups: BTreeMap<&str, Group>| {
        let mut groups: Groups =
            groups.into_iter().map(|(name, group)| (name.to_owned(), group)).collect();
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.bytes));
        groups
    };
    (sorted(by_op), sorted(by_kind))
}

fn path(args: &PathArgs) -> Result<(), CommandError> {
    let bad = |error: String| CommandError::new(BAD_INPUT, error);
    let store = open(&args.store)?;
    let digest = match args.of.as_slice() {
        [run, output] => {
            let record = runs::find(&args.out.out, run).map_err(bad)?.record;
            *export::find_output(&record, output).map_err(bad)?.1
        }
        [prefix, ..] => by_prefix(&store, prefix).map_err(bad)?,
        [] => return Err(bad("name a digest, or a run and its output".to_owned())),
    };
    let path = store.object_path(&digest).ok_or_else(|| {
        bad(format!("object `{}` is not in the store; run the pipeline again", digest.short()))
    })?;
    print(&format!("{}\n", path.display()));
    Ok(())
}

/// The only object whose digest begins with `prefix`.
fn by_prefix(store: &Store, prefix: &str) -> Result<Digest, String> {
    if prefix.is_empty() || !prefix.chars().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(format!(
            "`{prefix}` is not the beginning of a digest; for an output of a run write `engine cache path RUN STEP.PORT`"
        ));
    }
    let prefix = prefix.to_lowercase();
    let objects = store.usage().objects.into_iter().map(|object| object.digest);
    let fitting: Vec<_> = objects.filter(|it| it.to_string().starts_with(&prefix)).collect();
    match fitting.as_slice() {
        [digest] => Ok(*digest),
        [] => Err(format!("no object's digest begins with `{prefix}`")),
        several => Err(format!(
            "the digests of {} objects begin with `{prefix}`: give more of it",
            several.len()
        )),
    }
}
