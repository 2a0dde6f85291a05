//! Metrics of resampled recordings, from which reports make intervals.

use crate::math::bootstrap::{half, with_replacement, without};
use crate::{Ctx, OpError};
use cache::{Artifact, Kind, Table, metric::clip_set_digest};
use rayon::prelude::*;

/// The fewest recordings that are resampled.
const MIN_RECORDINGS: usize = 10;

/// The largest number of recordings of which each is left out alone.
const BLOCKS: usize = 1000;

/// The recordings of clips: the number of each clip's, and their names in order. The order is that
/// of the names, so that tables with other orders of clips share the draws.
pub(super) fn numbered(cells: &[String]) -> (Vec<u32>, Vec<&str>) {
    let mut names: Vec<&str> = cells.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let number = |cell: &String| names.binary_search(&cell.as_str()).expect("a name") as u32;
    (cells.iter().map(number).collect(), names)
}

/// The metrics `names`, which `measure` gives if each recording is there as often as given, for
/// all recordings and for each draw. Without recordings, or with too few, the metadata say why there
/// are no draws.
pub(super) fn artifact(
    names: &[&str],
    clips: usize,
    recordings: Option<&[&str]>,
    draws: u32,
    measure: impl Fn(&[u32]) -> Vec<f64> + Sync,
    cx: &Ctx<'_>,
) -> Result<Artifact, OpError> {
    let drawn = |count: u32, draw: &(dyn Fn(u32) -> Vec<u32> + Sync)| {
        let draws = (0..count).into_par_iter().map(|at| {
            cx.stop_if_cancelled()?;
            Ok(measure(&draw(at)))
        });
        draws.collect::<Result<Vec<_>, OpError>>()
    };
    let n = recordings.map_or(0, <[_]>::len);
    let parts = if n < MIN_RECORDINGS {
        Vec::new()
    } else {
        let blocks = n.min(BLOCKS);
        vec![
            ("value", drawn(1, &|_| vec![1; n])?),
            ("resample", drawn(draws, &|at| with_replacement(n, at))?),
            ("half_sample", drawn(draws, &|at| half(n, at))?),
            ("jackknife", drawn(blocks as u32, &|at| without(n, blocks, at as usize))?),
        ]
    };
    let of_parts = parts.iter().flat_map(|(part, values)| vec![*part; values.len()]);
    let mut table = Table::new().with_text("part", of_parts);
    for (at, name) in names.iter().copied().enumerate() {
        let values = parts.iter().flat_map(|(_, values)| values.iter().map(|it| it[at]));
        table = table.with_reals(name, values.collect());
    }
    let made = Artifact::table(Kind::Resamples, table).with_meta("clips", clips);
    Ok(match recordings {
        None => made.with_meta("note", "the recordings of the clips are not known"),
        Some(_) if n < MIN_RECORDINGS => made
            .with_meta("recordings", n)
            .with_meta("note", format!("fewer than {MIN_RECORDINGS} recordings")),
        Some(recordings) => made
            .with_meta("recordings", n)
            .with_meta("drawn_from", clip_set_digest(recordings.iter().copied())),
    })
}
