//! The tables of a report as LaTeX, for `\input` in a paper.

use crate::{
    document::{Block, Row, Span, Table, Text},
    escape::latex as escaped,
};
use std::fmt::Write;

/// Writes the results of a report, if there are any.
pub fn write(results: &Table) -> String {
    let mut out = "% Needs \\usepackage{booktabs}.\n".to_owned();
    if !results.rows.is_empty() {
        write_table(&mut out, results);
    }
    out
}

/// Writes paragraphs and lists.
pub fn prose(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        match block {
            Block::Paragraph(text) => {
                let _ = writeln!(out, "{}\n", inline(text, &Row::default()));
            }
            Block::List(points) => {
                out.push_str("\\begin{itemize}\n");
                for point in points {
                    let _ = writeln!(out, "\\item {}", inline(point, &Row::default()));
                }
                out.push_str("\\end{itemize}\n\n");
            }
            _ => {}
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn write_table(out: &mut String, table: &Table) {
    let columns: String =
        table.columns.iter().map(|column| if column.is_number { 'r' } else { 'l' }).collect();
    let heads: Vec<_> =
        table.columns.iter().map(|column| escaped(&column.title).to_string()).collect();
    let _ = write!(
        out,
        "\\begin{{tabular}}{{{columns}}}\n\\toprule\n{} \\\\\n\\midrule\n",
        heads.join(" & ")
    );
    for row in &table.rows {
        let cells: Vec<_> = row.cells.iter().map(|cell| inline(&cell.text, row)).collect();
        let _ = writeln!(out, "{} \\\\", cells.join(" & "));
    }
    out.push_str("\\bottomrule\n\\end{tabular}\n");
}

fn inline(text: &Text, row: &Row) -> String {
    let spans = text.0.iter().map(|span| match span {
        Span::Plain(text) | Span::Link(text, _) => escaped(text).to_string(),
        Span::Strong(text) => format!("\\textbf{{{}}}", escaped(text)),
        Span::Emphasis(text) => format!("\\emph{{{}}}", escaped(text)),
        Span::Code(text) => format!("\\texttt{{{}}}", escaped(text)),
        Span::Break => " ".to_owned(),
    });
    let text: String = spans.collect();
    if row.is_beside && !text.is_empty() { format!("\\emph{{{text}}}") } else { text }
}
