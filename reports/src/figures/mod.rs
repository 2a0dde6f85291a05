//! The kinds of figures that a report can show, one file each. The table below is their only
//! interface.

mod coassociation;
mod composition;
mod curves;
mod dendrogram;
mod draw;
mod matching;
mod parallel_coordinates;
mod pca_spectrum;
mod picture;
mod rate_distortion;
mod reconstruction;
mod scatter;
mod scatter_of_trials;
mod selection;
mod silhouette;
mod source;
mod specification_curve;
mod style;
mod sweep_heatmap;
mod trials;
mod units;
mod words;

use crate::draw::Scene;
use cache::Kind;
use serde::{Deserialize, Serialize};

pub use draw::{Rendered, kept, pdf, render};
pub use picture::{Shown, is_picture, show};
pub use source::{Input, Source};
pub use specification_curve::MIN_SPECIFICATIONS;
pub use style::STYLE;
pub use words::{step, variant};

/// A kind of figure.
pub struct FigureKind {
    /// The name in pipelines.
    pub name: &'static str,
    /// A description of the figure.
    pub doc: &'static str,
    /// The roles of its inputs.
    pub roles: &'static [Role],
    /// The other settings, beside those of [`STYLE`].
    pub settings: &'static [Setting],
    /// The function that draws it; `None` for a picture that a user's program drew.
    pub(crate) draw: Option<Draw>,
}

/// Draws a figure, or returns the reason why it cannot be drawn.
pub(crate) type Draw = fn(&Source<'_>) -> Result<Drawn, String>;

impl FigureKind {
    /// The settings of its style: none for a picture that is shown as it is.
    pub fn style(&self) -> &'static [Setting] {
        if self.draw.is_some() { STYLE } else { &[] }
    }
}

/// An input of a figure.
pub struct Role {
    /// The name in pipelines.
    pub name: &'static str,
    /// The accepted kinds of artifacts.
    pub kinds: &'static [Kind],
    /// A description of the input.
    pub doc: &'static str,
    /// True if the figure can be drawn without it.
    pub is_optional: bool,
    /// True if several artifacts are accepted.
    pub takes_many: bool,
    /// True if only the first seed of each is shown, since each takes a picture of its own.
    pub one_seed: bool,
}

/// A setting of a figure.
pub struct Setting {
    /// The name in pipelines.
    pub name: &'static str,
    /// The accepted values.
    pub expected: Expected,
    /// A description of the setting.
    pub doc: &'static str,
}

/// The accepted values of a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected {
    /// A whole number from 1 to the given one.
    Count(u64),
    /// A text.
    Text,
    /// A number between two others.
    Number(f64, f64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A map of names to other names.
    Names,
}

impl Expected {
    /// The accepted values in words.
    pub fn described(self) -> String {
        match self {
            Expected::Count(most) => format!("a whole number from 1 to {most}"),
            Expected::Text => "a text".to_owned(),
            Expected::Number(least, most) => format!("a number from {least} to {most}"),
            Expected::Choice(words) => match words.split_last() {
                Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                _ => words.concat(),
            },
            Expected::Names => "a map of names to other names".to_owned(),
        }
    }
}

/// A drawn figure.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// The drawing.
    pub scene: Scene,
    /// The caption, unless the author gives one.
    pub caption: String,
    /// Its points, if the page shows details of a point.
    pub points: Option<Points>,
}

/// The points of a scatter plot with the facts about each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// The clip of each point.
    pub clips: Vec<String>,
    /// The positions of the points on the drawing, for each panel.
    pub panels: Vec<Vec<[f32; 2]>>,
    /// Facts about the points: a title, the distinct values, and the index of the value of each
    /// point.
    pub facts: Vec<(String, Vec<String>, Vec<u32>)>,
}

const fn role(name: &'static str, kinds: &'static [Kind], doc: &'static str) -> Role {
    Role { name, kinds, doc, is_optional: false, takes_many: false, one_seed: false }
}

const fn pictures(role: Role) -> Role {
    Role { takes_many: true, one_seed: true, ..role }
}

const fn many(role: Role) -> Role {
    Role { takes_many: true, ..role }
}

const fn optional(role: Role) -> Role {
    Role { is_optional: true, ..role }
}

const METRIC: Setting = Setting {
    name: "metric",
    expected: Expected::Text,
    doc: "The metric; the headline metric of the report if not given.",
};

/// All kinds of figures.
pub const FIGURES: &[FigureKind] = &[
    FigureKind {
        name: "scatter",
        doc: "Clips as points in two dimensions, coloured by labels; a panel for each map or colouring.",
        roles: &[
            pictures(role(
                "of",
                &[Kind::Matrix],
                "The positions of the clips: the first two features.",
            )),
            optional(pictures(role(
                "color",
                &[Kind::Labels],
                "Classes or clusters. Clusters beside classes take the colours of the classes that they match.",
            ))),
        ],
        settings: &[],
        draw: Some(scatter::draw),
    },
    FigureKind {
        name: "reconstruction",
        doc: "Log-Mel spectrograms above their reconstructions by a model.",
        roles: &[
            role(
                "of",
                &[Kind::Spectrogram],
                "The reconstructions, with the originals beside them.",
            ),
            optional(role(
                "decibels",
                &[Kind::Spectrogram],
                "The same clips before they were scaled, which brings back decibels.",
            )),
        ],
        settings: &[Setting {
            name: "clips",
            expected: Expected::Count(8),
            doc: "The number of clips that are shown; 4 if not given.",
        }],
        draw: Some(reconstruction::draw),
    },
    FigureKind {
        name: "composition",
        doc: "The number of clips of each class in each cluster.",
        roles: &[pictures(role("of", &[Kind::Composition], "Counts of clusters and classes."))],
        settings: &[],
        draw: Some(composition::draw),
    },
    FigureKind {
        name: "curves",
        doc: "Loss, reconstruction and KL over the epochs of a training.",
        roles: &[many(role("of", &[Kind::History], "One training or several."))],
        settings: &[],
        draw: Some(curves::draw),
    },
    FigureKind {
        name: "units",
        doc: "KL and variance of each latent unit, with the active ones marked.",
        roles: &[pictures(role("of", &[Kind::Diagnostics], "The diagnostics of a model."))],
        settings: &[],
        draw: Some(units::draw),
    },
    FigureKind {
        name: "sweep_heatmap",
        doc: "A metric over two parameters of the sweep.",
        roles: &[],
        settings: &[
            METRIC,
            Setting {
                name: "x",
                expected: Expected::Text,
                doc: "The parameter from left to right; the first of the sweep if not given.",
            },
            Setting {
                name: "y",
                expected: Expected::Text,
                doc: "The parameter from bottom to top; the second of the sweep if not given.",
            },
        ],
        draw: Some(sweep_heatmap::draw),
    },
    FigureKind {
        name: "parallel_coordinates",
        doc: "A line for each trial of a sweep or search, through its parameters to a metric.",
        roles: &[],
        settings: &[METRIC],
        draw: Some(parallel_coordinates::draw),
    },
    FigureKind {
        name: "scatter_of_trials",
        doc: "A mark for each trial of a sweep or search: a parameter or a metric against a metric.",
        roles: &[],
        settings: &[
            Setting {
                name: "x",
                expected: Expected::Text,
                doc: "The parameter or the metric from left to right; the first parameter of the sweep if not given.",
            },
            Setting {
                name: "y",
                expected: Expected::Text,
                doc: "The metric or the parameter from bottom to top; the headline metric of the report if not given.",
            },
        ],
        draw: Some(scatter_of_trials::draw),
    },
    FigureKind {
        name: "specification_curve",
        doc: "A metric of each row over all specifications of a multiverse, with the choices of each.",
        roles: &[],
        settings: &[METRIC],
        draw: Some(specification_curve::draw),
    },
    FigureKind {
        name: "rate_distortion",
        doc: "The KL (rate) against the reconstruction error (distortion), one point per training.",
        roles: &[many(role("of", &[Kind::History], "Trainings that differ in β."))],
        settings: &[],
        draw: Some(rate_distortion::draw),
    },
    FigureKind {
        name: "silhouette",
        doc: "The silhouette of every clip, cluster by cluster.",
        roles: &[pictures(role("of", &[Kind::Silhouettes], "The silhouette of each clip."))],
        settings: &[],
        draw: Some(silhouette::draw),
    },
    FigureKind {
        name: "pca_spectrum",
        doc: "Variances of principal components, and which of them a β-VAE is expected to keep.",
        roles: &[
            role(
                "of",
                &[Kind::Diagnostics],
                "The spectrum of a PCA of what the models were trained on.",
            ),
            optional(many(role(
                "models",
                &[Kind::Diagnostics],
                "The diagnostics of variational models: each draws its line.",
            ))),
        ],
        settings: &[],
        draw: Some(pca_spectrum::draw),
    },
    FigureKind {
        name: "selection",
        doc: "Criteria over the number of clusters, with the number that each of them names.",
        roles: &[role("of", &[Kind::Selection], "The criteria for each number of clusters.")],
        settings: &[],
        draw: Some(selection::draw),
    },
    FigureKind {
        name: "coassociation",
        doc: "For each pair of clips, the share of clusterings that put both into the same cluster.",
        roles: &[
            role("of", &[Kind::Matrix], "The shares, a row and a column for each clip."),
            optional(role(
                "order",
                &[Kind::Linkage],
                "Merges that put similar clips side by side.",
            )),
        ],
        settings: &[],
        draw: Some(coassociation::draw),
    },
    FigureKind {
        name: "dendrogram",
        doc: "The last merges of a hierarchical clustering.",
        roles: &[role("of", &[Kind::Linkage], "All merges.")],
        settings: &[Setting {
            name: "leaves",
            expected: Expected::Count(60),
            doc: "The number of branches that are left at the bottom; 30 if not given.",
        }],
        draw: Some(dendrogram::draw),
    },
    FigureKind {
        name: "picture",
        doc: "An SVG or a PNG that a program of a step drew, as it is.",
        roles: &[role(
            "of",
            &[Kind::Picture],
            "The picture: an output `svg` or `png` of a `command`.",
        )],
        settings: &[],
        draw: None,
    },
];

/// The name of the files of a figure, by its place in the report, without their endings.
pub fn file_name(index: usize, figure: &cache::record::Figure) -> String {
    format!("{:02}-{}", index + 1, figure.figure.replace('_', "-"))
}

/// The kind of that name.
pub fn kind(name: &str) -> Option<&'static FigureKind> {
    FIGURES.iter().find(|kind| kind.name == name)
}
