//! The rows of a table that are shown, and their order: `--filter`, `--sort` and `--top`.

use crate::{
    plan::reasons,
    ui::{diagnostic::listed, suggest},
};
use cache::metric::Metric;
use clap::Args;
use reports::{ScoreTable, ScoredRow};
use serde_json::Value;
use std::cmp::Ordering;

/// A function that is true if a comparison holds for this order of a value and the one it is compared with.
type Holds = fn(Ordering) -> bool;

/// The comparisons of a filter; of those that begin alike, the longer first.
const COMPARISONS: [(&str, Holds); 6] = [
    ("<=", Ordering::is_le),
    (">=", Ordering::is_ge),
    ("!=", Ordering::is_ne),
    ("=", Ordering::is_eq),
    ("<", Ordering::is_lt),
    (">", Ordering::is_gt),
];

/// A quantity of rows: a metric, or a parameter of the sweep.
#[derive(Clone, Copy)]
enum Quantity<'t> {
    Metric(&'t Metric),
    Parameter(&'t str),
}

impl<'t> Quantity<'t> {
    /// The quantity of this name: a metric by its name or title, a parameter also by the last part of its name.
    fn find(table: &'t ScoreTable, name: &str) -> Result<Self, String> {
        let is = |other: &str| other.eq_ignore_ascii_case(name);
        if let Some(metric) = table.columns.iter().find(|it| is(&it.name) || is(&it.title)) {
            return Ok(Self::Metric(metric));
        }
        let axes = axes(table);
        let whole = axes.iter().find(|axis| is(axis));
        let last = || axes.iter().find(|axis| axis.rsplit('.').next().is_some_and(is));
        if let Some(axis) = whole.or_else(last) {
            return Ok(Self::Parameter(axis));
        }
        let names: Vec<&str> = table.columns.iter().map(|it| &*it.name).chain(axes).collect();
        let help = match suggest::closest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", listed(&names, "and")),
        };
        Err(format!("the table has no metric or parameter `{name}`; {help}"))
    }

    /// True if every value of the rows is a number.
    fn is_number(self, table: &ScoreTable) -> bool {
        let mut values = table.rows.iter().filter_map(|row| self.of(row));
        matches!(self, Self::Metric(_)) || values.all(|value| value.is_number())
    }

    fn of(self, row: &ScoredRow) -> Option<Value> {
        match self {
            Self::Metric(metric) => row.value(&metric.name).map(Value::from),
            Self::Parameter(axis) => {
                row.point.iter().find(|(name, _)| name == axis).map(|(_, value)| value.clone())
            }
        }
    }
}

/// The options that select and order rows.
#[derive(Args)]
pub struct RowArgs {
    /// Only rows that fulfil a condition, such as `ari>0.2` or `vae.latent=8`; may be given several times.
    #[arg(long, value_name = "CONDITION")]
    pub filter: Vec<String>,
    /// The rows in the order of a metric, the best first, or of a parameter.
    #[arg(long, value_name = "NAME")]
    pub sort: Option<String>,
    /// Only the first so many rows: by `--sort`, or else by the headline metric.
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
}

/// The value of a parameter of a row as a table shows it.
pub fn cell(row: &ScoredRow, axis: &str) -> String {
    let value = row.point.iter().find(|(name, _)| name == axis);
    value.map_or_else(|| "–".to_owned(), |(_, value)| reasons::shown(value))
}

/// The parameters that vary in a table, in the order of its rows.
pub fn axes(table: &ScoreTable) -> Vec<&str> {
    let mut axes: Vec<&str> = Vec::new();
    for (axis, _) in table.rows.iter().flat_map(|row| &row.point) {
        if !axes.contains(&axis.as_str()) {
            axes.push(axis);
        }
    }
    axes
}

/// The positions of the rows that pass all filters, the first `--top` by the quantity `--sort`: by a metric the best
/// first, by a parameter the least. Rows without a value come last.
///
/// # Errors
/// Returns a sentence if a filter cannot be read, or names what the table does not have.
pub fn select(table: &ScoreTable, args: &RowArgs) -> Result<Vec<usize>, String> {
    let (sort, top) = (args.sort.as_deref(), args.top);
    let filters = args.filter.iter().map(|text| Filter::read(table, text));
    let filters = filters.collect::<Result<Vec<_>, _>>()?;
    let mut rows: Vec<usize> = (0..table.rows.len())
        .filter(|at| filters.iter().all(|filter| filter.passes(&table.rows[*at])))
        .collect();
    // Without a metric that is asked for, the best are those by the headline metric.
    let quantity = match (sort, top) {
        (Some(name), _) => Some(Quantity::find(table, name)?),
        (None, Some(_)) => table.headline().map(Quantity::Metric),
        (None, None) => None,
    };
    if let Some(quantity) = quantity {
        rows.sort_by(|a, b| order(quantity, &table.rows[*a], &table.rows[*b]));
    }
    rows.truncate(top.unwrap_or(usize::MAX));
    Ok(rows)
}

fn order(quantity: Quantity<'_>, a: &ScoredRow, b: &ScoredRow) -> Ordering {
    match (quantity.of(a), quantity.of(b)) {
        (Some(x), Some(y)) => {
            let increasing = compared(&x, &y).unwrap_or(Ordering::Equal);
            match quantity {
                // Without a direction the greatest comes first.
                Quantity::Metric(metric) => match metric.rank(1.0) {
                    Some(rank) if rank < 0.0 => increasing,
                    _ => increasing.reverse(),
                },
                Quantity::Parameter(_) => increasing,
            }
        }
        (x, y) => x.is_none().cmp(&y.is_none()),
    }
}

/// The order of two values: of numbers by size, of others by their text.
fn compared(x: &Value, y: &Value) -> Option<Ordering> {
    match (x.as_f64(), y.as_f64()) {
        (Some(x), Some(y)) => x.partial_cmp(&y),
        _ => Some(text(x).cmp(&text(y))),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A condition on rows, such as `ari>0.2` or `vae.latent=8`.
struct Filter<'t> {
    quantity: Quantity<'t>,
    holds: Holds,
    value: Value,
}

impl<'t> Filter<'t> {
    fn read(table: &'t ScoreTable, condition: &str) -> Result<Self, String> {
        let split = COMPARISONS.iter().filter_map(|(sign, holds)| {
            let (name, value) = condition.split_once(sign)?;
            Some((name.trim(), value.trim(), *holds))
        });
        // The shortest name ends before the first sign.
        let (name, value, holds) = split.min_by_key(|(name, ..)| name.len()).ok_or_else(|| {
            format!("`{condition}` is no condition; write one such as `ari>0.2` or `latent=8`")
        })?;
        let quantity = Quantity::find(table, name)?;
        // As numbers are written everywhere: also `.9` and `1.`, which JSON does not have.
        let number = value.parse::<f64>().ok().filter(|it| it.is_finite());
        if number.is_none() && quantity.is_number(table) {
            return Err(format!(
                "`{condition}` compares `{name}`, which is a number, with `{value}`, which is none; \
                 write one such as `{name}>0.2`"
            ));
        }
        let value = number.map_or_else(|| Value::from(value), Value::from);
        Ok(Self { quantity, holds, value })
    }

    fn passes(&self, row: &ScoredRow) -> bool {
        let value = self.quantity.of(row);
        value.and_then(|value| compared(&value, &self.value)).is_some_and(self.holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows whose `ari` are these, at as many points of `vae.latent`.
    fn table(cells: &[(i64, Option<f64>)]) -> ScoreTable {
        let mut table = ScoreTable::default();
        for (latent, ari) in cells {
            let mut row = ScoredRow::default();
            row.point = vec![("vae.latent".to_owned(), (*latent).into())];
            row.values.insert("ari".to_owned(), ari.unwrap_or(f64::NAN));
            table.rows.push(row);
        }
        let metric = ops::known_metric("ari").expect("a metric");
        table.columns.push(metric);
        table
    }

    #[test]
    fn rows_are_filtered_sorted_and_cut() {
        let table = table(&[(2, Some(0.1)), (16, None), (4, Some(0.3)), (8, Some(0.2))]);
        let select = |filters: &[&str], sort: Option<&str>, top| {
            let filters: Vec<String> = filters.iter().map(|it| (*it).to_owned()).collect();
            let sort = sort.map(str::to_owned);
            select(&table, &RowArgs { filter: filters, sort, top })
        };
        assert_eq!(select(&[], None, None), Ok(vec![0, 1, 2, 3]));
        assert_eq!(select(&[], Some("ARI"), None), Ok(vec![2, 3, 0, 1]), "without a value last");
        assert_eq!(select(&[], Some("latent"), Some(2)), Ok(vec![0, 2]));
        assert_eq!(select(&[], None, Some(1)), Ok(vec![2]), "the best by the headline metric");
        assert_eq!(select(&["ari >= 0.2"], None, None), Ok(vec![2, 3]));
        assert_eq!(select(&["vae.latent!=4", "ari>0.1"], None, None), Ok(vec![3]));
        assert_eq!(select(&["latent<=4"], None, None), Ok(vec![0, 2]));
        let unknown = select(&[], Some("arj"), None).expect_err("unknown");
        assert!(unknown.contains("did you mean `ari`?"), "{unknown}");
        let faulty = select(&["ari"], None, None).expect_err("no condition");
        assert!(faulty.contains("is no condition"), "{faulty}");
        // Numbers as they are written elsewhere, and nothing that is none.
        assert_eq!(select(&["ari>.25"], None, None), Ok(vec![2]));
        assert_eq!(select(&["latent>=4.", "ari<+0.25"], None, None), Ok(vec![3]));
        for condition in ["ari>", "ari>=", "ari==0.2", "ari>0,2", "ari<high", "ari>20%", "latent=x"]
        {
            let faulty = select(&[condition], None, None).expect_err(condition);
            assert!(faulty.contains("which is none; write one such as"), "{faulty}");
        }
    }
}
