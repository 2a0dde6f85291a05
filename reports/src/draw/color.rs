//! Colours: those of the page, palettes of eight categories, and two colour maps.

/// A colour, fixed or of the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Paint {
    /// The colour of text: dark on a light page, light on a dark one.
    Ink,
    /// The colour of secondary text.
    Soft,
    /// The colour of grid lines.
    Grid,
    /// The colour of the page.
    Paper,
    /// A colour of the palette, repeated after the last.
    Category(u8),
    /// A colour that is the same on every page.
    Rgb(u8, u8, u8),
}

impl Paint {
    /// The colour on a light page.
    pub fn on_white(self) -> [u8; 3] {
        match self {
            Paint::Ink => [0x22, 0x22, 0x22],
            Paint::Soft => [0x66, 0x66, 0x66],
            Paint::Grid => [0xe2, 0xe2, 0xe2],
            Paint::Paper => [0xff, 0xff, 0xff],
            Paint::Category(index) => Palette::default().0[usize::from(index) % CATEGORIES],
            Paint::Rgb(r, g, b) => [r, g, b],
        }
    }

    /// A colour of the palette.
    pub fn category(index: usize) -> Self {
        Paint::Category((index % CATEGORIES) as u8)
    }
}

/// The number of colours of a palette; the shapes of marks change after as many categories.
pub const CATEGORIES: usize = 8;

/// The colours of categories.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Palette([[u8; 3]; CATEGORIES]);

impl Default for Palette {
    fn default() -> Self {
        Palette(OKABE_ITO)
    }
}

impl Palette {
    /// The names in pipelines.
    pub const NAMES: &'static [&'static str] = &["okabe_ito", "muted", "dark2", "tableau", "grey"];

    /// The palette of that name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [OKABE_ITO, MUTED, DARK2, TABLEAU, GREY];
        Some(Palette(all[Self::NAMES.iter().position(|own| *own == name)?]))
    }

    /// The paint with the colour of its category.
    pub fn of(self, paint: Paint) -> Paint {
        let Paint::Category(index) = paint else { return paint };
        let [r, g, b] = self.0[usize::from(index) % CATEGORIES];
        Paint::Rgb(r, g, b)
    }
}

/// Okabe and Ito's colours. Their black is replaced by a grey, which is visible on dark pages too,
/// and their yellow is darker, so that it is visible on light ones.
const OKABE_ITO: [[u8; 3]; CATEGORIES] = [
    [0x00, 0x72, 0xb2],
    [0xe6, 0x9f, 0x00],
    [0x00, 0x9e, 0x73],
    [0xd5, 0x5e, 0x00],
    [0xcc, 0x79, 0xa7],
    [0x56, 0xb4, 0xe9],
    [0x8c, 0x8c, 0x8c],
    [0xb5, 0xa6, 0x00],
];

/// Paul Tol's muted scheme, for colour-blind readers too, without its pale colours.
const MUTED: [[u8; 3]; CATEGORIES] = [
    [0x33, 0x22, 0x88],
    [0xcc, 0x66, 0x77],
    [0x11, 0x77, 0x33],
    [0xdd, 0xaa, 0x33],
    [0x88, 0xcc, 0xee],
    [0x88, 0x22, 0x55],
    [0x44, 0xaa, 0x99],
    [0x99, 0x99, 0x33],
];

/// ColorBrewer's Dark2.
const DARK2: [[u8; 3]; CATEGORIES] = [
    [0x1b, 0x9e, 0x77],
    [0xd9, 0x5f, 0x02],
    [0x75, 0x70, 0xb3],
    [0xe7, 0x29, 0x8a],
    [0x66, 0xa6, 0x1e],
    [0xe6, 0xab, 0x02],
    [0xa6, 0x76, 0x1d],
    [0x66, 0x66, 0x66],
];

/// The first eight colours of Tableau 10, which Matplotlib starts with.
const TABLEAU: [[u8; 3]; CATEGORIES] = [
    [0x1f, 0x77, 0xb4],
    [0xff, 0x7f, 0x0e],
    [0x2c, 0xa0, 0x2c],
    [0xd6, 0x27, 0x28],
    [0x94, 0x67, 0xbd],
    [0x8c, 0x56, 0x4b],
    [0xe3, 0x77, 0xc2],
    [0x7f, 0x7f, 0x7f],
];

/// Greys, of which neighbours differ most.
const GREY: [[u8; 3]; CATEGORIES] = [
    [0x26, 0x26, 0x26],
    [0x99, 0x99, 0x99],
    [0x59, 0x59, 0x59],
    [0xc4, 0xc4, 0xc4],
    [0x40, 0x40, 0x40],
    [0xb0, 0xb0, 0xb0],
    [0x73, 0x73, 0x73],
    [0xd0, 0xd0, 0xd0],
];

/// A perceptually uniform colour map, linear between its anchors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Map {
    /// From violet over green to yellow.
    Viridis,
    /// From blue over grey to yellow, which looks alike to readers who cannot distinguish red and
    /// green.
    Cividis,
}

impl Map {
    fn anchors(self) -> [[u8; 3]; 9] {
        match self {
            Map::Viridis => [
                [68, 1, 84],
                [71, 44, 122],
                [59, 81, 139],
                [44, 113, 142],
                [33, 144, 141],
                [39, 173, 129],
                [92, 200, 99],
                [170, 220, 50],
                [253, 231, 37],
            ],
            Map::Cividis => [
                [0, 34, 78],
                [18, 53, 112],
                [59, 73, 108],
                [87, 93, 109],
                [112, 113, 115],
                [138, 134, 120],
                [165, 156, 116],
                [195, 179, 105],
                [254, 232, 56],
            ],
        }
    }

    /// The colour at a position from 0 to 1.
    pub fn at(self, share: f64) -> [u8; 3] {
        let anchors = self.anchors();
        let place = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) } * 8.0;
        let (from, rest) = ((place as usize).min(7), place - (place as usize).min(7) as f64);
        std::array::from_fn(|channel| {
            let [a, b] = [anchors[from][channel], anchors[from + 1][channel]].map(f64::from);
            (a + (b - a) * rest).round() as u8
        })
    }

    /// The colour of text on the colour at that position: black or white, for the higher contrast.
    pub fn text_on(self, share: f64) -> Paint {
        let [r, g, b] = self.at(share).map(|channel| (f64::from(channel) / 255.0).powf(2.2));
        let luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        if luminance > 0.18 { Paint::Rgb(0, 0, 0) } else { Paint::Rgb(255, 255, 255) }
    }
}
