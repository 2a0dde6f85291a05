//! What a training asks of the device that computes it. What is random, how long it goes on and
//! what is kept stay outside: they are the same for every device.

use super::layers::Network;
use super::objective::Losses;
use crate::op::{Ctx, OpError};

/// All numbers that a training moves.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The trained numbers, as [`Network::parameters`] lays them out.
    pub parameters: Vec<f32>,
    /// The running statistics, as [`Network::statistics`] lays them out.
    pub statistics: Vec<f32>,
    /// Adam's averages of gradients and of their squares.
    pub moments: [Vec<f32>; 2],
}

impl State {
    /// The start of a training.
    pub fn start(network: &Network, seed: u64) -> Self {
        let zeros = vec![0.0; network.parameter_len()];
        Self {
            parameters: network.initial_parameters(seed),
            statistics: network.initial_statistics(),
            moments: [zeros.clone(), zeros],
        }
    }
}

/// The batches of an epoch.
#[derive(Clone, Copy, Debug)]
pub struct Batches<'a> {
    /// Which epoch, from 1 on.
    pub epoch: u64,
    /// The clips in the order in which they pass.
    pub order: &'a [u32],
    /// The weight of the KL term.
    pub beta: f64,
    /// Steps before this epoch.
    pub steps_before: u64,
}

/// Latent vectors, row after row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encodings {
    /// Latent means.
    pub means: Vec<f32>,
    /// Logarithms of variances; empty unless variational.
    pub log_variances: Vec<f32>,
}

/// A network that trains and runs on some device, on the clips that it was made with.
pub trait Backend {
    /// The layers.
    fn network(&self) -> &Network;

    /// One step for each batch; `heard` is told of each, in order: its number from 0 on and its
    /// losses.
    ///
    /// # Errors
    /// What `heard` says, when the run is cancelled, or when the device fails.
    fn train(
        &mut self,
        batches: &Batches<'_>,
        cx: &Ctx<'_>,
        heard: &mut dyn FnMut(usize, Losses) -> Result<(), OpError>,
    ) -> Result<(), OpError>;

    /// The loss averaged over these clips, at the full β, without noise and free bits; NaN of none.
    ///
    /// # Errors
    /// When the run is cancelled or the device fails.
    fn validate(&mut self, clips: &[u32], cx: &Ctx<'_>) -> Result<f64, OpError>;

    /// The numbers as they are now.
    ///
    /// # Errors
    /// When the device fails.
    fn state(&mut self) -> Result<State, OpError>;

    /// Goes back or forward to other numbers.
    ///
    /// # Errors
    /// When the device fails.
    fn restore(&mut self, state: &State) -> Result<(), OpError>;

    /// The latent vectors of these clips.
    ///
    /// # Errors
    /// When the run is cancelled or the device fails.
    fn encode(&mut self, clips: &[u32], cx: &Ctx<'_>) -> Result<Encodings, OpError>;

    /// What the decoder makes of the latent means of these clips, row after row.
    ///
    /// # Errors
    /// When the run is cancelled or the device fails.
    fn reconstruct(&mut self, clips: &[u32], cx: &Ctx<'_>) -> Result<Vec<f32>, OpError>;
}
