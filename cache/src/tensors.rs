//! Named tensors in single precision, kept as safetensors.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::{BTreeMap, HashMap};

/// One tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The axes.
    pub shape: Vec<usize>,
    /// The numbers.
    pub values: Vec<f32>,
}

/// Tensors by name, in the order of their names.
pub type Tensors = BTreeMap<String, Tensor>;

/// The bytes of a safetensors file. `meta` becomes its `__metadata__` under the one name `engine`.
pub(crate) fn to_bytes(tensors: &Tensors, meta: &str) -> Result<Vec<u8>, String> {
    let views = tensors.iter().map(|(name, tensor)| {
        TensorView::new(Dtype::F32, tensor.shape.clone(), bytemuck::cast_slice(&tensor.values))
            .map(|view| (name, view))
    });
    let views = views.collect::<Result<Vec<_>, _>>().map_err(|fault| fault.to_string())?;
    let info = HashMap::from([("engine".to_owned(), meta.to_owned())]);
    safetensors::serialize(views, Some(info)).map_err(|fault| fault.to_string())
}

/// The tensors and the metadata of a safetensors file.
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<(Tensors, String), String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|fault| fault.to_string())?;
    let info = header.metadata().as_ref().and_then(|info| info.get("engine").cloned());
    let file = SafeTensors::deserialize(bytes).map_err(|fault| fault.to_string())?;
    let tensors = file.tensors().into_iter().map(|(name, view)| {
        if view.dtype() != Dtype::F32 {
            return Err(format!("tensor `{name}` is not in single precision"));
        }
        let values = bytemuck::pod_collect_to_vec(view.data());
        Ok((name, Tensor { shape: view.shape().to_vec(), values }))
    });
    Ok((tensors.collect::<Result<_, _>>()?, info.unwrap_or_default()))
}
