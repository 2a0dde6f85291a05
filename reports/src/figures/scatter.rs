//! Clips as points in two dimensions.

use super::{
    Drawn, Points, matching,
    source::{Input, Source, repeats_sentence, sorted_names},
};
use crate::draw::{
    Anchor, Paint, Panel, Scale, Scene, Shape,
    axis::{Entry, legend},
    scene::SIZES,
};
use cache::missing::{NOISE, is_noise};
use std::collections::HashMap;

/// The largest number of panels, and of names in a legend.
const MAX_PANELS: usize = 6;
const MAX_NAMES: usize = 32;
/// The number of rounds in which the points of each colour are drawn, so that no colour covers all
/// others.
const TURNS: usize = 4;

/// The room for the labels of the axes, to the left and below.
const LEFT: f64 = 28.0;
const UNDER: f64 = 20.0;

/// A colouring: its title, its names in order, and the name of each point.
struct Coloring {
    title: String,
    names: Vec<String>,
    /// The category of each name, which decides its colour and shape.
    marks: Vec<usize>,
    of: Vec<Option<usize>>,
    /// The number of points in no cluster or without a class, in words.
    without: Option<String>,
}

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let (maps, colors) = (source.all("of"), source.all("color"));
    let pairs: Vec<(&Input, Option<&Input>)> = match (maps.len(), colors.len()) {
        (_, 0) => maps.iter().map(|map| (map, None)).collect(),
        (1, _) => colors.iter().map(|color| (&maps[0], Some(color))).collect(),
        (_, 1) => maps.iter().map(|map| (map, Some(&colors[0]))).collect(),
        (n, m) if n == m => maps.iter().zip(colors.iter().map(Some)).collect(),
        // Variants of a sweep: the first map by the first of each colouring.
        _ if maps.iter().all(|map| base(map) == base(&maps[0])) => {
            let is_first = |at: &usize| {
                colors.iter().position(|it| base(it) == base(&colors[*at])) == Some(*at)
            };
            let firsts = (0..colors.len()).filter(is_first);
            firsts.map(|at| (&maps[0], Some(&colors[at]))).collect()
        }
        (n, m) => return Err(format!("{n} maps and {m} colourings do not go together")),
    };
    let is_one = |first: &Input| pairs.iter().all(|(map, _)| std::ptr::eq(*map, first));
    let maps = if maps.first().is_some_and(is_one) { &maps[..1] } else { maps };
    let left_out = pairs.len().saturating_sub(MAX_PANELS);
    let pairs = &pairs[..pairs.len().min(MAX_PANELS)];
    let columns = if pairs.len() == 1 { 1 } else { 2 };
    let [wide, tall] = source.stretch;
    let (side, gap) = if columns == 1 { (560.0 * wide, 0.0) } else { (366.0 * wide, 38.0) };
    let width = columns as f64 * (side + gap) - gap + LEFT + 8.0;
    let mut scene = Scene::new(width, 0.0, source.title(&title(maps, colors)));
    let (mut points, mut most) = (Points::default(), 0);
    // Clusters take the colours of the first classes among the colourings.
    let classes = colors.iter().find(|color| !is_cluster(color));
    let (mut top, mut bottom) = (34.0, 34.0_f64);
    for (index, (map, color)) in pairs.iter().enumerate() {
        if index > 0 && index % columns == 0 {
            top = bottom + 34.0;
        }
        let left = LEFT + (index % columns) as f64 * (side + gap);
        let panel = panel_of(map, [left, top, side, side * 0.82 * tall])?;
        let coloring = color.map(|color| coloring(source, map, color, classes)).transpose()?;
        most = coloring.as_ref().map_or(most, |it| most.max(it.names.len()));
        let several_maps = maps.len() > 1;
        let title = match (&coloring, several_maps) {
            (Some(coloring), false) => format!("coloured by {}", coloring.title),
            (Some(coloring), true) if colors.len() > 1 => {
                format!("{}, coloured by {}", map.name(), coloring.title)
            }
            (_, _) => map.name().to_owned(),
        };
        panel.title(&mut scene, &title);
        let end = draw_panel(&mut scene, &panel, map, coloring.as_ref(), &mut points)?;
        bottom = bottom.max(end);
    }
    scene.height = bottom + 6.0;
    let caption = caption(maps, colors, left_out) + &repeats_sentence(most);
    Ok(Drawn { caption, scene, points: Some(points) })
}

/// The title, unless the author gives one: the one map, or the one colouring, or both.
fn title(maps: &[Input], colors: &[Input]) -> String {
    match (maps, colors) {
        ([map], [color]) => format!("{}, coloured by {}", map.name(), color.name()),
        ([map], _) => map.name().to_owned(),
        (_, [color]) => format!("Clips in two dimensions, coloured by {}", color.name()),
        _ => "Clips in two dimensions".to_owned(),
    }
}

/// The output without the variant of its step.
fn base(input: &Input) -> (&str, &str) {
    (cache::record::without_variant(&input.step), &input.port)
}

fn panel_of(map: &Input, frame: [f64; 4]) -> Result<Panel, String> {
    let places = places(map)?;
    Ok(Panel {
        frame,
        x: Scale::around(places.iter().map(|place| place[0]), false),
        y: Scale::around(places.iter().map(|place| place[1]), false),
    })
}

/// The first two features of each clip.
fn places(map: &Input) -> Result<Vec<[f64; 2]>, String> {
    let features = map.table()?.array("features");
    let features = features
        .filter(|features| features.width() >= 2)
        .ok_or_else(|| format!("`{}.{}` has fewer than two features", map.step, map.port))?;
    let row = |at: usize| [features.row(at)[0], features.row(at)[1]].map(f64::from);
    Ok((0..features.rows()).map(row).collect())
}

/// True for the numbers that an op of clusters gives; classes have names.
fn is_cluster(color: &Input) -> bool {
    color.table().is_ok_and(|table| table.ints("label").is_some())
}

/// The distinct labels in order. A clip without a label has an empty text; a clip in no cluster is as grey
/// as one without.
fn names_of(labels: &[String]) -> Vec<String> {
    let mut names = sorted_names(labels);
    names.retain(|name| !is_noise(name));
    names
}

fn coloring(
    source: &Source<'_>,
    map: &Input,
    color: &Input,
    classes: Option<&Input>,
) -> Result<Coloring, String> {
    let labels = color.labels()?;
    let by_clip: HashMap<&String, &String> = color.text("clip_id")?.iter().zip(&labels).collect();
    let names = names_of(&labels);
    let marks = match classes.filter(|_| is_cluster(color)) {
        Some(classes) => {
            matching::categories((color, &names), (classes, &names_of(&classes.labels()?)))?
        }
        None => (0..names.len()).collect(),
    };
    let numbers: HashMap<&String, usize> =
        names.iter().enumerate().map(|(at, name)| (name, at)).collect();
    let of = map.text("clip_id")?.iter();
    let of = of.map(|clip| by_clip.get(clip).and_then(|label| numbers.get(*label)).copied());
    let of: Vec<Option<usize>> = of.collect();
    let word = if labels.iter().any(|label| label == NOISE) { "noise" } else { "no label" };
    let without = of.iter().filter(|name| name.is_none()).count();
    let without = (without > 0).then(|| format!("{word} ({without})"));
    let names = names.iter().map(|name| source.label(name).to_owned()).collect();
    Ok(Coloring { title: color.name().to_owned(), of, marks, names, without })
}

/// Draws points and legend; returns their lower end.
fn draw_panel(
    scene: &mut Scene,
    panel: &Panel,
    map: &Input,
    coloring: Option<&Coloring>,
    points: &mut Points,
) -> Result<f64, String> {
    let places: Vec<[f64; 2]> = places(map)?.iter().map(|[x, y]| panel.at(*x, *y)).collect();
    let [left, top, width, height] = panel.frame;
    for corner in [[left, top], [left, top + height]] {
        scene.line(vec![corner, [left + width, corner[1]]], Paint::Grid, 1.0);
    }
    for x in [left, left + width] {
        scene.line(vec![[x, top], [x, top + height]], Paint::Grid, 1.0);
    }
    let axis = |number: u32| match map.words.method.as_str() {
        "" => format!("feature {number}"),
        method => format!("{method} {number}"),
    };
    let below = [left + width / 2.0, top + height + 17.0];
    scene.words(axis(1), below, Anchor::Middle, SIZES[2]);
    scene.upwards(axis(2), [left - 7.0, top + height / 2.0], SIZES[2]);
    let radius = match places.len() {
        ..300 => 4.2,
        300..1500 => 3.2,
        1500..4000 => 2.4,
        _ => 1.8,
    };
    let groups = coloring.map_or(1, |coloring| coloring.names.len());
    let group = |at: usize| coloring.map_or(Some(0), |coloring| coloring.of[at]);
    for turn in 0..TURNS {
        // Points without a label are drawn first and in the colour of the grid.
        for wanted in std::iter::once(None).chain((0..groups).map(Some)) {
            let own = (0..places.len()).filter(|at| at % TURNS == turn && group(*at) == wanted);
            let own: Vec<_> = own
                .map(|at| places[at])
                .filter(|it| it[0].is_finite() && it[1].is_finite())
                .collect();
            if own.is_empty() {
                continue;
            }
            match wanted {
                Some(at) => {
                    let mark = coloring.map_or(at, |coloring| coloring.marks[at]);
                    scene.dots(own, Shape::category(mark), radius, Paint::category(mark));
                }
                None => scene.dots(own, Shape::Disc, radius * 0.7, Paint::Grid),
            }
        }
    }
    if points.clips.is_empty() {
        points.clips = map.text("clip_id")?.to_vec();
    }
    // Only panels with the clips of the first one show details.
    if points.clips == map.text("clip_id")? {
        let short = |value: f64| (value * 10.0).round() as f32 / 10.0;
        points.panels.push(places.iter().map(|place| place.map(short)).collect());
        if let Some(coloring) = coloring
            && points.facts.iter().all(|(title, ..)| *title != coloring.title)
        {
            let of = coloring.of.iter().map(|at| at.map_or(u32::MAX, |at| at as u32));
            points.facts.push((coloring.title.clone(), coloring.names.clone(), of.collect()));
        }
    }
    let Some(coloring) = coloring else { return Ok(top + height + UNDER) };
    let mut entries: Vec<Entry> = coloring
        .names
        .iter()
        .zip(&coloring.marks)
        .take(MAX_NAMES)
        .map(|(name, mark)| Entry {
            text: name.clone(),
            paint: Paint::category(*mark),
            shape: Some(Shape::category(*mark)),
        })
        .collect();
    if coloring.names.len() > MAX_NAMES {
        let more = format!("and {} more", coloring.names.len() - MAX_NAMES);
        entries.push(Entry { text: more, paint: Paint::Grid, shape: Some(Shape::Disc) });
    }
    if let Some(text) = &coloring.without {
        entries.push(Entry { text: text.clone(), paint: Paint::Grid, shape: Some(Shape::Disc) });
    }
    let below = top + height + UNDER + 8.0;
    Ok(below + legend(scene, [left, below], width, &entries))
}

fn caption(maps: &[Input], colors: &[Input], left_out: usize) -> String {
    let both = colors.iter().any(is_cluster) && !colors.iter().all(is_cluster);
    let mut text = match colors {
        [color] => format!("Each point is a clip, coloured by {}. ", color.name()),
        _ => "Each point is a clip. ".to_owned(),
    };
    if both {
        text.push_str(matching::SAID);
        text.push(' ');
    }
    text.push_str(if both {
        "Where the colours of the clusters follow those of the classes, the clusters agree with the classes; a map may show \
         islands that no class has. "
    } else if colors.is_empty() {
        ""
    } else {
        "Regions of one colour are clips that the space and the labels both separate; where colours mix, the space does not separate them. "
    });
    text.push_str("The axes of such a map have no unit: neighbouring points are similar, but sizes and distances of islands say little.");
    let recalls = maps.iter().filter_map(|map| map.fact("neighbor_recall"));
    if let Some(least) = recalls.min_by(f64::total_cmp) {
        let share = (least * 1000.0).floor() / 10.0;
        text.push_str(&format!(" Of the nearest clips of each, {share} % were found."));
    }
    if maps.len() > 1 {
        text.push_str(" One panel for each map.");
    }
    if left_out > 0 {
        text.push_str(&format!(" {left_out} more panels are not shown."));
    }
    text
}
