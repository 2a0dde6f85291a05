//! The losses of a batch.

use super::super::driver::{Address, Arg, CudaError, Driver};
use super::super::plan::ERROR_PARTS;
use super::{Net, Plan, int};
use crate::nn::objective::{Objective, Reduction, Regularizer, Variance};

impl<D: Driver> Net<D> {
    /// Computes the losses of the batch, and the gradient of the reconstruction.
    ///
    /// # Errors
    /// When the device fails.
    pub fn measure(
        &mut self,
        rows: usize,
        objective: &Objective,
        training: bool,
    ) -> Result<(), CudaError> {
        let pixels: usize = self.network.architecture.input.iter().product();
        let averaged = if objective.reconstruction == Reduction::Mean { pixels } else { 1 };
        let divisor = (rows * averaged) as f64;
        let Plan { clips, augmented, errors, likelihood, flow: [flow, ..], .. } = self.plan;
        let target = augmented.filter(|_| training).map_or(clips, |[_, made]| made);
        let made = *self.plan.decoder.last().expect("a decoder has layers");
        let compare = |factor: Address, gradient: Address| {
            let scale = (1.0 / divisor) as f32;
            let mut args = vec![Arg::At(made), Arg::At(target), int(pixels), Arg::Real(scale)];
            args.extend([factor, gradient, errors].map(Arg::At));
            args
        };
        let is_likelihood = objective.variance == Variance::Optimal;
        if is_likelihood {
            // The gradient of each pixel depends on the errors of all.
            let args = compare(Address::NONE, Address::NONE);
            self.launch("squared_error", [ERROR_PARTS, rows, 1], args)?;
            let (count, scale) = ((rows * pixels) as f64, (pixels / averaged) as f64);
            let parts = int(rows * ERROR_PARTS);
            let args = vec![Arg::At(errors), parts, Arg::Double(count), Arg::Double(scale)];
            let args = args.into_iter().chain([Arg::At(likelihood)]).collect();
            self.launch("likelihood", [1, 1, 1], args)?;
        }
        let likelihood = if is_likelihood { likelihood } else { Address::NONE };
        let factor = if is_likelihood { likelihood.plus(8) } else { Address::NONE };
        self.launch("squared_error", [ERROR_PARTS, rows, 1], compare(factor, flow))?;
        // The decoder's gradients need none of what follows.
        let event =
            self.on_side_stream(|this| this.losses(rows, objective, divisor, likelihood))?;
        if training {
            self.measured = Some(event);
            return Ok(());
        }
        self.driver.wait_for(event)
    }

    /// Computes the terms of the latent space and the losses, from the errors and from the likelihood, if there is one.
    fn losses(
        &mut self,
        rows: usize,
        objective: &Objective,
        divisor: f64,
        likelihood: Address,
    ) -> Result<(), CudaError> {
        let (units, errors) = (self.network.architecture.latent, self.plan.errors);
        let variational = self.network.architecture.variational;
        let nats = if variational { self.plan.nats } else { Address::NONE };
        let [mean, log_variance, _, sample, ..] = self.plan.latent;
        if variational {
            let args = [mean, log_variance].map(Arg::At).into_iter();
            let args = args.chain([int(rows), Arg::At(nats)]).collect();
            self.launch("kl", [units, 1, 1], args)?;
        }
        let sums = self.plan.correlation.map_or(Address::NONE, |[_, sums]| sums);
        if let Some([shares, sums]) = self.plan.correlation {
            let args = [sample, mean, log_variance, shares, sums].map(Arg::At).to_vec();
            self.launch("correlation", [units + 1, rows, 1], args)?;
        }
        let (kind, clips) = match objective.regularizer {
            Regularizer::Beta => (0, 0),
            Regularizer::TotalCorrelation { clips } => (1, clips),
            Regularizer::Capacity { .. } => (2, 0),
        };
        let mut args =
            vec![Arg::At(errors), int(rows * ERROR_PARTS), int(rows), Arg::Double(divisor)];
        args.extend([likelihood, nats].map(Arg::At));
        args.extend([int(units), Arg::Real(objective.free_bits as f32)]);
        args.extend([Arg::Real(self.share(objective)), int(kind), Arg::At(sums)]);
        args.push(Arg::Double(clips as f64));
        args.extend([self.plan.clock, self.plan.slopes, self.plan.losses].map(Arg::At));
        self.launch("losses", [1, 1, 1], args)
    }

    fn share(&self, objective: &Objective) -> f32 {
        match objective.kl {
            Reduction::Mean => self.network.architecture.latent as f32,
            Reduction::Sum => 1.0,
        }
    }
}
