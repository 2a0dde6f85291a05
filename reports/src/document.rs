//! A report without an output format: a sequence of blocks. Each writer formats them and escapes
//! all text, since no text here is trusted.

use serde::Serialize;

/// A whole report.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its title.
    pub title: String,
    /// The content.
    pub blocks: Vec<Block>,
}

/// A part of a report on lines of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// The title of a section.
    Heading(String),
    /// A paragraph of text.
    Paragraph(Text),
    /// Notices that come before everything else, one paragraph each.
    Notice(Vec<Text>),
    /// A list of short points.
    List(Vec<Text>),
    /// A table.
    Table(Table),
    /// A figure.
    Figure(Picture),
    /// The output of a terminal, unchanged.
    Terminal(String),
    /// Blocks that are folded away under a line if the format supports it.
    Details(Text, Vec<Block>),
}

/// Inline text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text(pub Vec<Span>);

/// A span of text of one style.
#[derive(Clone, Debug, PartialEq)]
pub enum Span {
    /// Plain text.
    Plain(String),
    /// Strong text.
    Strong(String),
    /// Emphasised text.
    Emphasis(String),
    /// Code: a name of the pipeline, a file, a command.
    Code(String),
    /// A link: its text and its address.
    Link(String, String),
    /// A line break.
    Break,
}

impl Text {
    /// An empty text.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds plain text.
    #[must_use]
    pub fn plain(self, text: impl Into<String>) -> Self {
        self.with(Span::Plain(text.into()))
    }

    /// Adds strong text.
    #[must_use]
    pub fn strong(self, text: impl Into<String>) -> Self {
        self.with(Span::Strong(text.into()))
    }

    /// Adds emphasised text.
    #[must_use]
    pub fn emphasis(self, text: impl Into<String>) -> Self {
        self.with(Span::Emphasis(text.into()))
    }

    /// Adds a name or a command.
    #[must_use]
    pub fn code(self, text: impl Into<String>) -> Self {
        self.with(Span::Code(text.into()))
    }

    /// Adds text in which backticks enclose code.
    #[must_use]
    pub fn marked(mut self, text: &str) -> Self {
        for (at, part) in text.split('`').enumerate().filter(|(_, part)| !part.is_empty()) {
            self = if at % 2 == 1 { self.code(part) } else { self.plain(part) };
        }
        self
    }

    /// Adds a link.
    #[must_use]
    pub fn link(self, text: impl Into<String>, to: impl Into<String>) -> Self {
        self.with(Span::Link(text.into(), to.into()))
    }

    /// Adds text of several lines.
    #[must_use]
    pub fn lines(mut self, text: &str) -> Self {
        for (index, line) in text.lines().enumerate() {
            self = if index > 0 { self.with(Span::Break) } else { self }.plain(line.trim());
        }
        self
    }

    /// Adds text after a line break.
    #[must_use]
    pub fn lines_below(self, text: &str) -> Self {
        self.with(Span::Break).plain(text)
    }

    /// Adds the spans of another text.
    #[must_use]
    pub fn then(mut self, other: Text) -> Self {
        self.0.extend(other.0);
        self
    }

    /// True if there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn with(mut self, span: Span) -> Self {
        self.0.push(span);
        self
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new().plain(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new().plain(text)
    }
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The heading.
    pub title: String,
    /// True if the column holds numbers, which are aligned to the right.
    pub is_number: bool,
}

impl Column {
    /// A column of text.
    pub fn text(title: impl Into<String>) -> Self {
        Self { title: title.into(), is_number: false }
    }

    /// A column of numbers.
    pub fn number(title: impl Into<String>) -> Self {
        Self { title: title.into(), is_number: true }
    }
}

/// A row of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// One cell a column.
    pub cells: Vec<Cell>,
    /// True if the row continues the row above, and moves with it when the table is sorted.
    pub is_beside: bool,
}

impl Row {
    /// A row of its own.
    pub fn new(cells: Vec<Cell>) -> Self {
        Self { cells, is_beside: false }
    }
}

/// A cell of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// The displayed text.
    pub text: Text,
    /// The number by which it is sorted, unless the text is used.
    pub value: Option<f64>,
    /// An identifier within the report, by which a reader can ask for the origin of the number.
    pub id: Option<String>,
}

impl<T: Into<Text>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl Cell {
    /// The same cell, sorted by a number.
    #[must_use]
    pub fn valued(mut self, value: f64) -> Self {
        self.value = Some(value);
        self
    }

    /// The same cell with an identifier.
    #[must_use]
    pub fn named(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }
}

/// A drawing with its title and caption.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// The name of its files, without extension.
    pub name: String,
    /// The extension of the file that a text without a page shows.
    pub plain: &'static str,
    /// Its title.
    pub title: String,
    /// The caption.
    pub caption: Text,
    /// The element of a page that shows it: an SVG or an image.
    pub inline: String,
    /// Its points, if the page shows details of a point.
    pub points: Option<InteractivePoints>,
}

/// Points of which a page shows details.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InteractivePoints {
    /// The clip of each point.
    pub clips: Vec<String>,
    /// The positions of the points on the drawing, for each panel.
    pub panels: Vec<Vec<[f32; 2]>>,
    /// Facts about the points: a title, the distinct values, and the index of the value of each
    /// point.
    pub facts: Vec<(String, Vec<String>, Vec<u32>)>,
    /// The common prefix of all addresses of recordings.
    pub folder: String,
    /// The rest of the address of each recording; `None` if it cannot be played.
    pub audio: Vec<Option<String>>,
}
