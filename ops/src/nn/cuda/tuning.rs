//! The choice of the tiles of products on tensor cores by their times on this GPU.
//!
//! [`Sides::tile`] is a table, made on one GPU for one network. [`tune`] times its tile beside a few others, once for each
//! product on each kind of GPU, and keeps which one was quickest beside the compiled kernels. The bits of a training do not
//! depend on the choice: every tile takes a sum in the same order, in as many parts, and a tile whose numbers are not
//! those of the table's is left out. Whatever fails leaves the table's tile.

mod candidates;

pub use candidates::candidates;

use super::super::fit;
use super::super::layers::{Layer, Network};
use super::cubins;
use super::driver::{Address, CudaError, Driver, TuningContext};
use super::net::{Call, Net, launch_of};
use super::source::{Direction, Sides, Tile, Unit, product, units_with};
use super::{Precision, Precision::Bf16};
use crate::math::random::{Purpose, Random};
use cache::Hasher;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The numbers of launches for warming up and of those that are timed.
const WARM_UP: usize = 3;
const TIMED: usize = 9;
/// A tile is not taken if the table's needs at most so much longer.
const NEARLY: f64 = 1.03;
/// The images on which the numbers of tiles are compared.
const COMPARED: usize = 8;
/// The least number of steps of a training for which timing pays off.
const WORTH: u64 = 1000;

/// True if a training is long enough to time tiles for it.
pub fn is_worth(plan: &fit::Plan, clips: usize) -> bool {
    clips.div_ceil(plan.batch_size) as u64 * plan.epochs >= WORTH
}

/// A product of a convolution whose tile may be chosen.
struct Product<'n> {
    layer: &'n Layer,
    number: usize,
    sides: Sides,
    direction: Direction,
    precision: Precision,
}

impl Product<'_> {
    fn table(&self) -> Tile {
        self.sides.tile(self.direction, self.precision)
    }

    fn candidates(&self) -> Vec<Tile> {
        candidates(&self.sides, self.direction, self.precision)
    }

    fn unit(&self, tile: Tile) -> Unit {
        let Self { layer, number, sides, direction, precision } = self;
        product(&layer.name, sides, *number, *precision, *direction, tile)
    }

    fn kernel(&self, tile: Tile) -> String {
        self.sides.kernel(self.number, self.direction, self.precision, tile)
    }
}

/// The products of a network whose tiles may be chosen.
fn products(network: &Network, precision: Precision) -> Vec<Product<'_>> {
    let layers = network.encoder.iter().chain(&network.decoder).enumerate();
    let sided = layers.filter_map(|(number, layer)| Some((number, layer, Sides::of(layer)?)));
    let all = sided.flat_map(|(number, layer, sides)| {
        Direction::ALL.map(|direction| Product { layer, number, sides, direction, precision })
    });
    all.filter(|product| !product.candidates().is_empty()).collect()
}

/// The tile of one product, as it is kept in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Choice {
    /// The digest of all that times depend on.
    of: String,
    chosen: Tile,
    /// The median time of each tile in seconds, the table's first.
    seconds: Vec<(Tile, f64)>,
}

/// The tiles of a network's products: those that were chosen, and otherwise the table's.
#[derive(Debug)]
pub struct Tiles {
    precision: Precision,
    capacity: usize,
    /// Where they are timed; none if they are not.
    context: Option<TuningContext>,
    chosen: Vec<(usize, Direction, Choice)>,
}

impl Tiles {
    /// Those that were chosen before for batches of at most `capacity` clips.
    pub fn kept(
        driver: &impl Driver,
        network: &Network,
        precision: Precision,
        capacity: usize,
    ) -> Self {
        let context = driver.tuning_context();
        let mut tiles = Self { precision, capacity, context, chosen: Vec::new() };
        tiles.chosen = tiles.look_up(network);
        tiles
    }

    /// The tile of a product of the layer with this number.
    pub fn of(&self, number: usize, sides: &Sides, direction: Direction) -> Tile {
        let mut chosen = self.chosen.iter();
        let found = chosen.find(|it| (it.0, it.1) == (number, direction));
        found.map_or_else(|| sides.tile(direction, self.precision), |it| it.2.chosen)
    }

    /// All units of a network with these tiles.
    pub fn units(&self, network: &Network) -> Vec<Unit> {
        units_with(network, self.precision, |number, sides, direction| {
            self.of(number, sides, direction)
        })
    }

    /// The times by which each tile was chosen, one product a line; nothing if none was.
    pub fn times(&self) -> String {
        let line = |(number, direction, choice): &(usize, Direction, Choice)| {
            let micros = |(tile, seconds): &(Tile, f64)| format!("{tile} {:.1} µs", seconds * 1e6);
            let all: Vec<String> = choice.seconds.iter().map(micros).collect();
            let name = format!("{}_{number}", direction.name());
            format!("  {name:<10} {:<10} of {}\n", choice.chosen.to_string(), all.join(", "))
        };
        self.chosen.iter().map(line).collect()
    }

    /// The products whose tiles are not chosen yet, though they can be.
    fn open<'n>(&self, network: &'n Network) -> Vec<Product<'n>> {
        if self.context.is_none() {
            return Vec::new();
        }
        let mut all = products(network, self.precision);
        all.retain(|it| !self.chosen.iter().any(|of| (of.0, of.1) == (it.number, it.direction)));
        all
    }

    /// The choices that are kept for products without one.
    fn look_up(&self, network: &Network) -> Vec<(usize, Direction, Choice)> {
        let open = self.open(network).into_iter();
        open.filter_map(|it| Some((it.number, it.direction, self.read(&it)?))).collect()
    }

    /// The digest of all that the times of a product depend on, and the file of the choice.
    fn file(&self, product: &Product<'_>) -> Option<(String, Option<PathBuf>)> {
        let context = self.context.as_ref()?;
        let mut hasher = Hasher::new("tile");
        hasher.text(&context.device).number(self.capacity as u64);
        hasher.text(&product.unit(product.table()).text());
        product.candidates().iter().for_each(|tile| {
            hasher.text(&tile.to_string());
        });
        let name = hasher.finish().to_string();
        let path = context.folder.as_ref().map(|folder| folder.join(format!("{name}.tile")));
        Some((name, path))
    }

    fn read(&self, product: &Product<'_>) -> Option<Choice> {
        let (name, path) = self.file(product)?;
        let choice: Choice = serde_json::from_slice(&cubins::read(&path?)?).ok()?;
        let known =
            choice.chosen == product.table() || product.candidates().contains(&choice.chosen);
        (known && choice.of == name).then_some(choice)
    }
}

/// Chooses the tiles that are not chosen yet, if the device has a clock. Until [`super::super::backend::Backend::restore`]
/// the parameters are then numbers for timing.
pub fn tune<D: Driver>(net: &mut Net<D>) {
    // One model of a process after the other: at once they would time each other, and the next finds what this one kept.
    static ONE: Mutex<()> = Mutex::new(());
    let network = net.network.clone();
    if net.tiles.open(&network).is_empty() {
        return;
    }
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = choose(net, &network) {
        tracing::debug!(%error, "tiles of products that were not timed are those of the table");
    }
}

fn choose<D: Driver>(net: &mut Net<D>, network: &Network) -> Result<(), CudaError> {
    let open = net.tiles.open(network);
    let found = net.tiles.look_up(network);
    let is_found =
        |it: &Product<'_>| found.iter().find(|of| (of.0, of.1) == (it.number, it.direction));
    let units: Vec<Unit> = open
        .iter()
        .flat_map(|it| match is_found(it) {
            // The table's is loaded already.
            Some((.., choice)) if choice.chosen == it.table() => Vec::new(),
            Some((.., choice)) => vec![it.unit(choice.chosen)],
            None => it.candidates().into_iter().map(|tile| it.unit(tile)).collect(),
        })
        .collect();
    net.driver.load(&units)?;
    let open: Vec<_> = open.iter().filter(|it| is_found(it).is_none()).collect();
    net.tiles.chosen.extend(found);
    if !open.is_empty() {
        fill(net)?;
    }
    for product in open {
        let Some(choice) = time(net, product)? else { return Ok(()) };
        let file = net.tiles.file(product).and_then(|(_, path)| path);
        if let Some((path, bytes)) = file.zip(serde_json::to_vec(&choice).ok()) {
            // A folder that cannot be written costs the next model the same time.
            let _ = cubins::keep(&path, &bytes);
        }
        net.tiles.chosen.push((product.number, product.direction, choice));
    }
    tracing::debug!("tiles of products:\n{}", net.tiles.times());
    Ok(())
}

/// Times the tiles of a product; none if the device has no clock.
fn time<D: Driver>(net: &mut Net<D>, product: &Product<'_>) -> Result<Option<Choice>, CudaError> {
    let (table, rows) = (product.table(), net.plan.capacity);
    let wanted = output(net, product, table)?;
    let mut seconds = Vec::new();
    for tile in [table].into_iter().chain(product.candidates()) {
        let kernel = product.kernel(tile);
        if tile != table && output(net, product, tile)? != wanted {
            tracing::debug!(
                "`{kernel}` is left out: its numbers are not those of the table's tile"
            );
            continue;
        }
        let launch = launch_of(call(net, product, tile, rows).0);
        // SAFETY: as for every launch of the net, whose arguments these are.
        let timed = unsafe { net.driver.time(&launch, WARM_UP + TIMED) }?;
        let Some(mut times) = timed.map(|all| all.into_iter().skip(WARM_UP).collect::<Vec<_>>())
        else {
            return Ok(None);
        };
        times.sort_by(f64::total_cmp);
        match times.get(times.len() / 2) {
            Some(median) if *median > 0.0 => seconds.push((tile, *median)),
            _ => return Err(CudaError::new(format!("timing {kernel}"), format!("{times:?}"))),
        }
    }
    let of = net.tiles.file(product).map_or_else(String::new, |(name, _)| name);
    Ok(Some(Choice { of, chosen: quickest(&seconds), seconds }))
}

/// The quickest tile, or the first if that is nearly as quick.
fn quickest(seconds: &[(Tile, f64)]) -> Tile {
    let least = seconds.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let (best, least) = *least.expect("BUG: the table's tile is timed");
    let (table, time) = seconds[0];
    if time <= NEARLY * least { table } else { best }
}

/// The bytes that a product writes with a tile, for a few images.
fn output<D: Driver>(
    net: &mut Net<D>,
    product: &Product<'_>,
    tile: Tile,
) -> Result<Vec<u8>, CudaError> {
    let (call, to, len) = call(net, product, tile, net.plan.capacity.min(COMPARED));
    // What is not written must not look like what was there before.
    let mut bytes = vec![0xff; len];
    net.write(to, &bytes)?;
    net.call(call)?;
    net.read(to, &mut bytes)?;
    Ok(bytes)
}

/// A product of so many images with a tile, and the place and number of the bytes that it writes.
fn call<D: Driver>(
    net: &Net<D>,
    product: &Product<'_>,
    tile: Tile,
    rows: usize,
) -> (Call, Address, usize) {
    let Product { layer, number, sides, direction, .. } = product;
    let [from, to, other] = net.plan.flow;
    if *direction == Direction::Weight {
        let [_, sums] = net.plan.parts;
        let places = [from, other, sums];
        let (call, parts) = net.weight_gradient(layer, *number, rows, places, Some(tile));
        return (call, sums, 4 * parts * layer.weight_len());
    }
    let narrows = *direction == Direction::Narrow;
    let image = if narrows { sides.narrow } else { sides.wide };
    let [_, bias] = net.weights(layer, false);
    let places = [from, bias, other, to];
    let forward = narrows != sides.transposed;
    let call = net.convolution(layer, *number, forward, rows, places, Some(tile));
    let size = if net.precision == Bf16 { 2 } else { 4 };
    (call, to, rows * image.iter().product::<usize>() * size)
}

/// Puts numbers where products read: their time and what they show depend on them.
fn fill<D: Driver>(net: &mut Net<D>) -> Result<(), CudaError> {
    let layers = net.network.encoder.iter().chain(&net.network.decoder);
    let largest = layers.map(|layer| layer.output_len().max(layer.input_len())).max();
    let images = net.plan.capacity * largest.unwrap_or_default();
    let parameters = net.parameter_layout.device_len();
    let mut random = Random::new(0, Purpose::Weights, 0);
    // Repeated at no multiple of a tile.
    let count = images.max(parameters).min(1_000_003);
    let numbers: Vec<f32> = (0..count).map(|_| random.between(-1.0, 1.0) as f32).collect();
    let halves: Vec<u16> = numbers.iter().map(|it| (it.to_bits() >> 16) as u16).collect();
    let [words, halves]: [&[u8]; 2] =
        [bytemuck::cast_slice(&numbers), bytemuck::cast_slice(&halves)];
    let value = if net.precision == Bf16 { halves } else { words };
    let [from, _, other] = net.plan.flow;
    let mut places = vec![(from, images, value), (other, images, value)];
    places.push((net.plan.parameters[0], parameters, words));
    places.extend(net.plan.kept.map(|kept| (kept, parameters, halves)));
    for (to, len, pattern) in places {
        let bytes = len * (pattern.len() / count);
        for start in (0..bytes).step_by(pattern.len()) {
            net.write(to.plus(start), &pattern[..pattern.len().min(bytes - start)])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_left_for_what_is_clearly_quicker() {
        let [table, a, b] = [128, 64, 256].map(|rows| Tile::new(rows, 64, 2));
        assert_eq!(quickest(&[(table, 1.0)]), table);
        assert_eq!(quickest(&[(table, 1.0), (a, 0.98), (b, 0.99)]), table);
        assert_eq!(quickest(&[(table, 1.0), (a, 0.96), (b, 0.9)]), b);
        assert_eq!(quickest(&[(table, 1.0), (a, 2.0), (b, 3.0)]), table);
    }
}
