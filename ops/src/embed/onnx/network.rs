//! A network that is ready to run, whichever library runs it.

use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
};

/// A tensor of floats: its shape and its values.
pub type Tensor = (Vec<usize>, Vec<f32>);

/// A network with one input of floats and one tensor that is taken.
pub trait Network: Sync {
    /// The number of axes of the input.
    fn axes(&self) -> usize;

    /// The tensor for one clip. The bytes do not depend on how many threads call this at a time.
    ///
    /// # Errors
    /// When the network does not take an input of this shape; the reason.
    fn run(&self, input: Tensor) -> Result<Tensor, String>;
}

/// The reason why a network cannot be made.
pub enum Refusal {
    /// The file is not such a network; the end of a sentence about it.
    File(String),
    /// The network has no tensor of the asked name, or none was named; a sentence and advice.
    Output(String, String),
    /// The library that runs networks cannot be used; the reason.
    Library(String),
}

impl Refusal {
    /// The refusal of a file that a library takes for no network.
    pub fn no_network(why: impl Display) -> Self {
        Self::File(format!("is no network: {why}").replace('\n', " "))
    }

    /// The refusal of a network with another number of inputs than one.
    pub fn inputs(count: usize) -> Self {
        Self::File(format!("has {count} inputs, not one"))
    }

    /// The refusal of a name that no tensor has. `outputs` are those of the network.
    pub fn no_tensor(name: &str, outputs: &[&str]) -> Self {
        let help = format!("its outputs are {}; inner tensors have names too", listed(outputs));
        Self::Output(format!("has no tensor `{name}`"), help)
    }

    /// The refusal of a network that has not one output, where none is named.
    pub fn which_output(outputs: &[&str]) -> Self {
        let help = format!("name one as `output`: {}", listed(outputs));
        Self::Output(format!("has {} outputs", outputs.len()), help)
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Things of which each is used by one thread at a time. A new one is made when all are in use.
pub struct ObjectPool<T>(Mutex<Vec<T>>);

impl<T> ObjectPool<T> {
    /// Things of which this is the first.
    pub fn with(first: T) -> Self {
        Self(Mutex::new(vec![first]))
    }

    /// Uses one of them. One whose use fails is not used again.
    ///
    /// # Errors
    /// Those of `make` and of `work`.
    pub fn use_one<R>(
        &self,
        make: impl FnOnce() -> Result<T, String>,
        work: impl FnOnce(&mut T) -> Result<R, String>,
    ) -> Result<R, String> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = lock().pop();
        let mut own = spare.map_or_else(make, Ok)?;
        let made = work(&mut own)?;
        lock().push(own);
        Ok(made)
    }
}
