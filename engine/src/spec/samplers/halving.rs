//! The sampler `halving`: many points with few resources, the best of them with more.

use super::{
    Keys, Proposal, Sampler,
    draws::Draws,
    random,
    settings::{N, OVER, SEED, SamplerSettings, Setting, SettingType},
};
use crate::spec::{
    node::{Key, Node, Value},
    points::{Point, Reader},
    search::History,
    sweep::error,
};

/// Successive halving: all points with a little of the resource, one in `eta` of them with `eta`
/// times as much, and so on. A step that trains longer continues its earlier training.
pub struct Halving {
    settings: SamplerSettings,
    from: (u64, Node),
    to: u64,
    eta: u64,
}

impl Sampler for Halving {
    const NAME: &'static str = "halving";
    const DOC: &'static str = "Many points for a short time, the best of them longer (needs `objective`): \
         `{ n: 27, resource: vae.epochs, from: 3, to: 27, eta: 3, over: … }`.";
    const KEYS: Keys = Keys::Settings(&[
        Setting { doc: "The number of points of the first rung.", ..N },
        Setting {
            name: "resource",
            doc: "The parameter that grows from rung to rung, such as `vae.epochs`.",
            takes: SettingType::Parameter,
            required: true,
        },
        Setting {
            name: "from",
            doc: "Its value in the first rung.",
            takes: SettingType::Count(1),
            required: true,
        },
        Setting {
            name: "to",
            doc: "Its value in the last rung.",
            takes: SettingType::Count(1),
            required: true,
        },
        Setting {
            name: "eta",
            doc: "The factor by which it grows; one point in `eta` goes on; 3.",
            takes: SettingType::Count(2),
            required: false,
        },
        SEED,
        OVER,
    ]);
    const SEARCHES: bool = true;

    fn read(reader: &mut Reader<'_>, key: &Key, node: Node) -> Option<Self> {
        let settings = SamplerSettings::read::<Self>(reader, key, node)?;
        let (from, to) = (settings.count("from")?.clone(), settings.count("to")?.0);
        if to < from.0 {
            let message = format!("`to` is {to}, which is less than `from`, {}", from.0);
            reader.cx.push(error(message).at_key(key, "rungs grow"));
            return None;
        }
        let eta = settings.count("eta").map_or(3, |(eta, _)| *eta);
        Some(Self { settings, from, to, eta })
    }

    fn propose(&self, reader: &mut Reader<'_>, history: &History<'_>) -> Option<Proposal> {
        let resource = reader.axes.len() - 1;
        if let Some(place) = reader.excludes(resource) {
            let name = &reader.axes[resource].key.name;
            let message = format!("`{name}` grows from rung to rung and cannot be excluded");
            reader.cx.push(error(message).label(place, "`halving` gives it its values"));
            return None;
        }
        let mut draws = Draws::new(reader, &self.settings);
        draws.fill(
            reader,
            draws.n,
            random::places(self.settings.seed, self.settings.over.len()),
        )?;
        let mut rung = draws.finish(reader);
        let (mut points, mut amount) = (Vec::new(), self.from.0);
        let name = reader.axes[resource].key.name.clone();
        loop {
            let value = Node { value: Value::Int(amount.into()), ..self.from.1.clone_bare() };
            let at = reader.axes[resource].intern(reader.cx, &value)?;
            let full: Vec<Point> = rung.iter().map(|point| [&point[..], &[at]].concat()).collect();
            points.extend(full.iter().cloned());
            if amount >= self.to {
                return Some(Proposal { points, more: false, resource: Some(name) });
            }
            let Some(scores) = history.scores(reader, &full) else {
                return Some(Proposal { points, more: true, resource: Some(name) });
            };
            let mut order: Vec<usize> = (0..rung.len()).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            let share = usize::try_from(self.eta).unwrap_or(usize::MAX);
            order.truncate(rung.len().div_ceil(share));
            order.sort_unstable();
            rung = order.into_iter().map(|at| rung[at].clone()).collect();
            amount = amount.saturating_mul(self.eta).min(self.to);
        }
    }
}
