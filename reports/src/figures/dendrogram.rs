//! The last merges of a hierarchical clustering.

use super::{Drawn, source::Source};
use crate::draw::{Anchor, Paint, Panel, Scale, Scene, font, scene::SIZES};
use std::collections::HashMap;

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let of = source.one("of")?;
    let (left, right) = (of.ints("left")?, of.ints("right")?);
    let (distance, size) = (of.reals("distance")?, of.ints("size")?);
    let merges = distance.len();
    let clips = merges + 1;
    let leaves = source.count("leaves", 30).clamp(2, clips.max(2));
    if merges == 0 {
        return Err("one clip alone has no merges".to_owned());
    }
    // Merge i makes node `clips + i`. Merges before the last ones are leaves here.
    let first = merges - (leaves - 1).min(merges);
    let is_leaf = |node: i64| (node as usize) < clips + first;
    let mut waiting = vec![(clips + merges - 1) as i64];
    let mut order = Vec::new();
    while let Some(node) = waiting.pop() {
        if order.len() > leaves {
            return Err("its merges do not make a tree".to_owned());
        }
        if is_leaf(node) {
            order.push(node);
            continue;
        }
        let merge = node as usize - clips;
        if merge >= merges || left[merge] >= node || right[merge] >= node {
            return Err("its merges do not make a tree".to_owned());
        }
        waiting.extend([right[merge], left[merge]]);
    }
    let places = order.iter().enumerate().map(|(at, node)| (*node, at as f64 + 0.5));
    let mut x: HashMap<i64, f64> = places.collect();
    if x.len() != order.len() {
        return Err("its merges do not make a tree".to_owned());
    }

    let [wide, tall] = source.stretch;
    let mut scene = Scene::new(
        105.0 + 615.0 * wide,
        90.0 + 300.0 * tall,
        source.title(&format!("The last merges of {}", of.name())),
    );
    let top = distance.iter().copied().fold(0.0, f64::max);
    let panel = Panel {
        frame: [88.0, 12.0, 615.0 * wide, 300.0 * tall],
        x: Scale::Linear(0.0, order.len() as f64),
        y: Scale::Linear(0.0, if top > 0.0 { top * 1.05 } else { 1.0 }),
    };
    panel.y_axis(&mut scene, "distance", &panel.y.ticks(5));
    let height = |node: i64| match (node as usize).checked_sub(clips) {
        Some(merge) if !is_leaf(node) => distance[merge],
        _ => 0.0,
    };
    for merge in first..merges {
        let [a, b] = [left[merge], right[merge]];
        let (Some(&xa), Some(&xb)) = (x.get(&a), x.get(&b)) else {
            return Err("its merges do not make a tree".to_owned());
        };
        let node = (clips + merge) as i64;
        let corners =
            [(xa, height(a)), (xa, distance[merge]), (xb, distance[merge]), (xb, height(b))];
        let corners = corners.map(|(x, y)| panel.at(x, y)).to_vec();
        scene.line(corners, Paint::category(0), 2.0);
        x.insert(node, (xa + xb) / 2.0);
    }
    let room = panel.frame[2] / order.len() as f64;
    let has_room = font::width(&clips.to_string(), 13.0) + 4.0 <= room;
    for node in &order {
        let count = (*node as usize).checked_sub(clips).map_or(1, |merge| size[merge]).to_string();
        let [at, bottom] = panel.at(x[node], 0.0);
        if has_room {
            scene.words(count, [at, bottom + 18.0], Anchor::Middle, 13.0);
        } else {
            let half = font::width(&count, 13.0) / 2.0;
            scene.upwards(count, [at + 4.0, bottom + 8.0 + half], 13.0);
        }
    }
    let [l, t, w, h] = panel.frame;
    scene.words(
        "clips in each branch",
        [l + w / 2.0, t + h + if has_room { 40.0 } else { 58.0 }],
        Anchor::Middle,
        SIZES[1],
    );
    let heights = &distance[first..];
    let gap = heights.windows(2).map(|pair| pair[1] - pair[0]).enumerate();
    let widest = gap.max_by(|a, b| a.1.total_cmp(&b.1));
    let advice = widest.map_or_else(String::new, |(at, gap)| {
        format!(
            " The widest step between merges, {}, is where {} branches are left.",
            crate::draw::axis::brief(gap),
            heights.len() - at
        )
    });
    Ok(Drawn {
        caption: format!(
            "{} clips end in {} branches, which then merge upwards; a merge stands as high as its two sides are apart. \
             Long upright lines without a merge suggest as many clusters as there are lines.{advice}",
            clips,
            order.len()
        ),
        scene,
        points: None,
    })
}
