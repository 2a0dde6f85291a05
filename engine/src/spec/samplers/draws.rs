//! Draws points from a space, none of them twice.

use super::{distribution::ParamDistribution, grid::combinations, settings::SamplerSettings};
use crate::{
    spec::{
        points::{Point, Reader},
        sweep::MAX_VARIANTS,
    },
    ui::diagnostic::Diagnostic,
};
use ops::{Purpose, Random};
use std::collections::HashSet;

/// The number of positions in a row without a new point, after which no more are drawn.
const PATIENCE: usize = 1000;

/// Points drawn from a space. A point that was drawn before, or that `exclude` or `include` names,
/// is replaced by another, until there are as many as are asked for or the space is exhausted.
pub struct Draws<'s> {
    /// The number of points that will be drawn: as many as are asked for, or all that exist.
    pub n: usize,
    /// The points so far.
    pub points: Vec<Point>,
    settings: &'s SamplerSettings,
    seen: HashSet<Point>,
    /// All positions of the space in a random order, if they are few enough to be counted.
    all: Option<Vec<Vec<f64>>>,
}

impl<'s> Draws<'s> {
    /// Starts without points; warns if there are fewer than are asked for.
    pub fn new(reader: &mut Reader<'_>, settings: &'s SamplerSettings) -> Self {
        let mut all = all_places(&settings.over);
        if let Some(all) = &mut all {
            all.retain(|place| reader.is_free(&settings.over, place));
            let index = u32::MAX - 1;
            let order = Random::new(settings.seed, Purpose::Sweep, index).permutation(all.len());
            *all = order.into_iter().map(|at| all[at as usize].clone()).collect();
        }
        let n = all.as_ref().map_or(settings.n, |all| all.len().min(settings.n));
        let draws = Self { n, points: Vec::new(), settings, seen: HashSet::new(), all };
        draws.warn_of_fewer(reader, n);
        draws
    }

    /// Draws from `places` until there are `wanted` points. If these are not enough, the other
    /// positions of a small space are used.
    pub fn fill(
        &mut self,
        reader: &mut Reader<'_>,
        wanted: usize,
        places: impl Iterator<Item = Vec<f64>>,
    ) -> Option<()> {
        self.draw(reader, wanted, places)?;
        let untried = self.all.clone().unwrap_or_default();
        self.draw(reader, wanted, untried.into_iter())
    }

    /// Draws from `places` until there are `wanted` points, or until they give no new points.
    pub fn draw(
        &mut self,
        reader: &mut Reader<'_>,
        wanted: usize,
        places: impl Iterator<Item = Vec<f64>>,
    ) -> Option<()> {
        let (mut misses, over) = (0, &self.settings.over);
        let patience = self.all.as_ref().map_or(PATIENCE, Vec::len) + 2 * self.points.len();
        for place in places {
            if self.points.len() >= wanted || misses > patience {
                break;
            }
            misses += 1;
            if !reader.is_free(over, &place) {
                continue;
            }
            let point = reader.point_at(over, &place)?;
            if self.seen.insert(point.clone()) {
                self.points.push(point);
                misses = 0;
            }
        }
        Some(())
    }

    /// All positions of a small space; empty for a large one.
    pub fn all(&self) -> &[Vec<f64>] {
        self.all.as_deref().unwrap_or_default()
    }

    /// The points; warns if a large space gave fewer than are asked for.
    pub fn finish(self, reader: &mut Reader<'_>) -> Vec<Point> {
        if self.all.is_none() {
            self.warn_of_fewer(reader, self.points.len());
        }
        self.points
    }

    fn warn_of_fewer(&self, reader: &mut Reader<'_>, found: usize) {
        let SamplerSettings { key, n, .. } = self.settings;
        if found == *n {
            return;
        }
        let (name, others) = (&key.name, if found == 1 { "one" } else { "ones" });
        let message = format!(
            "`{name}` asks for {n} points, but only {found} different {others} can be drawn: all of them are run"
        );
        let error = Diagnostic::warning("spec::sweep", message);
        reader.cx.push(error.at_key(key, "the space is exhausted before `n`"));
    }
}

/// All positions of a space, if it has at most as many points as a sweep may have.
fn all_places(over: &[ParamDistribution]) -> Option<Vec<Vec<f64>>> {
    let mut values = Vec::new();
    let mut size = 1_usize;
    for distribution in over {
        let places = distribution.places(MAX_VARIANTS)?;
        size = size.checked_mul(places.len()).filter(|size| *size <= MAX_VARIANTS)?;
        values.push(places);
    }
    let sizes: Vec<usize> = values.iter().map(Vec::len).collect();
    let place = |at: Vec<usize>| at.iter().zip(&values).map(|(at, values)| values[*at]).collect();
    Some(combinations(&sizes).into_iter().map(place).collect())
}
