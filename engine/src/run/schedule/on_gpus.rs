//! What steps take of GPUs: asked of their ops and of the driver, once something runs on one.

use super::Schedule;
use crate::run::StepError;
use ops::{Device, Fault, Port, device};

impl Schedule<'_> {
    /// The bytes of a GPU that a step takes beside others, if it runs on one that it shares.
    pub(super) fn gpu_memory(&self, step: usize) -> Option<u64> {
        let plan = &self.shared.pipeline.steps[step];
        let said = plan.needs.gpu_memory;
        if said.is_some() || plan.needs.gpus > 0 || plan.place == Device::Cpu {
            return said;
        }
        let shape = |port: &Port| {
            let input = plan.inputs.iter().find(|input| input.port == port.name)?;
            self.output(input.step, input.output).map(|object| object.shape.clone())
        };
        let shapes: Vec<_> = plan.op.inputs().iter().map(shape).collect();
        plan.op.gpu_memory(&shapes)
    }

    pub(super) fn too_few_gpus(&self, step: usize) -> StepError {
        let (needs, has) = (self.needs[step], self.ledger.gpus.numbers());
        let message = match needs.gpu {
            Some(number) if !has.contains(&number) => {
                let has: Vec<String> = has.iter().map(usize::to_string).collect();
                let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
                format!("it asks for GPU {number}, and the run has {has}")
            }
            _ => {
                let (wants, has) = (needs.gpus.max(1), has.len());
                let (plural, are) =
                    (if wants == 1 { "" } else { "s" }, if has == 1 { "is" } else { "are" });
                format!("it needs {wants} GPU{plural}, and there {are} {has}")
            }
        };
        let help = "`engine devices` shows which GPUs there are; see its `device` and `resources`";
        StepError { help: Some(help.to_owned()), ..StepError::new(step, Fault::Input, message) }
    }

    /// Asks the driver for the memory of GPUs, once something runs on one. What it cannot say, the
    /// step itself says better.
    pub(super) fn learn_gpus(&mut self) {
        let steps = self.shared.pipeline.steps.iter().zip(&self.wanted);
        let placed = steps.filter(|(_, wanted)| **wanted).find_map(|(step, _)| match &step.place {
            Device::Cuda(place) => Some(&place.driver),
            Device::Cpu => None,
        });
        if let Some(gpus) = placed.and_then(|driver| device::gpus(driver).ok()) {
            // A tenth is for CUDA itself and for whoever else is on the GPU.
            let memories: Vec<u64> = gpus.iter().map(|gpu| gpu.memory / 10 * 9).collect();
            self.ledger.gpus.learn(&memories);
        }
    }
}
