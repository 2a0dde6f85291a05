//! A report without a form: what it says, block after block. Each writer gives it one form, and
//! escapes what it writes: no text in here is trusted.

use serde::Serialize;

/// A whole report.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its title.
    pub title: String,
    /// What it says.
    pub blocks: Vec<Block>,
}

/// A part of a report that stands on lines of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// The title of a section.
    Heading(String),
    /// Sentences.
    Paragraph(Text),
    /// What a reader must know before all else; one paragraph each.
    Notice(Vec<Text>),
    /// Short points.
    List(Vec<Text>),
    /// Rows and columns.
    Table(Table),
    /// A drawing.
    Figure(Picture),
    /// Text of a terminal, as it is.
    Terminal(String),
    /// Blocks that are folded away under a line, where the form can fold.
    Details(Text, Vec<Block>),
}

/// Text in a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text(pub Vec<Span>);

/// A stretch of text of one sort.
#[derive(Clone, Debug, PartialEq)]
pub enum Span {
    /// As it is.
    Plain(String),
    /// With weight.
    Strong(String),
    /// Set apart.
    Emphasis(String),
    /// A name of the pipeline, a file, a command.
    Code(String),
    /// A link: its text and where it leads.
    Link(String, String),
    /// A new line.
    Break,
}

impl Text {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds text as it is.
    #[must_use]
    pub fn plain(self, text: impl Into<String>) -> Self {
        self.with(Span::Plain(text.into()))
    }

    /// Adds text with weight.
    #[must_use]
    pub fn strong(self, text: impl Into<String>) -> Self {
        self.with(Span::Strong(text.into()))
    }

    /// Adds text that is set apart.
    #[must_use]
    pub fn emphasis(self, text: impl Into<String>) -> Self {
        self.with(Span::Emphasis(text.into()))
    }

    /// Adds a name or a command.
    #[must_use]
    pub fn code(self, text: impl Into<String>) -> Self {
        self.with(Span::Code(text.into()))
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

    /// Adds a line below.
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

    /// Whether it says nothing.
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

/// Rows and columns.
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
    /// What stands above it.
    pub title: String,
    /// Whether it holds numbers, which stand to the right.
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
    /// Whether it says more of the row above, and moves with it when the table is sorted.
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
    /// What it shows.
    pub text: Text,
    /// The number it is sorted by, if it is not its text.
    pub value: Option<f64>,
    /// Its name within the report, by which a reader can ask where it comes from.
    pub id: Option<String>,
}

impl<T: Into<Text>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl Cell {
    /// The same, sorted by a number.
    #[must_use]
    pub fn valued(mut self, value: f64) -> Self {
        self.value = Some(value);
        self
    }

    /// The same with a name.
    #[must_use]
    pub fn named(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }
}

/// A drawing and what is said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// The name of its files, without ending.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What to see in it.
    pub caption: Text,
    /// The drawing itself, for pages that hold it.
    pub svg: String,
    /// Its points, if a reader may ask what each is.
    pub points: Option<Asked>,
}

/// Points that a reader may ask for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// The clip of each point.
    pub clips: Vec<String>,
    /// Where they lie on the drawing, for each panel.
    pub panels: Vec<Vec<[f32; 2]>>,
    /// What is known of them: a title, the values there are, and which of them each point has.
    pub facts: Vec<(String, Vec<String>, Vec<u32>)>,
    /// The start of all addresses of recordings.
    pub folder: String,
    /// The rest of the address of each recording; empty if none can be heard.
    pub audio: Vec<Option<String>>,
}
