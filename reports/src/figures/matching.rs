//! The colours of clusters beside classes: a cluster takes that of the class it is matched with.

use super::source::Input;
use cache::assignment::assign;
use std::collections::HashMap;

/// The most pairs of clusters and classes that are matched; more colours cannot be told apart.
const MAX_PAIRS: usize = 1 << 16;

/// The sentence of a caption that says what the colours mean.
pub const SAID: &str = "A cluster has the colour and the shape of the class that it is matched with, one to one, so that the \
                        pairs share the most clips; a cluster without a class has others.";

/// The category of each cluster: that of its class, or one that no class has. `clusters` and `classes` are
/// the names in order, without noise.
pub fn categories(
    clusters: (&Input, &[String]),
    classes: (&Input, &[String]),
) -> Result<Vec<usize>, String> {
    let width = classes.1.len();
    if clusters.1.len().saturating_mul(width) > MAX_PAIRS {
        return Ok((0..clusters.1.len()).collect());
    }
    let (of_cluster, of_class) = (clusters.0.labels()?, classes.0.labels()?);
    let class: HashMap<&String, &String> =
        classes.0.text("clip_id")?.iter().zip(&of_class).collect();
    let places = |names: &[String]| {
        names.iter().cloned().enumerate().map(|(at, name)| (name, at)).collect::<HashMap<_, _>>()
    };
    let (rows, columns) = (places(clusters.1), places(classes.1));
    let mut counts = vec![0.0; clusters.1.len() * width];
    for (clip, cluster) in clusters.0.text("clip_id")?.iter().zip(&of_cluster) {
        let column = class.get(clip).and_then(|class| columns.get(*class));
        if let Some((row, column)) = rows.get(cluster).zip(column) {
            counts[row * width + column] += 1.0;
        }
    }
    let matched = assign(&counts, width).into_iter().enumerate();
    let matched: Vec<Option<usize>> = matched
        .map(|(row, column)| column.filter(|column| counts[row * width + column] > 0.0))
        .collect();
    // Without classes there are no rows to assign.
    Ok(match matched.is_empty() {
        true => (0..clusters.1.len()).collect(),
        false => own_or_other(&matched, width),
    })
}

/// The category of the class of each cluster; those without one take the categories after all classes.
pub fn own_or_other(matched: &[Option<usize>], classes: usize) -> Vec<usize> {
    let mut others = classes..;
    matched.iter().filter_map(|class| class.or_else(|| others.next())).collect()
}

#[cfg(test)]
mod tests {
    use super::own_or_other;

    #[test]
    fn clusters_without_a_class_share_no_category() {
        assert_eq!(own_or_other(&[Some(1), None, Some(0), None], 3), [1, 3, 0, 4]);
        assert_eq!(own_or_other(&[], 3), [0_usize; 0]);
    }
}
