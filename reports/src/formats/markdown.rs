//! A report as Markdown, for GitHub and editors.

use crate::document::{Block, Cell, Document, Span, Table, Text};
use crate::escape::{self, markdown as escaped};
use std::fmt::{self, Display, Write};

/// Writes a report.
pub fn write(document: &Document) -> String {
    let mut out = format!("# {}\n\n", escaped(&document.title));
    write_blocks(&mut out, &document.blocks);
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn write_blocks(out: &mut String, blocks: &[Block]) {
    for block in blocks {
        write_block(out, block);
        out.push('\n');
    }
}

fn write_block(out: &mut String, block: &Block) {
    let _ = match block {
        Block::Heading(title) => writeln!(out, "## {}", escaped(title)),
        Block::Paragraph(text) => writeln!(out, "{}", Inline(text)),
        Block::Notice(texts) => {
            let lines: Vec<_> = texts.iter().map(|text| format!("> {}\n", Inline(text))).collect();
            write!(out, "{}", lines.join(">\n"))
        }
        Block::List(points) => {
            points.iter().try_for_each(|point| writeln!(out, "- {}", Inline(point)))
        }
        Block::Table(table) => write_table(out, table),
        Block::Figure(picture) => {
            let title = escaped(&picture.title);
            writeln!(
                out,
                "![{title}](figures/{}.{})\n\n**{title}.** {}",
                picture.name,
                picture.plain,
                Inline(&picture.caption)
            )
        }
        Block::Terminal(text) => {
            text.lines().try_for_each(|line| writeln!(out, "    {}", escape::visible(line)))
        }
        Block::Details(summary, blocks) => {
            let _ = writeln!(out, "<details><summary>{}</summary>\n", plain(summary));
            write_blocks(out, blocks);
            writeln!(out, "</details>")
        }
    };
}

fn write_table(out: &mut String, table: &Table) -> std::fmt::Result {
    for column in &table.columns {
        match column.title.as_str() {
            "" => write!(out, "| ")?,
            title => write!(out, "| {} ", escaped(title))?,
        }
    }
    out.push_str("|\n|");
    for column in &table.columns {
        out.push_str(if column.is_number { "--:|" } else { ":--|" });
    }
    out.push('\n');
    for row in &table.rows {
        for Cell { text, .. } in &row.cells {
            match row.is_beside {
                // The text of a row that continues the one above it is emphasised.
                true if !text.is_empty() => write!(out, "| *{}* ", Inline(text))?,
                _ => write!(out, "| {} ", Inline(text))?,
            }
        }
        out.push_str("|\n");
    }
    Ok(())
}

/// Inline text.
struct Inline<'t>(&'t Text);

impl Display for Inline<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.iter().try_for_each(|span| match span {
            Span::Plain(text) => escaped(text).fmt(out),
            Span::Strong(text) => write_marked(out, text, "**"),
            Span::Emphasis(text) => write_marked(out, text, "*"),
            Span::Code(text) => out.write_str(&escape::markdown_code(text)),
            Span::Link(text, to) => write!(out, "[{}]({})", escaped(text), escape::address(to)),
            Span::Break => out.write_str("<br>"),
        })
    }
}

/// Writes text between marks. A mark next to a space has no effect, so spaces stay outside.
fn write_marked(out: &mut fmt::Formatter<'_>, text: &str, mark: &str) -> std::fmt::Result {
    let word = text.trim_matches(' ');
    let start = text.len() - text.trim_start_matches(' ').len();
    let (before, after) = (&text[..start], &text[(start + word.len()).min(text.len())..]);
    match word {
        "" => write!(out, "{text}"),
        word => write!(out, "{before}{mark}{}{mark}{after}", escaped(word)),
    }
}

/// Text for a context in which only HTML is read.
fn plain(text: &Text) -> String {
    text.0.iter().fold(String::new(), |mut out, span| {
        match span {
            Span::Plain(text)
            | Span::Strong(text)
            | Span::Emphasis(text)
            | Span::Code(text)
            | Span::Link(text, _) => {
                let _ = write!(out, "{}", escape::html(text));
            }
            Span::Break => out.push(' '),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_touch_what_they_mark() {
        let text = Text::new().strong("The posterior of ").code("vae").strong(" has collapsed.");
        assert_eq!(Inline(&text).to_string(), "**The posterior of** `vae` **has collapsed.**");
        assert_eq!(
            Inline(&Text::new().plain("a").emphasis("  ").strong("b")).to_string(),
            "a  **b**"
        );
    }
}
