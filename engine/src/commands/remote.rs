//! `engine cache push`, `engine cache pull`: copies finished steps to and from a remote.

use super::cache::open;
use crate::{
    cli::{BAD_INPUT, CommandError, OutArg, StoreArg, print},
    record::runs,
    ui::size::bytes as size,
};
use cache::{
    Digest, Record, Store,
    blobs::Blobs,
    store::{Finished, remote::TransferCounts},
};
use clap::Args;
use std::collections::BTreeSet;
use tracing::warn;

/// The arguments of `cache push` and `cache pull`.
#[derive(Args)]
pub struct RemoteArgs {
    /// A run whose steps are copied: a folder, an id, a study's name, `latest` or `NAME/latest`. All
    /// finished steps if not given.
    pub run: Option<String>,
    /// The folder of the runs.
    #[command(flatten)]
    pub out: OutArg,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
}

/// Copies finished steps of the store to the remote.
///
/// # Errors
/// Returns the exit code if the store or the remote refuses.
pub fn push(args: &RemoteArgs) -> Result<(), CommandError> {
    let (store, remote) = (open(&args.store)?, remote(&args.store)?);
    let steps = match &args.run {
        None => store.history(),
        Some(run) => steps_of(&store, &record(args, run)?),
    };
    let moved = push_all(&store, &steps, remote.as_ref())?;
    print(&format!("pushed {}\n", describe_moved(&moved)));
    Ok(())
}

/// Copies finished steps of the remote to the store.
///
/// # Errors
/// Returns the exit code if the store or the remote refuses.
pub fn pull(args: &RemoteArgs) -> Result<(), CommandError> {
    let remote = remote(&args.store)?;
    let of_store = |error| CommandError::of_store(&error);
    let store = Store::open(&args.store.store).map_err(of_store)?;
    let keys = match &args.run {
        None => Store::keys_of(remote.as_ref()).map_err(of_store)?,
        Some(run) => keys_of(&record(args, run)?),
    };
    let (mut moved, mut absent) = (TransferCounts::default(), 0);
    for key in &keys {
        match store.pull(key, remote.as_ref()).map_err(of_store)? {
            Some(step) => moved.add(step),
            None => absent += 1,
        }
    }
    if absent > 0 {
        warn!("the remote does not have {}", reports::count(absent, "step"));
    }
    print(&format!("pulled {}\n", describe_moved(&moved)));
    Ok(())
}

/// Copies steps to a remote. Of a step whose objects are lost here, a warning is all that goes.
///
/// # Errors
/// Returns the exit code if the remote refuses.
pub fn push_all(
    store: &Store,
    steps: &[Finished],
    remote: &dyn Blobs,
) -> Result<TransferCounts, CommandError> {
    let mut moved = TransferCounts::default();
    for step in steps {
        match store.push(step, remote) {
            Ok(step) => moved.add(step),
            Err(error @ cache::StoreError::Remote { .. }) => {
                return Err(CommandError::of_store(&error));
            }
            Err(error) => warn!("`{}` is not pushed: {error}", step.cache_key.op),
        }
    }
    Ok(moved)
}

/// The finished steps of a run that the store still has.
pub fn steps_of(store: &Store, record: &Record) -> Vec<Finished> {
    keys_of(record).iter().filter_map(|key| store.finished(key)).collect()
}

fn keys_of(record: &Record) -> Vec<Digest> {
    let keys: BTreeSet<Digest> = record.steps.iter().filter_map(|step| step.key).collect();
    keys.into_iter().collect()
}

fn record(args: &RemoteArgs, run: &str) -> Result<Record, CommandError> {
    let found = runs::find(&args.out.out, run);
    Ok(found.map_err(|error| CommandError::new(BAD_INPUT, error))?.record)
}

fn remote(args: &StoreArg) -> Result<Box<dyn Blobs>, CommandError> {
    args.remote()?.ok_or_else(|| {
        CommandError::new(
            BAD_INPUT,
            "there is no remote; name one with `--remote` or `ENGINE_REMOTE`",
        )
    })
}

/// Describes what was moved: `12 steps: 30 objects of 4 MB that were not there`.
pub fn describe_moved(moved: &TransferCounts) -> String {
    let TransferCounts { steps, objects, bytes } = *moved;
    let (steps, objects) = (reports::count(steps, "step"), reports::count(objects, "object"));
    format!("{steps}: {objects} of {} that were not there", size(bytes))
}
