//! The scores in a wide form: a line for each row and point, a column for each parameter and metric.

use super::results::{axes, number, parameter, quote, value};
use crate::scores::ScoredRow;
use cache::{Artifact, Column, Kind, Table, parquet};

/// The scores of rows, as a table with a line for each of them.
pub struct Wide(Table);

impl Wide {
    /// The columns are `row`, the parameters that vary, `seeds` (how many have scores), and each metric
    /// by its mean over these. Where it has an interval, `METRIC.half_interval` is half its width.
    pub fn of(rows: &[ScoredRow]) -> Self {
        let mut table = Table::new().with_text("row", rows.iter().map(|row| row.name.as_str()));
        for (axis, column) in axes(rows) {
            let values: Vec<_> = rows.iter().map(|row| value(row, axis)).collect();
            table = table.with(&column, parameter(&values));
        }
        let seeds = rows.iter().map(|row| i64::try_from(row.scored()).unwrap_or(i64::MAX));
        table = table.with_ints("seeds", seeds.collect());
        let mut metrics: Vec<&str> = Vec::new();
        for row in rows {
            let named = row.metrics.iter().map(|metric| &*metric.name);
            // Scores that are not described come last.
            for metric in named.chain(row.values.keys().map(String::as_str)) {
                if !metrics.contains(&metric) {
                    metrics.push(metric);
                }
            }
        }
        for metric in metrics {
            let is_taken = table.column(metric).is_some();
            let name = if is_taken { format!("metric.{metric}") } else { metric.to_owned() };
            let means = rows.iter().map(|row| row.value(metric).unwrap_or(f64::NAN)).collect();
            table = table.with_reals(&name, means);
            let halves = rows.iter().map(|row| row.estimate(metric)?.half_width);
            let halves: Vec<Option<f64>> = halves.collect();
            if halves.iter().any(Option::is_some) {
                let halves = halves.into_iter().map(|half| half.unwrap_or(f64::NAN)).collect();
                table = table.with_reals(&format!("{name}.half_interval"), halves);
            }
        }
        Self(table)
    }

    /// The table as CSV; what is not known is an empty cell.
    pub fn csv(&self) -> String {
        let mut out = String::new();
        for (name, _) in self.0.columns() {
            match name.chars().all(|it| it.is_ascii_alphanumeric() || "_.".contains(it)) {
                true => out.extend([name, ","]),
                false => quote(&mut out, name),
            }
        }
        end_line(&mut out);
        for row in 0..self.0.rows() {
            for (_, column) in self.0.columns() {
                match column {
                    Column::Text(texts) if texts[row].is_empty() => out.push(','),
                    Column::Text(texts) => quote(&mut out, &texts[row]),
                    Column::Int(numbers) => out.push_str(&format!("{},", numbers[row])),
                    Column::Real(numbers) => {
                        number(&mut out, Some(&numbers[row]).filter(|it| !it.is_nan()));
                    }
                    Column::Array(_) => out.push(','),
                }
            }
            end_line(&mut out);
        }
        out
    }

    /// The table as Parquet.
    ///
    /// # Errors
    /// When it cannot be written as Parquet.
    pub fn parquet(&self) -> Result<Vec<u8>, String> {
        let artifact = Artifact::table(Kind::Scores, self.0.clone());
        let mut bytes = Vec::new();
        parquet::write(&mut bytes, &artifact, &self.0)?;
        Ok(bytes)
    }
}

/// Turns the comma behind the last cell into the end of the line.
fn end_line(out: &mut String) {
    out.pop();
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::Wide;
    use crate::scores::ScoredRow;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn a_line_for_each_point_and_a_column_for_each_number() {
        let row = |latent: Option<i64>, ari: &[f64]| ScoredRow {
            name: "VAE, =1".to_owned(),
            point: latent.map(|it| ("vae.latent".to_owned(), json!(it))).into_iter().collect(),
            seeds: vec![Default::default(); 2],
            values: BTreeMap::from([
                ("ari".to_owned(), ari.iter().sum::<f64>() / ari.len() as f64),
                ("vae.latent".to_owned(), 1.0),
            ]),
            draws: BTreeMap::from([("ari".to_owned(), (0..).zip(ari.iter().copied()).collect())]),
            ..ScoredRow::default()
        };
        let rows = [row(Some(8), &[0.25, 0.25]), row(None, &[0.5, 0.5])];
        assert_eq!(
            Wide::of(&rows).csv(),
            "row,vae.latent,seeds,ari,metric.vae.latent\n\"VAE, =1\",8,2,0.25,1\n\"VAE, =1\",,2,0.5,1\n"
        );
        let mut spread = row(Some(8), &[0.25, 0.75]);
        // Another step for each seed.
        spread.seeds[1].step = "scores{seed=1}".to_owned();
        let csv = Wide::of(&[spread]).csv();
        assert!(csv.starts_with("row,vae.latent,seeds,ari,ari.half_interval,"), "{csv}");
        let bytes = Wide::of(&rows).parquet().expect("Parquet");
        assert_eq!(&bytes[..4], b"PAR1");
    }
}
