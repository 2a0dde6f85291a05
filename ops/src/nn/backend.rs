//! The interface between a training and the device that computes it. Random numbers, stopping and
//! checkpoints are outside of it, since they are the same for every device.

use super::layers::Network;
use super::objective::Losses;
use crate::op::{Ctx, OpError};

/// All numbers that a training changes.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The trained parameters, in the layout of [`Network::parameters`].
    pub parameters: Vec<f32>,
    /// The running statistics, in the layout of [`Network::statistics`].
    pub statistics: Vec<f32>,
    /// The moving averages of Adam: of gradients and of their squares.
    pub moments: [Vec<f32>; 2],
}

impl State {
    /// The initial state of a training.
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
    /// The epoch, from 1 on.
    pub epoch: u64,
    /// The clips in their order in the epoch.
    pub order: &'a [u32],
    /// The weight of the KL term.
    pub beta: f64,
    /// The number of steps before this epoch.
    pub steps_before: u64,
}

/// Latent vectors of clips, row after row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encodings {
    /// Latent means.
    pub means: Vec<f32>,
    /// The logarithms of the variances; empty unless variational.
    pub log_variances: Vec<f32>,
}

/// A network that trains and runs on a device, with a fixed set of clips.
pub trait Backend {
    /// The layers.
    fn network(&self) -> &Network;

    /// Does one step for each batch. `on_step` is called after each, in order, with its number from 0
    /// on and its losses.
    ///
    /// # Errors
    /// The errors of `on_step`; also when the run is cancelled, or when the device fails.
    fn train(
        &mut self,
        batches: &Batches<'_>,
        cx: &Ctx<'_>,
        on_step: &mut dyn FnMut(usize, Losses) -> Result<(), OpError>,
    ) -> Result<(), OpError>;

    /// The mean loss of these clips, at the full β, without noise and free bits; NaN without clips.
    ///
    /// # Errors
    /// When the run is cancelled or the device fails.
    fn validate(&mut self, clips: &[u32], cx: &Ctx<'_>) -> Result<f64, OpError>;

    /// The current state.
    ///
    /// # Errors
    /// When the device fails.
    fn state(&mut self) -> Result<State, OpError>;

    /// Replaces the state.
    ///
    /// # Errors
    /// When the device fails.
    fn restore(&mut self, state: &State) -> Result<(), OpError>;

    /// The latent vectors of these clips.
    ///
    /// # Errors
    /// When the run is cancelled or the device fails.
    fn encode(&mut self, clips: &[u32], cx: &Ctx<'_>) -> Result<Encodings, OpError>;

    /// The outputs of the decoder for the latent means of these clips, row after row.
    ///
    /// # Errors
    /// When the run is cancelled or the device fails.
    fn reconstruct(&mut self, clips: &[u32], cx: &Ctx<'_>) -> Result<Vec<f32>, OpError>;
}
