//! Networks run by `rten`, which is part of the engine.

use super::network::{Network, ObjectPool, Refusal, Tensor};
use cache::panics;
use rten::{Dimension, Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use rten_tensor::prelude::*;
use std::sync::Arc;

/// A network with its input and the tensor that is taken.
pub struct RtenNetwork {
    model: Model,
    input: NodeId,
    output: NodeId,
    /// Pools of one thread: the bytes must not depend on how many there are.
    threads: ObjectPool<Arc<ThreadPool>>,
}

impl RtenNetwork {
    /// Reads a network from the bytes of a file. `output` names the tensor that is taken; without it the
    /// network must have one output.
    ///
    /// # Errors
    /// When the bytes are no such network.
    pub fn new(bytes: Vec<u8>, output: Option<&str>) -> Result<Self, Refusal> {
        // Without the optimiser, so that inner tensors keep their names.
        let load = || {
            let mut options = ModelOptions::with_all_ops();
            options.enable_optimization(output.is_none()).load(bytes)
        };
        let model = panics::catch(load).map_err(|_| Refusal::File("is damaged".to_owned()))?;
        let model = model.map_err(Refusal::no_network)?;
        let &[input] = model.input_ids() else {
            return Err(Refusal::inputs(model.input_ids().len()));
        };
        let name_of = |id: &NodeId| model.node_info(*id)?.name();
        let names: Vec<&str> = model.output_ids().iter().filter_map(name_of).collect();
        let output = match (output, model.output_ids()) {
            (Some(name), _) => {
                model.find_node(name).ok_or_else(|| Refusal::no_tensor(name, &names))?
            }
            (None, &[output]) => output,
            (None, _) => return Err(Refusal::which_output(&names)),
        };
        Ok(Self { model, input, output, threads: ObjectPool::with(alone()) })
    }
}

fn alone() -> Arc<ThreadPool> {
    Arc::new(ThreadPool::with_num_threads(1))
}

impl Network for RtenNetwork {
    fn axes(&self) -> usize {
        self.model.input_shape(0).map_or(0, |shape: Vec<Dimension>| shape.len())
    }

    fn run(&self, (shape, values): Tensor) -> Result<Tensor, String> {
        let value = Value::from_shape(&shape, values).map_err(|why| why.to_string())?;
        let inputs = vec![(self.input, ValueOrView::from(value))];
        let made = self.threads.use_one(
            || Ok(alone()),
            |threads| {
                let options = RunOptions::default().with_thread_pool(Some(Arc::clone(threads)));
                let work = || self.model.run(inputs, &[self.output], Some(options));
                let made = panics::catch(work).map_err(|_| "the network panics".to_owned())?;
                made.map_err(|why| why.to_string().replace('\n', " "))
            },
        )?;
        let value = made.into_iter().next().ok_or("there is no output")?;
        let Value::FloatTensor(tensor) = value else {
            return Err("the tensor does not hold floats".to_owned());
        };
        Ok((tensor.shape().to_vec(), tensor.to_vec()))
    }
}
