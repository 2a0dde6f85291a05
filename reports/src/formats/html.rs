//! A report as one HTML file without any dependency: no network, no framework.

use crate::{
    document::{Block, Cell, Document, Picture, Row, Span, Table, Text},
    draw::svg,
    escape::{self, html as escaped},
};
use std::fmt::{self, Display, Write};

/// Writes a report. A cell shows the command for its origin, `engine why RUN CELL`.
pub fn write(document: &Document, run: &str) -> String {
    let title = escaped(&document.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{title}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{}{}\n</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n",
        crate::STYLE,
        svg::STYLE
    );
    write_blocks(&mut out, &document.blocks, run);
    let _ =
        write!(out, "</main>\n<script>\n{}</script>\n</body>\n</html>\n", include_str!("page.js"));
    out
}

fn write_blocks(out: &mut String, blocks: &[Block], run: &str) {
    for block in blocks {
        let _ = match block {
            Block::Heading(title) => writeln!(out, "<h2>{}</h2>", escaped(title)),
            Block::Paragraph(text) => writeln!(out, "<p>{}</p>", Inline(text)),
            Block::Notice(texts) => {
                let texts = texts.iter().map(|text| format!("<p>{}</p>", Inline(text)));
                writeln!(out, "<aside>{}</aside>", texts.collect::<String>())
            }
            Block::List(points) => {
                let points = points.iter().map(|point| format!("<li>{}</li>\n", Inline(point)));
                writeln!(out, "<ul>\n{}</ul>", points.collect::<String>())
            }
            Block::Table(table) => write_table(out, table, run),
            Block::Figure(picture) => write_figure(out, picture),
            Block::Terminal(text) => {
                let lines: Vec<_> = text.lines().map(|line| escaped(line).to_string()).collect();
                writeln!(out, "<pre>{}</pre>", lines.join("\n"))
            }
            Block::Details(summary, blocks) => {
                let _ = writeln!(out, "<details><summary>{}</summary>", Inline(summary));
                write_blocks(out, blocks, run);
                writeln!(out, "</details>")
            }
        };
    }
}

fn write_table(out: &mut String, table: &Table, run: &str) -> std::fmt::Result {
    out.push_str("<div class=\"wide\"><table class=\"sortable\">\n<thead><tr>");
    for column in &table.columns {
        let class = if column.is_number { " class=\"n\"" } else { "" };
        // A column without a title still has a button, which needs a name.
        let title = match column.title.as_str() {
            "" => "<span aria-label=\"title\"></span>".to_owned(),
            title => escaped(title).to_string(),
        };
        write!(out, "<th{class} aria-sort=\"none\"><button type=\"button\">{title}</button></th>")?;
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        out.push_str(if row.is_beside { "<tr class=\"beside\">" } else { "<tr>" });
        for (cell, column) in row.cells.iter().zip(&table.columns) {
            write_cell(out, cell, row, column.is_number, run)?;
        }
        out.push_str("</tr>\n");
    }
    writeln!(out, "</tbody>\n</table></div>")
}

fn write_cell(
    out: &mut String,
    cell: &Cell,
    row: &Row,
    is_number: bool,
    run: &str,
) -> std::fmt::Result {
    out.push_str(if is_number { "<td class=\"n\"" } else { "<td" });
    if let Some(id) = &cell.id {
        let id = escaped(id);
        write!(out, " id=\"{id}\" title=\"engine why {} {id}\"", escaped(run))?;
    }
    if let Some(value) = cell.value.filter(|value| value.is_finite() && !row.is_beside) {
        write!(out, " data-v=\"{value}\"")?;
    }
    write!(out, ">{}</td>", Inline(&cell.text))
}

fn write_figure(out: &mut String, picture: &Picture) -> std::fmt::Result {
    let class = if picture.points.is_some() { " class=\"ask\"" } else { "" };
    writeln!(out, "<figure{class} id=\"{}\">\n{}", escaped(&picture.name), picture.inline)?;
    if let Some(points) = &picture.points {
        let hint = match points.audio.is_empty() {
            true => "Point at a clip to see which it is.",
            false => "Point at a clip to see which it is; click to hear it.",
        };
        // Only `<` could end a script element. Invisible characters with an effect are replaced as
        // well.
        let json = serde_json::to_string(points).expect("points always serialise");
        writeln!(
            out,
            "<div class=\"clip\" aria-live=\"polite\">{hint}</div>\n<script type=\"application/json\">{}</script>",
            escape::visible(&json.replace('<', "\\u003c"))
        )?;
    }
    let title = escaped(&picture.title);
    writeln!(
        out,
        "<figcaption><strong>{title}.</strong> {}</figcaption>\n</figure>",
        Inline(&picture.caption)
    )
}

/// Inline text.
struct Inline<'t>(&'t Text);

impl Display for Inline<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.iter().try_for_each(|span| match span {
            Span::Plain(text) => escaped(text).fmt(out),
            Span::Strong(text) => write!(out, "<strong>{}</strong>", escaped(text)),
            Span::Emphasis(text) => write!(out, "<em>{}</em>", escaped(text)),
            Span::Code(text) => write!(out, "<code>{}</code>", escaped(text)),
            Span::Link(text, to) => {
                write!(out, "<a href=\"{}\">{}</a>", escape::address(to), escaped(text))
            }
            Span::Break => out.write_str("<br>"),
        })
    }
}
