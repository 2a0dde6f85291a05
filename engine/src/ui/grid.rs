//! Tables of text: in columns where they fit, stacked where they do not, and in Markdown.

use crate::ui::fold::paragraph;

/// A table. Its first columns are text and aligned to the left, the others to the right.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    /// The names of the columns.
    pub head: Vec<String>,
    /// The rows; one that is shorter than the head ends in empty cells.
    pub rows: Vec<Vec<String>>,
    /// The number of text columns, from the first; they are aligned to the left.
    pub text: usize,
}

impl Grid {
    /// A table without rows, of which the first `text` columns are text.
    pub fn new<S: Into<String>>(head: impl IntoIterator<Item = S>, text: usize) -> Self {
        Self { head: head.into_iter().map(Into::into).collect(), rows: Vec::new(), text }
    }

    /// Draws columns if they fit into the width; otherwise each row as a heading with its cells
    /// below. A row without a first cell belongs to the heading above it.
    pub fn fitted(&self, width: usize) -> String {
        let widths: Vec<usize> = (0..self.head.len()).map(|at| self.width(at)).collect();
        let all = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        if all <= width { self.columns(&widths) } else { self.stacked(width) }
    }

    /// Shortens the cells of the last column so that all columns fit, if that leaves enough of them
    /// to read.
    pub fn shorten_last(&mut self, width: usize) {
        const MIN_WIDTH: usize = 12;
        let Some(last) = self.head.len().checked_sub(1) else { return };
        let others: usize = (0..last).map(|at| self.width(at) + 2).sum();
        let room = width.saturating_sub(others);
        if room < MIN_WIDTH {
            return;
        }
        for cell in self.rows.iter_mut().filter_map(|row| row.get_mut(last)) {
            if cell.chars().count() > room {
                *cell = cell.chars().take(room - 1).chain(['…']).collect();
            }
        }
    }

    fn cells(&self, at: usize) -> impl Iterator<Item = &str> {
        let cells = self.rows.iter().map(move |row| row.get(at).map_or("", String::as_str));
        std::iter::once(self.head[at].as_str()).chain(cells)
    }

    fn width(&self, at: usize) -> usize {
        self.cells(at).map(|cell| cell.chars().count()).max().unwrap_or(0)
    }

    fn columns(&self, widths: &[usize]) -> String {
        let mut out = String::new();
        for row in std::iter::once(&self.head).chain(&self.rows) {
            let mut line = String::new();
            for (at, &width) in widths.iter().enumerate() {
                let cell = row.get(at).map_or("", String::as_str);
                let gap = if at == 0 { "" } else { "  " };
                line.push_str(&match at < self.text {
                    true => format!("{gap}{cell:<width$}"),
                    false => format!("{gap}{cell:>width$}"),
                });
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    fn stacked(&self, width: usize) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let title = row.first().map_or("", String::as_str);
            if !title.is_empty() {
                out.push_str(&paragraph("", title, width));
            }
            let cells = self.head.iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty());
            // A space that does not break keeps a name beside its value.
            let cells = cells.map(|(name, cell)| format!("{name} {cell}").replace(' ', "\u{a0}"));
            let line = paragraph("  ", &cells.collect::<Vec<_>>().join(", "), width);
            out.push_str(&line.replace('\u{a0}', " "));
        }
        out
    }

    /// The table in Markdown, with all special characters escaped.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells = (0..self.head.len()).map(|at| {
                reports::escape_markdown(cells.get(at).map_or("", String::as_str)).to_string()
            });
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let rule: String =
            (0..self.head.len()).map(|at| if at < self.text { ":--|" } else { "--:|" }).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}|{rule}\n{rows}", line(&self.head))
    }
}

#[cfg(test)]
mod tests {
    use super::Grid;

    fn grid() -> Grid {
        let mut grid = Grid::new(["row", "ARI", "NMI"], 1);
        grid.rows.push(vec!["a|b".into(), "0.5".into(), "0.25".into()]);
        grid.rows.push(vec!["PCA".into(), "1".into()]);
        grid
    }

    #[test]
    fn columns_where_they_fit() {
        assert_eq!(grid().fitted(40), "row  ARI   NMI\na|b  0.5  0.25\nPCA    1\n");
    }

    #[test]
    fn stacked_where_they_do_not() {
        assert_eq!(grid().fitted(10), "a|b\n  ARI 0.5,\n  NMI 0.25\nPCA\n  ARI 1\n");
    }

    #[test]
    fn markdown_has_all_cells() {
        let text = grid().markdown();
        assert_eq!(
            text,
            "| row | ARI | NMI |\n|:--|--:|--:|\n| a\\|b | 0.5 | 0.25 |\n| PCA | 1 |  |\n"
        );
    }
}
