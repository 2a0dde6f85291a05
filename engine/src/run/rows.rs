//! Reuses the rows of an earlier run of a step: a row-wise op computes only the rows that are new.

use crate::plan::history::History;
use cache::{
    Artifact, CacheKey, Data, Digest, Shape, Store, Table,
    rows::{are_alike, digests, merge, select},
    store::Finished,
};
use ops::{AnyOp, Ctx, Entry, Inputs, OpError, Outputs};
use std::collections::HashMap;

/// The most earlier runs that are compared: those with most rows, or with about as many as now.
const MAX_EARLIER: usize = 8;

/// Runs of a step that differ from the present one in nothing but their inputs.
pub struct PriorRuns<'a> {
    key: &'a CacheKey,
    history: Option<&'a History>,
    store: &'a Store,
}

impl<'a> PriorRuns<'a> {
    /// The earlier runs of a key in a history; none without a history.
    pub fn new(key: &'a CacheKey, history: Option<&'a History>, store: &'a Store) -> Self {
        Self { key, history, store }
    }

    /// The runs with about `rows` rows first. The choice decides no byte, only how much work is
    /// saved.
    fn runs(&self, rows: usize) -> Vec<&'a Finished> {
        let alike = self.history.into_iter().flat_map(|history| history.of_op(&self.key.op));
        let mut runs: Vec<_> = alike
            .filter(|run| without_inputs(&run.cache_key) == without_inputs(self.key))
            .collect();
        runs.sort_by_key(|run| {
            let made = run.outputs.values().filter_map(|object| object.shape.rows).max();
            (made.unwrap_or(0).abs_diff(rows), run.key)
        });
        runs.truncate(MAX_EARLIER);
        runs
    }
}

/// Every field of a key except its inputs.
fn without_inputs(key: &CacheKey) -> impl PartialEq + '_ {
    let CacheKey { format, op, version, params, inputs: _, seed, numerics } = key;
    (format, op, version, params, seed, numerics)
}

impl ops::PriorOutputs for PriorRuns<'_> {
    fn outputs(&self, port: &str) -> Vec<Artifact> {
        let objects = self.runs(usize::MAX).into_iter().filter_map(|run| run.outputs.get(port));
        objects.filter_map(|object| self.store.get(&object.digest).ok()).collect()
    }
}

/// Runs an op; also returns the number of rows that were reused from an earlier run.
///
/// # Errors
/// The errors of the op.
pub fn run(
    entry: &Entry,
    op: &dyn AnyOp,
    inputs: &Inputs<'_>,
    before: &PriorRuns<'_>,
    cx: &Ctx<'_>,
) -> Result<(Outputs, usize), OpError> {
    match reuse(entry, op, inputs, before, cx)? {
        Some(made) => Ok(made),
        None => op.run(inputs, cx).map(|outputs| (outputs, 0)),
    }
}

/// The rows of an earlier run and the new rows together; none if there is no such run or reuse does
/// not pay.
fn reuse(
    entry: &Entry,
    op: &dyn AnyOp,
    inputs: &Inputs<'_>,
    before: &PriorRuns<'_>,
    cx: &Ctx<'_>,
) -> Result<Option<(Outputs, usize)>, OpError> {
    let ([input], [output], true) = (op.inputs(), op.outputs(), entry.row_wise) else {
        return Ok(None);
    };
    let (now, port) = (inputs.get(input.name)?, output.name);
    let Some(table) = now.as_table().filter(|_| is_worthwhile(op, now)) else { return Ok(None) };
    let Some(known) = nearest(now, table, before, input.name, port) else { return Ok(None) };
    let new = known.missing();
    let fresh = if new.is_empty() {
        None
    } else {
        let part = Artifact { data: Data::Table(select(table, &new)), ..now.clone() };
        let own = Inputs::new().with(input.name, &part).with_files(inputs.files());
        let made = op.run(&own, cx)?;
        made.into_vec().pop().map(|(_, artifact)| artifact)
    };
    // The old rows are read only now, so that they are not in memory while the op works.
    let Ok(old) = before.store.get(&known.output) else { return Ok(None) };
    let whole = splice(old, fresh, &known);
    Ok(whole.map(|whole| (Outputs::new().with(port, whole), table.rows() - new.len())))
}

/// True if finding a row again costs less than computing it: if input rows are narrower than output
/// rows, as recordings are, which are named and not held in memory.
fn is_worthwhile(op: &dyn AnyOp, input: &Artifact) -> bool {
    let shape = input.shape();
    let made = op.check(&[Some(shape.clone())]).ok();
    let width = |shape: &Shape| shape.width().unwrap_or(0);
    made.is_some_and(|made| made.first().is_some_and(|made| width(&shape) < width(made)))
}

/// The places of the rows of an input in an earlier run.
struct EarlierRows {
    /// The earlier place of each row; each place occurs at most once.
    places: Vec<Option<usize>>,
    /// The number of rows of the earlier run.
    rows: usize,
    /// The output of the earlier run.
    output: Digest,
}

impl EarlierRows {
    /// The rows that the earlier run does not have.
    fn missing(&self) -> Vec<usize> {
        (0..self.places.len()).filter(|&row| self.places[row].is_none()).collect()
    }

    /// The source of each row: a row of the earlier run, or one of the new rows, which are numbered
    /// behind them.
    fn order(&self) -> Vec<usize> {
        let mut new = self.rows..;
        let place = |place: &Option<usize>| place.or_else(|| new.next());
        self.places.iter().filter_map(place).collect()
    }
}

/// The earlier run that shares most rows; none if no run shares any.
fn nearest(
    now: &Artifact,
    table: &Table,
    before: &PriorRuns<'_>,
    input: &str,
    output: &str,
) -> Option<EarlierRows> {
    let wanted = digests(table);
    let known = before.runs(table.rows()).into_iter().filter_map(|run| {
        let then = before.store.get(run.cache_key.inputs.get(input)?).ok()?;
        let rows = then.as_table().filter(|then| are_alike(then, table))?;
        let fits = (then.kind, &then.meta) == (now.kind, &now.meta);
        fits.then_some(EarlierRows {
            places: places(&wanted, &digests(rows)),
            rows: rows.rows(),
            output: run.outputs.get(output)?.digest,
        })
    });
    // Of equals the first is chosen: `max_by_key` would give the last.
    let known = known.min_by_key(|known| known.missing().len())?;
    (known.missing().len() < table.rows()).then_some(known)
}

/// For each row of `wanted`, an equal row of `there`; each of them is used at most once.
fn places(wanted: &[Digest], there: &[Digest]) -> Vec<Option<usize>> {
    let mut free: HashMap<&Digest, Vec<usize>> = HashMap::new();
    for (row, digest) in there.iter().enumerate().rev() {
        free.entry(digest).or_default().push(row);
    }
    wanted.iter().map(|digest| free.get_mut(digest)?.pop()).collect()
}

/// The old and the new rows in the order of the present input; none if they do not fit together.
fn splice(old: Artifact, fresh: Option<Artifact>, known: &EarlierRows) -> Option<Artifact> {
    let Artifact { kind, meta, data: Data::Table(old) } = old else { return None };
    let fresh = match fresh {
        None => select(&old, &[]),
        Some(Artifact { kind: own, meta: fresh_meta, data: Data::Table(fresh) })
            if (own, &fresh_meta) == (kind, &meta) && are_alike(&old, &fresh) =>
        {
            fresh
        }
        Some(_) => return None,
    };
    let whole = old.rows() == known.rows && fresh.rows() == known.missing().len();
    whole.then(|| Artifact { kind, meta, data: Data::Table(merge(old, &fresh, &known.order())) })
}

/// Describes in words how many rows were reused; none if no row was.
pub fn describe_reuse(reused: usize, rows: usize) -> Option<String> {
    (reused > 0).then(|| match rows - reused.min(rows) {
        0 => format!("all {} rows were cached", grouped(rows)),
        _ => format!("{} of {} rows were cached", grouped(reused), grouped(rows)),
    })
}

/// Formats a whole number with a comma before every three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_again_once() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let of = |text: &str| text.chars().map(|it| digest(&it.to_string())).collect::<Vec<_>>();
        assert_eq!(places(&of("cabx"), &of("abc")), [Some(2), Some(0), Some(1), None]);
        assert_eq!(places(&of("aaa"), &of("aa")), [Some(0), Some(1), None]);
        let known =
            EarlierRows { places: places(&of("xaby"), &of("ab")), rows: 2, output: digest("") };
        assert_eq!((known.missing(), known.order()), (vec![0, 3], vec![2, 0, 1, 3]));
    }

    #[test]
    fn says_how_many_rows_were_there() {
        assert_eq!(describe_reuse(995, 1005).as_deref(), Some("995 of 1,005 rows were cached"));
        assert_eq!(
            describe_reuse(1_234_567, 1_234_567).as_deref(),
            Some("all 1,234,567 rows were cached")
        );
        assert_eq!(describe_reuse(0, 10), None);
    }
}
