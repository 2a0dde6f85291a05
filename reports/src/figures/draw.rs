//! Rendering of figures to files, with a cache of earlier ones.
//!
//! A figure is a function of its kind, its settings and its inputs, so it is kept under the
//! digest of these: `figures-v1/<digest>.json`, `.png` and, if it is asked for, `.pdf` in the store.

use super::{
    Drawn, FigureKind, Points, kind,
    source::{Input, Source},
    style,
    words::{self, Words},
};
use crate::{
    draw::{pdf, raster, scene::HEADING, svg},
    scores::{ScoreTable, steps::Steps},
};
use cache::{
    Digest, Hasher, Record, Store, StoreError,
    record::{Figure, PortRef},
    store::FIGURES,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The version of the drawing code. It must be raised if equal inputs may give another drawing.
const VERSION: u64 = 11;

/// The error for a picture of a user's program, which has no drawing of ours.
const NOT_DRAWN: &str = "it is a picture that a program drew, and is shown as it is";

/// A rendered figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rendered {
    /// The SVG for a page that contains the style.
    pub inline: String,
    /// The SVG as a file.
    pub svg: String,
    /// The title.
    pub title: String,
    /// The caption, unless the author gives one.
    pub caption: String,
    /// Its points, if the page shows details of a point.
    pub points: Option<Points>,
    /// The PNG.
    #[serde(skip)]
    pub png: Vec<u8>,
    /// The PDF, if the author asks for one.
    #[serde(skip)]
    pub pdf: Option<Vec<u8>>,
}

/// Renders a figure, or reads it from the cache. The inner error is the reason why it cannot be
/// drawn.
///
/// # Errors
/// When an input is missing from the store or damaged.
pub fn render(
    figure: &Figure,
    record: &Record,
    store: &Store,
) -> Result<Result<Rendered, String>, StoreError> {
    let Some(kind) = kind(&figure.figure) else {
        return Ok(Err(format!("there is no kind of figure `{}`", figure.figure)));
    };
    let inputs = match digests(figure, record) {
        Ok(inputs) => inputs,
        Err(error) => return Ok(Err(error)),
    };
    // A figure without input roles shows the scores of the whole sweep.
    let by_scores = kind.roles.is_empty();
    let key = key(figure, &inputs, record, by_scores);
    let [json, png, pdf] = ["json", "png", "pdf"].map(|ending| format!("{key}.{ending}"));
    let has_pdf = figure.options.get("format").and_then(Value::as_str) == Some("pdf");
    let kept = store.kept(FIGURES, &json);
    let kept = kept.and_then(|text| serde_json::from_slice::<Rendered>(&text).ok());
    let kept_pdf = has_pdf.then(|| store.kept(FIGURES, &pdf));
    if let (Some(kept), Some(png), false) =
        (kept, store.kept(FIGURES, &png), kept_pdf == Some(None))
    {
        return Ok(Ok(Rendered { png, pdf: kept_pdf.flatten(), ..kept }));
    }
    let rendered = match drawn(figure, kind, inputs, record, store)? {
        Ok(drawn) => finish(drawn, has_pdf),
        Err(error) => return Ok(Err(error)),
    };
    // If it cannot be kept, the figure is drawn again next time.
    let text = serde_json::to_vec(&rendered).expect("a figure always serialises");
    let keep = |name: &str, bytes: &[u8]| store.keep(FIGURES, name, bytes);
    let _ = (rendered.pdf.iter().try_for_each(|bytes| keep(&pdf, bytes)))
        .and_then(|()| keep(&png, &rendered.png))
        .and_then(|()| keep(&json, &text));
    Ok(Ok(rendered))
}

/// Draws a figure as PDF, whether or not its author asks for that. The inner error is the reason why it
/// cannot be drawn.
///
/// # Errors
/// When an input is missing from the store or damaged.
pub fn pdf(
    figure: &Figure,
    record: &Record,
    store: &Store,
) -> Result<Result<Vec<u8>, String>, StoreError> {
    let Some(kind) = kind(&figure.figure) else {
        return Ok(Err(format!("there is no kind of figure `{}`", figure.figure)));
    };
    let inputs = match digests(figure, record) {
        Ok(inputs) => inputs,
        Err(error) => return Ok(Err(error)),
    };
    let drawn = drawn(figure, kind, inputs, record, store)?;
    Ok(drawn.map(|drawn| pdf::file(&drawn.scene.headed())))
}

/// Draws a figure from its inputs.
fn drawn(
    figure: &Figure,
    kind: &FigureKind,
    inputs: Digests,
    record: &Record,
    store: &Store,
) -> Result<Result<Drawn, String>, StoreError> {
    let Some(draw) = kind.draw else { return Ok(Err(NOT_DRAWN.to_owned())) };
    let labels = style::labels(&figure.options);
    let shown = |name: &mut String| {
        if let Some(label) = labels.get(name) {
            name.clone_from(label);
        }
    };
    let mut source = Source {
        figure,
        table: ScoreTable::default(),
        shown: Vec::new(),
        stretch: [1.0; 2],
        labels: labels.clone(),
        inputs: BTreeMap::new(),
    };
    if kind.roles.is_empty() {
        source.table = swept(figure, record, store);
        source.shown = record.sweep.iter().flat_map(|sweep| sweep.shown.clone()).collect();
        if let Some(error) = source.table.lost.take() {
            return Err(error);
        }
        source.table.rows.iter_mut().for_each(|row| shown(&mut row.name));
    }
    for (role, digests) in inputs {
        for (PortRef { step, port }, mut words, digest) in digests {
            shown(&mut words.name);
            words.classes.iter_mut().for_each(shown);
            let artifact = store.get(&digest)?;
            let input = Input { step, port, words, artifact };
            source.inputs.entry(role.clone()).or_default().push(input);
        }
    }
    Ok(style::styled(&mut source, draw))
}

/// The digests under which the figures of a run are kept.
pub fn kept(record: &Record) -> impl Iterator<Item = Digest> {
    record.figures.iter().filter_map(|figure| {
        let kind = kind(&figure.figure).filter(|kind| kind.draw.is_some())?;
        Some(key(figure, &digests(figure, record).ok()?, record, kind.roles.is_empty()))
    })
}

fn finish(drawn: Drawn, has_pdf: bool) -> Rendered {
    let scene = drawn.scene.headed();
    let mut points = drawn.points;
    for place in points.iter_mut().flat_map(|points| points.panels.iter_mut().flatten()) {
        place[1] += HEADING as f32;
    }
    Rendered {
        title: scene.title.clone(),
        inline: svg::inline(&scene),
        svg: svg::file(&scene),
        png: raster::file(&scene),
        pdf: has_pdf.then(|| pdf::file(&scene)),
        caption: drawn.caption,
        points,
    }
}

pub(super) type Digests = BTreeMap<String, Vec<(PortRef, Words, Digest)>>;

/// The digests of the inputs of a figure, and the words for them.
pub(super) fn digests(figure: &Figure, record: &Record) -> Result<Digests, String> {
    let (mut digests, steps) = (Digests::new(), Steps::of(record));
    for (role, ports) in &figure.inputs {
        for port in ports {
            let step = steps.get(&port.step);
            let digest = step.and_then(|step| step.outputs.get(&port.port));
            let digest =
                digest.ok_or_else(|| format!("`{}.{}` was not made", port.step, port.port))?;
            let words = words::of(record, &steps, &port.step, &port.port);
            digests.entry(role.clone()).or_default().push((port.clone(), words, *digest));
        }
    }
    for inputs in digests.values_mut() {
        let mut named: Vec<(&str, &mut Words)> =
            inputs.iter_mut().map(|(port, words, _)| (port.step.as_str(), words)).collect();
        words::disambiguate(&mut named);
    }
    Ok(digests)
}

/// The scores of every row with a point in a sweep. A figure over the resource of a successive
/// halving shows every rung; any other shows the last rung of each point, as the table does.
fn swept(figure: &Figure, record: &Record, store: &Store) -> ScoreTable {
    let resource = record.sweep.as_ref().and_then(|sweep| sweep.resource.as_ref());
    let shows = |name: &str| figure.options.get(name).and_then(Value::as_str);
    let is_multiverse = record.sweep.as_ref().is_some_and(|sweep| !sweep.shown.is_empty());
    let every_rung = resource.is_some_and(|it| [shows("x"), shows("y")].contains(&Some(it)));
    let mut table = ScoreTable::read_with(record, store, |_| None, every_rung || is_multiverse);
    table.rows.retain(|row| !row.point.is_empty());
    table
}

/// The key of a figure: the digest of everything that decides the drawing.
fn key(figure: &Figure, inputs: &Digests, record: &Record, by_scores: bool) -> Digest {
    let mut hasher = Hasher::new("figure");
    hasher.number(VERSION).text(&figure.figure).text(figure.title.as_deref().unwrap_or_default());
    hasher.text(&json_of(&figure.options)).number(inputs.len() as u64);
    for (role, ports) in inputs {
        hasher.text(role).number(ports.len() as u64);
        for (port, words, digest) in ports {
            hasher.text(&port.step).text(&port.port).text(&digest.to_string());
            hasher.text(&words.name).text(&words.method);
            hasher.text(words.classes.as_deref().unwrap_or_default());
        }
    }
    if by_scores {
        let steps = Steps::of(record);
        hasher.text(&json_of(&record.columns)).text(&json_of(&record.sweep));
        for row in record.table.iter().filter(|row| !row.point.is_empty()) {
            hasher.text(&row.title).text(&json_of(&row.point));
            for step in std::iter::once(&row.scores).chain(row.others.values()) {
                for digest in steps.get(step).iter().flat_map(|step| step.outputs.values()) {
                    hasher.text(&digest.to_string());
                }
            }
        }
    }
    hasher.finish()
}

fn json_of(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("JSON values always serialise")
}
