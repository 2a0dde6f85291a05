//! Tables as CSV: the one reader of every CSV file.
//!
//! Fields are separated by commas and may be quoted (RFC 4180). White space around a field is
//! ignored, also before a quote. Lines may end as on any operating system, and empty lines are
//! skipped.

use crate::{
    cells::{Cells, Values},
    missing::is_missing,
};
use ::csv::{Position, ReaderBuilder, StringRecord, Trim};

/// The number of diagnostics that a message lists one by one.
const LISTED: usize = 10;

/// The cells of a CSV file as text.
#[derive(Clone, Debug)]
pub struct CsvTable {
    names: Vec<String>,
    records: Vec<StringRecord>,
    lines: Vec<u64>,
}

impl CsvTable {
    /// Parses the bytes of a file; the first line names the columns.
    ///
    /// # Errors
    /// The end of a sentence about the file: the file is not UTF-8 text, is not separated by
    /// commas, or has lines with more or fewer fields than the first, which are named.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let text = text(bytes)?;
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .from_reader(text.as_bytes());
        let (mut records, mut lines, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        let mut names: Option<Vec<String>> = None;
        for record in reader.records() {
            let record = record.map_err(|error| format!("is not CSV: {error}"))?;
            let line = record.position().map_or(0, Position::line);
            let Some(names) = &names else {
                names = Some(record.iter().map(|field| unquoted(field).into_owned()).collect());
                continue;
            };
            if record.len() != names.len() {
                faults.push(format!(
                    "line {line} has {} fields, not {}",
                    record.len(),
                    names.len()
                ));
                continue;
            }
            records.push(record);
            lines.push(line);
        }
        let names = names.ok_or("is empty")?;
        if let Some(reason) = separated_otherwise(&names, text) {
            return Err(reason);
        }
        if !faults.is_empty() {
            return Err(listed(&faults));
        }
        Ok(Self { names, records, lines })
    }

    /// The same table with the first line as a row; columns are named by their numbers from 0, as
    /// in pandas.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.records.insert(0, StringRecord::from(std::mem::take(&mut self.names)));
        self.lines.insert(0, 1);
        self.names = (0..self.records[0].len()).map(|at| at.to_string()).collect();
        self
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.records.len()
    }

    /// The line number of a row in the file, from 1.
    pub fn line(&self, row: usize) -> u64 {
        self.lines[row]
    }

    /// A cell as it is written, without the white space around it.
    pub fn cell(&self, row: usize, column: usize) -> std::borrow::Cow<'_, str> {
        unquoted(&self.records[row][column])
    }

    /// The position of the column of a name.
    ///
    /// # Errors
    /// When there is none or more than one; the end of a sentence about the file.
    pub fn place(&self, name: &str) -> Result<usize, String> {
        let mut places = (0..self.names.len()).filter(|&at| self.names[at] == name);
        match (places.next(), places.next()) {
            (Some(at), None) => Ok(at),
            (Some(_), Some(_)) => Err(format!("has the column `{name}` twice")),
            (None, _) => {
                const SHOWN: usize = 10;
                let found = self.names.iter().take(SHOWN).map(|name| format!("`{name}`"));
                let found: Vec<_> = found.collect();
                let more = self.names.len().saturating_sub(SHOWN);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                Err(format!("has no column `{name}`, only {}{more}", found.join(", ")))
            }
        }
    }

    /// A column as text.
    pub fn text(&self, column: usize) -> Cells {
        let cells: Vec<String> =
            (0..self.rows()).map(|row| self.cell(row, column).into_owned()).collect();
        let missing = (0..cells.len()).filter(|&row| is_missing(&cells[row])).collect();
        Cells { values: Values::Text(cells), missing }
    }

    /// A column as real numbers, NaN in cells without a value; as whole numbers if all are such and
    /// some exceed what double precision can tell apart.
    ///
    /// # Errors
    /// The end of a sentence about the file: the cells that are not numbers.
    pub fn reals(&self, column: usize) -> Result<Cells, String> {
        let (mut values, mut missing, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..self.rows() {
            let cell = self.cell(row, column);
            if is_missing(&cell) {
                missing.push(row);
                values.push(f64::NAN);
            } else if let Ok(number) = cell.parse() {
                values.push(number);
            } else {
                faults.push((row, cell));
            }
        }
        let Some((row, cell)) = faults.first() else {
            const EXACT: f64 = (1_u64 << 53) as f64;
            if values.iter().any(|value: &f64| value.abs() >= EXACT) {
                let whole = (0..self.rows()).map(|row| self.cell(row, column).parse());
                if let Ok(whole) = whole.collect() {
                    return Ok(Cells { values: Values::Whole(whole), missing });
                }
            }
            return Ok(Cells { values: Values::Real(values), missing });
        };
        let more = match faults.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more such cells"),
        };
        let (name, line) = (&self.names[column], self.line(*row));
        Err(format!("has `{cell}` in column `{name}` of line {line}, not a number{more}"))
    }
}

/// Diagnostics in one sentence, which lists only the first of them.
pub fn listed(faults: &[String]) -> String {
    let mut text = format!("has faulty lines: {}", faults[..faults.len().min(LISTED)].join("; "));
    if faults.len() > LISTED {
        text.push_str(&format!("; and {} more", faults.len() - LISTED));
    }
    text
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("is UTF-16 text, not UTF-8: save it as UTF-8".to_owned());
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&b| b == b'\n').count();
        format!("is not UTF-8 text (line {line})")
    })
}

/// The name of another separator than the comma, if the header line contains one.
fn separated_otherwise(names: &[String], text: &str) -> Option<String> {
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    if first.starts_with('#') && names.len() == 1 {
        return Some(
            "begins with the comment `#`: remove it, so that the first line names the columns"
                .to_owned(),
        );
    }
    let [only] = names else { return None };
    let (mark, name) = [(';', "semicolons"), ('\t', "tabs"), ('|', "bars")]
        .into_iter()
        .find(|(mark, _)| only.contains(*mark))?;
    let second = text.lines().filter(|line| !line.trim().is_empty()).nth(1).unwrap_or_default();
    let is_decimal = |field: &str| {
        field.trim().split_once(',').is_some_and(|(whole, part)| {
            let digits =
                |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
            digits(whole.trim_start_matches('-')) && digits(part)
        })
    };
    let decimals = if second.split(mark).any(is_decimal) {
        ", and its numbers have decimal commas"
    } else {
        ""
    };
    let argument = if mark == '\t' { "\\t".to_owned() } else { mark.to_string() };
    let decimal = if decimals.is_empty() { "" } else { ", decimal=\",\"" };
    Some(format!(
        "is separated by {name}, not commas{decimals}: save it again, as with pandas' \
         `read_csv(path, sep=\"{argument}\"{decimal}).to_csv(path, index=False)`"
    ))
}

/// A field without its quotes where they follow a space, which the CSV reader does not recognise.
fn unquoted(field: &str) -> std::borrow::Cow<'_, str> {
    let inner = field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if field.len() > 1 => inner.replace("\"\"", "\"").into(),
        _ => field.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(bytes: &[u8]) -> String {
        CsvTable::read(bytes).expect_err("a fault")
    }

    #[test]
    fn spaces_quotes_marks_and_line_ends_do_not_matter() {
        for text in [
            "path,label\na b.wav,\"x, y\"\n",
            "\u{feff}path , label\r\na b.wav , \"x, y\"\r\n"
                .replace(", \"x, y\"", ",\"x, y\"")
                .as_str(),
            "path, \"label\"\r\ra b.wav,\"x, y\"\r",
            "\n\npath,label\n\na b.wav,\"x, y\"",
        ] {
            let table = CsvTable::read(text.as_bytes()).expect(text);
            assert_eq!(table.names(), ["path", "label"], "{text:?}");
            assert_eq!((table.cell(0, 0), table.cell(0, 1)), ("a b.wav".into(), "x, y".into()));
        }
        let spaced = CsvTable::read(b"a, b\n1, \"say \"\"no\"\"\"\n").expect("a table");
        assert_eq!(spaced.cell(0, 1), "say \"no\"");
    }

    #[test]
    fn what_is_not_separated_by_commas_says_how_to_mend_it() {
        assert!(error(b"f1;f2\n1;2\n").contains("separated by semicolons"));
        let german = error(b"f1;f2\n1,5;2,25\n");
        assert!(german.contains("decimal commas") && german.contains("decimal=\",\""), "{german}");
        assert!(error(b"f1\tf2\n1\t2\n").contains("separated by tabs"));
        assert!(error(b"# made by x\nf1,f2\n1,2\n").contains("the comment `#`"));
        assert!(error(b"\xff\xfef\x001\x00").contains("UTF-16"));
        assert_eq!(error(b"a,b\n1,2\n\xff,1\n"), "is not UTF-8 text (line 3)");
        assert_eq!(error(b""), "is empty");
        assert_eq!(
            error(b"a,b\n1\n2,3\n4,5,6\n"),
            "has faulty lines: line 2 has 1 fields, not 2; line 4 has 3 fields, not 2"
        );
    }

    #[test]
    fn cells_are_text_or_numbers_or_missing() {
        let table = CsvTable::read(b"x,y,x\n1e3,NA,a\n, -.5 ,\n").expect("a table");
        let reals = table.reals(0).expect("numbers");
        let Values::Real(values) = reals.values else { panic!("no numbers") };
        assert!(values[0] == 1000.0 && values[1].is_nan());
        assert_eq!(reals.missing, [1]);
        assert_eq!(table.text(1).missing, [0]);
        assert_eq!(table.place("x"), Err("has the column `x` twice".to_owned()));
        assert_eq!(table.place("z"), Err("has no column `z`, only `x`, `y`, `x`".to_owned()));
        let error = table.reals(2).expect_err("a fault");
        assert_eq!(error, "has `a` in column `x` of line 2, not a number");
        let bare = table.without_header();
        assert_eq!(
            (bare.names(), bare.rows(), bare.line(1)),
            (&["0".to_owned(), "1".to_owned(), "2".to_owned()][..], 3, 2)
        );
    }
}
