//! The clips in a device's memory: there once for all models of the process that train on them at the same time.

use super::driver::{Address, CudaError, Driver, Memory};
use super::plan::Number;
use cache::{Array, Digest, Hasher};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The number of values that are rounded at a time.
const AT_A_TIME: usize = 1 << 22;

/// The data sets in the memory of one device, by their content.
#[derive(Default)]
pub struct DataSets(Mutex<BTreeMap<Digest, Weak<dyn Memory>>>);

impl DataSets {
    /// Only one model at a time looks for a data set, uploads one or frees one. Nothing that is done meanwhile may give work
    /// to the pool of threads: one of these may wait here itself.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Weak<dyn Memory>>> {
        // After a panic the map is whole: a data set is entered as the last thing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A data set that a model reads. Its memory is freed when the last model that reads it has dropped it.
pub struct DataSet {
    memory: Option<Arc<dyn Memory>>,
    start: Address,
    sets: Arc<DataSets>,
}

impl DataSet {
    /// The clips as these numbers in the device's memory: those that another model has put there, or else an upload, which has
    /// ended on return.
    ///
    /// # Errors
    /// When the device has too little memory or fails.
    pub fn open(driver: &mut impl Driver, data: &Array, number: Number) -> Result<Self, CudaError> {
        let digest = digest(data, number);
        let sets = driver.data_sets();
        let mut held = sets.lock();
        let found = held.get(&digest).and_then(Weak::upgrade);
        let memory = match found {
            Some(memory) => memory,
            None => {
                let memory = upload(driver, data, number)?;
                held.insert(digest, Arc::downgrade(&memory));
                memory
            }
        };
        drop(held);
        Ok(Self { start: memory.start(), memory: Some(memory), sets })
    }

    /// The address of the first clip.
    pub fn start(&self) -> Address {
        self.start
    }
}

impl Drop for DataSet {
    fn drop(&mut self) {
        // Under the lock, so that a model that does not find this data set any more finds its memory free.
        let mut held = self.sets.lock();
        self.memory = None;
        held.retain(|_, memory| memory.strong_count() > 0);
    }
}

/// The bytes of so many numbers in a device's memory.
pub fn bytes(count: usize, number: Number) -> u64 {
    // No device reserves no bytes at all.
    ((count * number.bytes()) as u64).max(1)
}

/// The name of what lies in the memory.
fn digest(data: &Array, number: Number) -> Digest {
    let mut hasher = Hasher::new("data set on a device");
    hasher.text(number.name()).number(data.shape().len() as u64);
    data.shape().iter().for_each(|size| _ = hasher.number(*size as u64));
    hasher.values(data.values()).finish()
}

fn upload(
    driver: &mut impl Driver,
    data: &Array,
    number: Number,
) -> Result<Arc<dyn Memory>, CudaError> {
    let memory = driver.alloc_shared(bytes(data.values().len(), number))?;
    let copied = copy(driver, memory.start(), data, number);
    // After a failure too, since nothing may be copied into memory that is freed.
    // SAFETY: nothing is read.
    let waited = unsafe { driver.read(memory.start(), &mut []) };
    copied.and(waited).map(|()| memory)
}

fn copy(
    driver: &mut impl Driver,
    start: Address,
    data: &Array,
    number: Number,
) -> Result<(), CudaError> {
    if number != Number::Bf16 {
        // SAFETY: as many bytes were just reserved.
        return unsafe { driver.write(start, bytemuck::cast_slice(data.values())) };
    }
    let mut at = start;
    for values in data.values().chunks(AT_A_TIME) {
        let halves: Vec<u16> = values.iter().map(|value| to_bf16(*value)).collect();
        // SAFETY: as many bytes were just reserved.
        unsafe { driver.write(at, bytemuck::cast_slice(&halves)) }?;
        at = at.plus(2 * halves.len());
    }
    Ok(())
}

/// The bf16 nearest to a finite number, with ties to even.
pub fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}
