//! Scenes: marks from back to front, in units of which a page is about 600 wide.

use super::{
    color::{CATEGORIES, Map, Paint, Palette},
    font,
};

/// A drawing.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// The pixels of a screen that a unit takes.
    pub scale: f64,
    /// The text for readers who cannot see the drawing.
    pub title: String,
    /// The marks, from back to front.
    pub marks: Vec<Mark>,
}

/// An element of a drawing.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A filled rectangle.
    Rect {
        /// Left, top, width, height.
        frame: [f64; 4],
        /// Its colour.
        fill: Paint,
    },
    /// A line through points; points that are not finite break it.
    Line {
        /// The points.
        points: Vec<[f64; 2]>,
        /// Its colour.
        stroke: Paint,
        /// Its width.
        width: f64,
        /// True if it is dashed.
        dashed: bool,
    },
    /// A filled polygon.
    Area {
        /// The corners.
        points: Vec<[f64; 2]>,
        /// Its colour.
        fill: Paint,
    },
    /// Marks of one shape and colour.
    Dots {
        /// Their centres.
        points: Vec<[f64; 2]>,
        /// Their shape.
        shape: Shape,
        /// The half width.
        radius: f64,
        /// Their colour.
        fill: Paint,
    },
    /// Text on one line.
    Words(Words),
    /// A picture of numbers, such as a spectrogram.
    Image(Image),
}

/// Text on one line.
#[derive(Clone, Debug)]
pub struct Words {
    /// The text.
    pub text: String,
    /// The position of the anchor, on the baseline.
    pub at: [f64; 2],
    /// The part of the text at the anchor.
    pub anchor: Anchor,
    /// The font size.
    pub size: f64,
    /// Its colour.
    pub fill: Paint,
    /// True if it runs upwards.
    pub upwards: bool,
}

/// A picture of numbers, a pixel each, stretched to a frame.
#[derive(Clone, Debug)]
pub struct Image {
    /// Left, top, width, height.
    pub frame: [f64; 4],
    /// Pixels in a row.
    pub columns: usize,
    /// Rows from the top, as positions in the colour map in 255ths.
    pub pixels: Vec<u8>,
    /// The colour map.
    pub map: Map,
}

/// The part of a text that is at its position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Anchor {
    /// Its start.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// The shape of a mark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// A disc.
    Disc,
    /// A triangle.
    Triangle,
    /// A square.
    Square,
    /// A square on its corner.
    Diamond,
}

impl Shape {
    /// All shapes, in the order in which categories take them.
    const ALL: [Shape; 4] = [Shape::Disc, Shape::Triangle, Shape::Square, Shape::Diamond];

    /// The number of categories that differ by colour or shape.
    pub const DISTINCT: usize = CATEGORIES * Self::ALL.len();

    /// The shape of a category, which changes each time the colours repeat.
    pub fn category(index: usize) -> Self {
        Self::ALL[index / CATEGORIES % Self::ALL.len()]
    }

    /// The corners around the centre at radius 1; a disc has none.
    pub fn corners(self) -> &'static [[f64; 2]] {
        match self {
            Shape::Disc => &[],
            Shape::Triangle => &[[0.0, -1.25], [1.15, 0.85], [-1.15, 0.85]],
            Shape::Square => &[[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
            Shape::Diamond => &[[0.0, -1.3], [1.3, 0.0], [0.0, 1.3], [-1.3, 0.0]],
        }
    }
}

/// The font sizes of titles, of axis labels, and of tick labels.
pub const SIZES: [f64; 3] = [17.0, 15.0, 14.0];

/// The height that the title of a scene takes, with its font size.
pub const HEADING: f64 = 32.0;
const HEADING_SIZE: f64 = 19.0;

impl Scene {
    /// An empty drawing.
    pub fn new(width: f64, height: f64, title: impl Into<String>) -> Self {
        Self { width, height, scale: 1.0, title: title.into(), marks: Vec::new() }
    }

    /// The same drawing with room for its title at the top.
    #[must_use]
    pub fn headed(mut self) -> Self {
        let down = |point: &mut [f64; 2]| point[1] += HEADING;
        for mark in &mut self.marks {
            match mark {
                Mark::Rect { frame, .. } | Mark::Image(Image { frame, .. }) => frame[1] += HEADING,
                Mark::Line { points, .. }
                | Mark::Area { points, .. }
                | Mark::Dots { points, .. } => {
                    points.iter_mut().for_each(down);
                }
                Mark::Words(words) => down(&mut words.at),
            }
        }
        self.height += HEADING;
        let title = font::cut(&self.title, HEADING_SIZE, self.width - 16.0);
        self.words(title, [8.0, 22.0], Anchor::Start, HEADING_SIZE);
        self
    }

    /// Gives the categories the colours of a palette.
    pub fn paint(&mut self, palette: Palette) {
        for mark in &mut self.marks {
            match mark {
                Mark::Rect { fill: paint, .. }
                | Mark::Line { stroke: paint, .. }
                | Mark::Area { fill: paint, .. }
                | Mark::Dots { fill: paint, .. }
                | Mark::Words(Words { fill: paint, .. }) => *paint = palette.of(*paint),
                Mark::Image(_) => {}
            }
        }
    }

    /// Adds a filled rectangle.
    pub fn rect(&mut self, frame: [f64; 4], fill: Paint) {
        self.marks.push(Mark::Rect { frame, fill });
    }

    /// Adds a line.
    pub fn line(&mut self, points: Vec<[f64; 2]>, stroke: Paint, width: f64) {
        self.marks.push(Mark::Line { points, stroke, width, dashed: false });
    }

    /// Adds a dashed line.
    pub fn dashed(&mut self, points: Vec<[f64; 2]>, stroke: Paint, width: f64) {
        self.marks.push(Mark::Line { points, stroke, width, dashed: true });
    }

    /// Adds marks.
    pub fn dots(&mut self, points: Vec<[f64; 2]>, shape: Shape, radius: f64, fill: Paint) {
        self.marks.push(Mark::Dots { points, shape, radius, fill });
    }

    /// Adds text in the default colour.
    pub fn words(&mut self, text: impl Into<String>, at: [f64; 2], anchor: Anchor, size: f64) {
        self.painted(text, at, anchor, size, Paint::Ink);
    }

    /// Adds text in a colour.
    pub fn painted(
        &mut self,
        text: impl Into<String>,
        at: [f64; 2],
        anchor: Anchor,
        size: f64,
        fill: Paint,
    ) {
        let text = text.into();
        self.marks.push(Mark::Words(Words { text, at, anchor, size, fill, upwards: false }));
    }

    /// Adds text that runs upwards, centred at a position.
    pub fn upwards(&mut self, text: impl Into<String>, at: [f64; 2], size: f64) {
        self.marks.push(Mark::Words(Words {
            text: text.into(),
            at,
            anchor: Anchor::Middle,
            size,
            fill: Paint::Ink,
            upwards: true,
        }));
    }
}
