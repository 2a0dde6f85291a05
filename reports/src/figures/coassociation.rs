//! The share of runs in which pairs of clips are in the same cluster.

use super::{Drawn, source::Source};
use crate::draw::{Anchor, Image, Map, Mark, Scale, Scene, axis::color_bar, scene::SIZES};

/// The most clips along a side; of more, neighbours are averaged.
const MAX_SIDE: usize = 400;

pub(super) fn draw(source: &Source<'_>) -> Result<Drawn, String> {
    let of = source.one("of")?;
    let shares = of.table()?.array("features").ok_or("it holds no shares")?;
    let n = shares.rows();
    if shares.width() != n || n == 0 {
        return Err(format!(
            "it holds {n} rows of {} shares, not a share for each pair",
            shares.width()
        ));
    }
    let order = match source.one("order") {
        Ok(tree) => leaves(tree.ints("left")?, tree.ints("right")?, n)?,
        Err(_) => (0..n).collect(),
    };
    let side = n.min(MAX_SIDE);
    let range = |at: usize| at * n / side..((at + 1) * n / side).max(at * n / side + 1);
    let mut pixels = Vec::with_capacity(side * side);
    for row in 0..side {
        for column in 0..side {
            let (mut sum, mut count) = (0.0, 0.0);
            for a in range(row) {
                let own = shares.row(order[a]);
                for b in range(column) {
                    sum += f64::from(own[order[b]]);
                    count += 1.0;
                }
            }
            pixels.push((255.0 * (sum / count).clamp(0.0, 1.0)).round() as u8);
        }
    }
    let [width, height] = source.stretch.map(|factor| 500.0 * factor);
    let mut scene =
        Scene::new(width + 140.0, height + 60.0, source.title("Clips in the same cluster"));
    let frame = [40.0, 10.0, width, height];
    let image = Image { frame, columns: side, pixels, map: Map::Cividis };
    scene.marks.push(Mark::Image(image));
    scene.words("clips", [40.0 + width / 2.0, height + 36.0], Anchor::Middle, SIZES[1]);
    scene.upwards("clips", [22.0, 10.0 + height / 2.0], SIZES[1]);
    color_bar(
        &mut scene,
        [width + 56.0, 10.0, 14.0, height],
        Map::Cividis,
        Scale::Linear(0.0, 1.0),
        "share",
    );
    let among =
        of.fact("clusterings").map_or_else(String::new, |it| format!(" among {it} clusterings"));
    let ambiguous = of.fact("ambiguous").map_or_else(String::new, |it| {
        format!(
            " {:.1} % of the pairs are ambiguous, together in more than a tenth and fewer than nine tenths of the \
             clusterings.",
            100.0 * it
        )
    });
    Ok(Drawn {
        caption: format!(
            "The share of clusterings that put two clips together{among}, for {n} clips{}. Bright squares along the \
             diagonal are clusters that all find; what is grey depends on the seed or on the method.{ambiguous}",
            if source.one("order").is_ok() { " in the order of their merges" } else { "" }
        ),
        scene,
        points: None,
    })
}

/// The points in the order in which the tree of merges holds them.
fn leaves(left: &[i64], right: &[i64], n: usize) -> Result<Vec<usize>, String> {
    let error = || "its merges do not make a tree".to_owned();
    if left.len() + 1 != n || right.len() != left.len() {
        return Err(error());
    }
    let mut waiting = vec![(n + left.len()).saturating_sub(1) as i64];
    let mut order = Vec::with_capacity(n);
    while let Some(node) = waiting.pop() {
        let place = usize::try_from(node).map_err(|_| error())?;
        if order.len() >= n {
            return Err(error());
        }
        match place.checked_sub(n) {
            None => order.push(place),
            Some(merge) if merge < left.len() && left[merge] < node && right[merge] < node => {
                waiting.extend([right[merge], left[merge]]);
            }
            Some(_) => return Err(error()),
        }
    }
    let mut seen = vec![false; n];
    order.iter().for_each(|at| seen[*at] = true);
    if order.len() == n && seen.into_iter().all(|it| it) { Ok(order) } else { Err(error()) }
}
