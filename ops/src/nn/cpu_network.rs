//! A network on the CPU: its parameters, its stages and the buffers reused from batch to batch.

use super::augmentation::Augmented;
use super::layers::Network;
use super::objective::{Objective, Reduction, Regularizer};
use super::rows::Rows;
use super::stage::{Stage, stages};
use super::total_correlation::Drawn;
use cache::Array;
use rayon::prelude::*;

/// The range to which the logarithm of the variance is clamped: e to these powers is far beyond any
/// use and within single precision.
pub const LOG_VARIANCE: [f32; 2] = [-60.0, 40.0];

/// The identifier of a stage in a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageId {
    /// The n-th stage of the encoder.
    Encoder(usize),
    /// The linear layer that gives the mean.
    Mean,
    /// The linear layer that gives the logarithm of the variance.
    LogVariance,
    /// The n-th stage of the decoder.
    Decoder(usize),
}

/// A network with its state.
pub struct CpuNetwork {
    /// The layers.
    pub network: Network,
    parameters: Vec<f32>,
    /// The running statistics, in the layout of [`Network::statistics`].
    pub statistics: Vec<f32>,
    /// The latent vectors that the decoder reads, row after row.
    pub latent: Vec<f32>,
    /// True if batch normalisation uses the statistics of the batch.
    pub training: bool,
    data: Array,
    chosen: Vec<u32>,
    /// Images of the next batch in place of its clips.
    given: Option<Augmented>,
    /// Images in place of the clips of this batch.
    augmented: Option<Augmented>,
    encoder: Vec<Stage>,
    mean: Stage,
    log_variance: Option<Stage>,
    decoder: Vec<Stage>,
    partials: Vec<f32>,
    flow: Vec<f32>,
    spare: Vec<f32>,
}

fn resize(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

impl CpuNetwork {
    /// Builds a network with these parameters and statistics, to run on rows of `data`.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn new(network: Network, data: Array, parameters: Vec<f32>, statistics: Vec<f32>) -> Self {
        let [height, width] = network.architecture.input;
        assert_eq!(data.width(), height * width, "BUG: clips of another size");
        assert_eq!(parameters.len(), network.parameter_len(), "BUG: parameters of another network");
        assert_eq!(statistics.len(), network.statistic_len(), "BUG: statistics of another network");
        let single = |layer| stages(std::slice::from_ref(layer)).pop().expect("one layer");
        Self {
            encoder: stages(&network.encoder),
            mean: single(&network.mean),
            log_variance: network.log_variance.as_ref().map(single),
            decoder: stages(&network.decoder),
            network,
            parameters,
            statistics,
            latent: Vec::new(),
            training: true,
            data,
            chosen: Vec::new(),
            given: None,
            augmented: None,
            partials: Vec::new(),
            flow: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// The trained parameters, in the layout of [`Network::parameters`].
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// The trained parameters, mutable.
    pub fn parameters_mut(&mut self) -> &mut Vec<f32> {
        let heads = std::iter::once(&mut self.mean).chain(&mut self.log_variance);
        heads.chain(&mut self.encoder).chain(&mut self.decoder).for_each(Stage::forget);
        &mut self.parameters
    }

    /// All stages, in the order in which a batch passes them.
    pub fn places(&self) -> Vec<StageId> {
        let mut places: Vec<StageId> = (0..self.encoder.len()).map(StageId::Encoder).collect();
        places.push(StageId::Mean);
        places.extend(self.log_variance.as_ref().map(|_| StageId::LogVariance));
        places.extend((0..self.decoder.len()).map(StageId::Decoder));
        places
    }

    /// The stage with that identifier.
    pub fn stage(&self, place: StageId) -> &Stage {
        match place {
            StageId::Encoder(at) => &self.encoder[at],
            StageId::Mean => &self.mean,
            StageId::LogVariance => self.log_variance.as_ref().expect("BUG: no such head"),
            StageId::Decoder(at) => &self.decoder[at],
        }
    }

    /// The clips.
    pub fn data(&self) -> &Array {
        &self.data
    }

    /// Sets images in place of the clips of the next batch.
    pub fn set_images(&mut self, images: Augmented) {
        self.given = Some(images);
    }

    /// Chooses the clips of the next batch.
    pub fn choose(&mut self, clips: &[u32]) {
        self.augmented = self.given.take();
        self.chosen.clear();
        self.chosen.extend_from_slice(clips);
    }

    /// The number of clips in the batch.
    pub fn batch(&self) -> usize {
        self.chosen.len()
    }

    /// Runs one stage on the output of the stage before it.
    pub fn forward(&mut self, place: StageId) {
        let batch = self.chosen.len();
        let features = self.encoder.len();
        let (done, stage, rest): (&[Stage], &mut Stage, Rows<'_>) = match place {
            StageId::Encoder(at) => {
                let (done, next) = self.encoder.split_at_mut(at);
                (done, &mut next[0], clips(&self.data, &self.chosen, &self.augmented, 0))
            }
            StageId::Mean => (&self.encoder[..features], &mut self.mean, Rows::new(&[], 0)),
            StageId::LogVariance => {
                let stage = self.log_variance.as_mut().expect("BUG: no such head");
                (&self.encoder[..features], stage, Rows::new(&[], 0))
            }
            StageId::Decoder(at) => {
                let (done, next) = self.decoder.split_at_mut(at);
                (done, &mut next[0], Rows::new(&self.latent, self.network.architecture.latent))
            }
        };
        let input = done.last().map_or(rest, Stage::output);
        let (parameters, statistics) = (&self.parameters, &mut self.statistics);
        stage.forward(parameters, statistics, self.training, input, batch, &mut self.partials);
    }

    /// The output of a stage, row after row; only for stages of one layer.
    pub fn output(&self, place: StageId) -> Rows<'_> {
        self.stage(place).output()
    }

    /// The reconstructed clips.
    pub fn reconstruction(&self) -> Rows<'_> {
        self.decoder.last().expect("a decoder has stages").output()
    }

    fn input(&self, place: StageId) -> Rows<'_> {
        let before = match place {
            StageId::Encoder(at) => self.encoder[..at].last(),
            StageId::Mean | StageId::LogVariance => self.encoder.last(),
            StageId::Decoder(at) => self.decoder[..at].last(),
        };
        match (before, place) {
            (Some(stage), _) => stage.output(),
            (None, StageId::Decoder(_)) => {
                Rows::new(&self.latent, self.network.architecture.latent)
            }
            (None, _) => clips(&self.data, &self.chosen, &self.augmented, 0),
        }
    }

    /// Runs one stage backward: takes the gradient of its output, adds that of its parameters to
    /// `d_parameters`, and passes on that of its input.
    pub fn backward(&mut self, place: StageId, d_parameters: &mut [f32]) {
        let (mut flow, mut spare, mut partials) = self.take();
        let (stage, batch) = (self.stage(place), self.chosen.len());
        let d_output = &mut flow[..batch * stage.output_len];
        let further =
            (place != StageId::Encoder(0)).then(|| resize(&mut spare, batch * stage.input_len));
        let (parameters, input) = (&self.parameters, self.input(place));
        stage.backward(
            parameters,
            input,
            batch,
            d_output,
            further,
            false,
            d_parameters,
            &mut partials,
        );
        (self.flow, self.spare, self.partials) = (spare, flow, partials);
    }

    /// Runs a head backward from the gradient of its output. The gradient for the encoder is added
    /// to that of the other head if `add` is set.
    pub fn head_backward(
        &mut self,
        place: StageId,
        d_output: &mut [f32],
        add: bool,
        d_parameters: &mut [f32],
    ) {
        let (mut flow, spare, mut partials) = self.take();
        let (stage, batch) = (self.stage(place), self.chosen.len());
        let further = Some(resize(&mut flow, batch * stage.input_len));
        let (parameters, input) = (&self.parameters, self.input(place));
        stage.backward(
            parameters,
            input,
            batch,
            d_output,
            further,
            add,
            d_parameters,
            &mut partials,
        );
        (self.flow, self.spare, self.partials) = (flow, spare, partials);
    }

    fn take(&mut self) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let empty = std::mem::take;
        (empty(&mut self.flow), empty(&mut self.spare), empty(&mut self.partials))
    }

    /// The gradient of the latent vectors.
    pub fn d_latent(&self) -> &[f32] {
        &self.flow[..self.chosen.len() * self.network.architecture.latent]
    }

    /// The reconstruction term of the batch, and the number that divides its gradient.
    pub fn reconstruction_term(&self, objective: &Objective) -> (f64, f64) {
        objective.reconstruction_of(self.squared_error(), self.chosen.len(), self.data.width())
    }

    /// The images that the decoder is to make.
    fn targets(&self) -> Rows<'_> {
        clips(&self.data, &self.chosen, &self.augmented, 1)
    }

    /// Σ (reconstruction − clip)² over batch and pixels, in single-precision lanes within a clip
    /// and in double precision over clips.
    pub fn squared_error(&self) -> f64 {
        let (made, clips) = (self.reconstruction(), self.targets());
        let errors: Vec<f64> = (0..self.chosen.len())
            .into_par_iter()
            .map(|at| squared_distance(made.row(at), clips.row(at)))
            .collect();
        errors.iter().sum()
    }

    /// Starts the backward pass with `scale` × the gradient of [`CpuNetwork::squared_error`].
    pub fn squared_error_backward(&mut self, scale: f32) {
        let (mut flow, spare, partials) = self.take();
        let (made, clips) = (self.reconstruction(), self.targets());
        let width = self.data.width();
        let gradient = resize(&mut flow, self.chosen.len() * width);
        gradient.par_chunks_exact_mut(width).enumerate().for_each(|(at, gradient)| {
            for ((d, made), clip) in gradient.iter_mut().zip(made.row(at)).zip(clips.row(at)) {
                *d = 2.0 * scale * (made - clip);
            }
        });
        (self.flow, self.spare, self.partials) = (flow, spare, partials);
    }

    /// The latent means of the batch, and the logarithms of their variances if variational.
    pub fn latents(&self, at: usize) -> (&[f32], Option<&[f32]>) {
        let log_variance = self.log_variance.as_ref().map(|stage| stage.output().row(at));
        (self.mean.output().row(at), log_variance)
    }

    /// The loss of the batch after [`CpuNetwork::encode`] and [`CpuNetwork::decode_means`], at the full
    /// β and without free bits.
    pub fn loss(&self, objective: &Objective) -> f64 {
        let (batch, latent) = (self.chosen.len(), self.network.architecture.latent);
        let nats: f64 = (0..batch)
            .map(|at| {
                let (mean, log_variance) = self.latents(at);
                let pairs = mean.iter().zip(log_variance.unwrap_or_default());
                pairs.map(|(mean, log_variance)| kl_divergence(*mean, *log_variance)).sum::<f64>()
            })
            .sum();
        let share = if objective.kl == Reduction::Mean { latent } else { 1 };
        let reconstruction = self.reconstruction_term(objective).0;
        let correlation = match objective.regularizer {
            Regularizer::TotalCorrelation { clips } => self.correlation(clips) / share as f64,
            _ => 0.0,
        };
        match objective.regularizer {
            Regularizer::Beta => {
                reconstruction + objective.beta.beta * nats / (batch * share) as f64
            }
            _ => reconstruction + objective.penalty(nats / (batch * share) as f64, correlation),
        }
    }

    /// The total correlation of the latent means of the batch.
    fn correlation(&self, clips: usize) -> f64 {
        let (mut means, mut log_variances) = (Vec::new(), Vec::new());
        for at in 0..self.chosen.len() {
            let (mean, log_variance) = self.latents(at);
            means.extend_from_slice(mean);
            let held = log_variance.unwrap_or_default().iter();
            log_variances.extend(held.map(|it| it.clamp(LOG_VARIANCE[0], LOG_VARIANCE[1])));
        }
        let units = self.network.architecture.latent;
        let (samples, log_variances) = (&means, &log_variances);
        Drawn { units, samples, means: &means, log_variances }.correlation(clips).value
    }

    /// Runs the encoder and its heads on these clips.
    pub fn encode(&mut self, clips: &[u32]) {
        self.choose(clips);
        (0..self.encoder.len()).for_each(|at| self.forward(StageId::Encoder(at)));
        self.forward(StageId::Mean);
        if self.log_variance.is_some() {
            self.forward(StageId::LogVariance);
        }
    }

    /// Runs the decoder on the means of the batch.
    pub fn decode_means(&mut self) {
        let mut latent = std::mem::take(&mut self.latent);
        latent.clear();
        (0..self.chosen.len()).for_each(|at| latent.extend(self.output(StageId::Mean).row(at)));
        self.latent = latent;
        (0..self.decoder.len()).for_each(|at| self.forward(StageId::Decoder(at)));
    }
}

/// The clips of a batch, or the images in their place: those that the encoder reads (0), or those
/// that the decoder is to make (1).
fn clips<'a>(
    data: &'a Array,
    chosen: &'a [u32],
    augmented: &'a Option<Augmented>,
    which: usize,
) -> Rows<'a> {
    match augmented {
        Some(images) => Rows::new(&images[which], data.width()),
        None => Rows::new(data.values(), data.width()).choose(chosen),
    }
}

/// −½(1 + log σ² − μ² − σ²): the KL divergence of one latent unit from a standard normal.
pub fn kl_divergence(mean: f32, log_variance: f32) -> f64 {
    let (mean, log_variance) =
        (f64::from(mean), f64::from(log_variance.clamp(LOG_VARIANCE[0], LOG_VARIANCE[1])));
    0.5 * (log_variance.exp() + mean * mean - log_variance - 1.0)
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let mut sum = 0.0;
    for (a, b) in a.chunks(1024).zip(b.chunks(1024)) {
        let mut sums = [0.0_f32; 16];
        for (a, b) in a.chunks(16).zip(b.chunks(16)) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += (a - b) * (a - b);
            }
        }
        sum += f64::from(sums.iter().sum::<f32>());
    }
    sum
}
