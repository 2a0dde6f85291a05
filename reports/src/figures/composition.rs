//! The composition of clusters by class.

use super::{
    Drawn, matching,
    source::{Input, Source, noise_sentences},
};
use crate::draw::{Anchor, Map, Paint, Scale, Scene, Shape, axis::color_bar, font, scene::SIZES};
use cache::missing::NOISE;

/// The largest number of clusters and of classes that can be read.
const MAX_READABLE: usize = 40;

/// The room for the mark of a class or a cluster beside its name.
const MARK: f64 = 16.0;

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let tables = source
        .all("of")
        .iter()
        .map(|input| Counts::of(source, input))
        .collect::<Result<Vec<_>, _>>()?;
    let title = match &tables[..] {
        [table] => table.title.clone(),
        _ => "Clusters and classes".to_owned(),
    };
    let mut scene = Scene::new(80.0 + 560.0 * source.stretch[0], 0.0, source.title(&title));
    let mut top = if tables.len() > 1 { 0.0 } else { -12.0 };
    // One scale for all tables, up to the largest share.
    let shares = tables.iter().flat_map(|table| table.shares).copied();
    let scale = Scale::Linear(0.0, shares.fold(0.1, f64::max));
    for table in &tables {
        top = table.draw(&mut scene, top, tables.len() > 1, scale) + 26.0;
    }
    scene.height = top - 12.0;
    let accuracy = tables.iter().filter_map(|table| {
        let share = 100.0 * table.accuracy?;
        Some(match tables.len() {
            1 => format!("{share:.0} % of the clips lie in framed cells"),
            _ => format!("{}: {share:.0} % of the clips lie in framed cells", table.title),
        })
    });
    let accuracy: Vec<_> = accuracy.collect();
    let noise = tables.iter().map(|table| (&*table.title, table.noise));
    Ok(Drawn {
        caption: format!(
            "Rows are clusters, columns are classes, a number is how many clips they share; the colour is the share of \
             the cluster. Framed cells are the best one-to-one match of clusters and classes. A row with one bright \
             cell is a cluster of one class; a column with several is a class that is split over clusters. The marks \
             beside the names are those of maps with the same classes: a cluster has that of its class, if it has a clip \
             of it. {}.{}",
            accuracy.join("; "),
            noise_sentences(noise, "the last row holds them")
        ),
        scene,
        points: None,
    })
}

struct Counts<'a> {
    source: &'a Source<'a>,
    title: String,
    columns: &'a str,
    clusters: Vec<&'a str>,
    classes: Vec<&'a str>,
    counts: &'a [i64],
    shares: &'a [f64],
    matched: &'a [i64],
    accuracy: Option<f64>,
    noise: f64,
}

impl<'a> Counts<'a> {
    fn of(source: &'a Source<'a>, input: &'a Input) -> Result<Self, String> {
        let clusters = in_order(input.text("cluster")?);
        let classes = in_order(input.text("class")?);
        let counts = input.ints("count")?;
        if clusters.is_empty() || counts.len() != clusters.len() * classes.len() {
            return Err(format!("`{}.{}` is not a whole table", input.step, input.port));
        }
        if clusters.len() > MAX_READABLE || classes.len() > MAX_READABLE {
            return Err(format!(
                "{} clusters of {} classes are too many for a figure; `engine export` writes the numbers",
                clusters.len(),
                classes.len()
            ));
        }
        Ok(Self {
            source,
            title: match &input.words.classes {
                Some(classes) => format!("{}, by {classes}", input.name()),
                None => input.name().to_owned(),
            },
            columns: input.words.classes.as_deref().unwrap_or("class"),
            clusters,
            classes,
            counts,
            shares: input.reals("share_of_cluster")?,
            matched: input.ints("matched")?,
            accuracy: input.fact("accuracy"),
            noise: input.fact("noise").unwrap_or(0.0),
        })
    }

    /// Draws the table below `top`; returns its lower end.
    fn draw(&self, scene: &mut Scene, top: f64, with_title: bool, scale: Scale) -> f64 {
        let size = SIZES[2];
        let widest = |names: &[&str]| {
            names
                .iter()
                .map(|name| font::width(self.source.label(name), size))
                .fold(0.0, f64::max)
                .min(150.0)
        };
        let left = 34.0
            + widest(&self.clusters).max(self.noise.min(1.0) * font::width("noise", size))
            + 8.0
            + MARK;
        let [wide, tall] = self.source.stretch;
        let room = (560.0 * wide - left) / self.classes.len() as f64;
        let cell = [room.min(90.0 * wide), 28.0 * tall];
        let mut y = top + 24.0;
        if with_title {
            scene.words(
                font::cut(&self.title, SIZES[0], scene.width - 50.0),
                [left, y],
                Anchor::Start,
                SIZES[0],
            );
            y += 24.0;
        }
        // Class names are drawn vertically if they do not fit side by side.
        let upright = widest(&self.classes) > cell[0] - 6.0;
        let heading = if upright { widest(&self.classes) + 8.0 } else { 20.0 };
        for (at, class) in self.classes.iter().enumerate() {
            let x = left + (at as f64 + 0.5) * cell[0];
            let class = font::cut(self.source.label(class), size, 150.0);
            if upright {
                let half = font::width(&class, size) / 2.0;
                scene.upwards(class, [x + 5.0, y + heading - 8.0 - half], size);
            } else {
                scene.words(class, [x, y + 12.0], Anchor::Middle, size);
            }
            mark(scene, at, [x, y + heading + MARK / 2.0 - 3.0]);
        }
        let y = y + heading + MARK;
        let categories = self.categories();
        for (row, cluster) in self.clusters.iter().enumerate() {
            let top = y + row as f64 * cell[1];
            let cluster = if *cluster == NOISE { "noise" } else { cluster };
            let name = font::cut(self.source.label(cluster), size, 150.0);
            scene.words(name, [left - 8.0 - MARK, top + cell[1] / 2.0 + 4.5], Anchor::End, size);
            if let Some(category) = categories[row] {
                mark(scene, category, [left - 3.0 - MARK / 2.0, top + cell[1] / 2.0]);
            }
            for column in 0..self.classes.len() {
                let at = row * self.classes.len() + column;
                self.draw_cell(
                    scene,
                    at,
                    scale,
                    [left + column as f64 * cell[0], top, cell[0], cell[1]],
                );
            }
        }
        let bottom = y + self.clusters.len() as f64 * cell[1];
        scene.upwards("cluster", [20.0, (y + bottom) / 2.0], SIZES[1]);
        let bar = [left + cell[0] * self.classes.len() as f64 + 12.0, y, 14.0, bottom - y];
        color_bar(scene, bar, Map::Cividis, scale, "share of the cluster");
        let middle = left + cell[0] * self.classes.len() as f64 / 2.0;
        scene.words(self.columns, [middle, bottom + 20.0], Anchor::Middle, SIZES[1]);
        bottom + 24.0
    }

    /// The category of each cluster; noise has none.
    fn categories(&self) -> Vec<Option<usize>> {
        let width = self.classes.len();
        let is_own = |at: &usize| self.matched[*at] == 1 && self.counts[*at] > 0;
        let class = |row: usize| (row * width..(row + 1) * width).find(is_own).map(|at| at % width);
        let rows = (0..self.clusters.len()).filter(|row| self.clusters[*row] != NOISE);
        // Those without a class follow by their numbers, as in maps.
        let mut rows: Vec<usize> = rows.collect();
        rows.sort_by_key(|row| {
            let name = self.clusters[*row];
            (name.parse::<i64>().unwrap_or(i64::MAX), name)
        });
        let matched: Vec<Option<usize>> = rows.iter().map(|row| class(*row)).collect();
        let mut categories = vec![None; self.clusters.len()];
        for (row, category) in rows.into_iter().zip(matching::own_or_other(&matched, width)) {
            categories[row] = Some(category);
        }
        categories
    }

    fn draw_cell(
        &self,
        scene: &mut Scene,
        at: usize,
        scale: Scale,
        [x, y, width, height]: [f64; 4],
    ) {
        let share = scale.share(self.shares[at]);
        let [r, g, b] = Map::Cividis.at(share);
        scene.rect([x + 0.5, y + 0.5, width - 1.0, height - 1.0], Paint::Rgb(r, g, b));
        if self.counts[at] > 0 {
            let text = self.counts[at].to_string();
            let fill = Map::Cividis.text_on(share);
            let size = if font::width(&text, SIZES[2]) > width - 4.0 { 10.0 } else { SIZES[2] };
            scene.painted(
                text,
                [x + width / 2.0, y + height / 2.0 + 4.5],
                Anchor::Middle,
                size,
                fill,
            );
        }
        // A match without a clip is one only because every cluster gets a class.
        if self.matched[at] == 1 && self.counts[at] > 0 {
            let [l, t, r, b] = [x + 2.0, y + 2.0, x + width - 2.0, y + height - 2.0];
            let frame = vec![[l, t], [r, t], [r, b], [l, b], [l, t], [r, t]];
            scene.line(frame, Paint::Rgb(0xd5, 0x5e, 0x00), 2.5);
        }
    }
}

fn mark(scene: &mut Scene, category: usize, at: [f64; 2]) {
    scene.dots(vec![at], Shape::category(category), 5.0, Paint::category(category));
}

/// The distinct names in the order of their first occurrence.
fn in_order(names: &[String]) -> Vec<&str> {
    let mut seen = std::collections::HashSet::new();
    names.iter().map(String::as_str).filter(|name| seen.insert(*name)).collect()
}
