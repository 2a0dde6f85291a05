//! Named tensors in single precision, kept as safetensors.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    os::unix::fs::FileExt,
};

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

/// The bytes of a safetensors file. `meta` becomes its `__metadata__` under the single name
/// `engine`.
pub(crate) fn to_bytes(tensors: &Tensors, meta: &str) -> Result<Vec<u8>, String> {
    let views = tensors.iter().map(|(name, tensor)| {
        TensorView::new(Dtype::F32, tensor.shape.clone(), bytemuck::cast_slice(&tensor.values))
            .map(|view| (name, view))
    });
    let views = views.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let info = HashMap::from([("engine".to_owned(), meta.to_owned())]);
    safetensors::serialize(views, Some(info)).map_err(|error| error.to_string())
}

/// The tensors and the metadata of an open safetensors file. The file is read only if its length
/// agrees with its header.
pub(crate) fn read(file: &File) -> Result<(Tensors, String), String> {
    let error = |error: io::Error| error.to_string();
    let mut length = [0; 8];
    file.read_exact_at(&mut length, 0).map_err(error)?;
    let header = u64::from_le_bytes(length);
    let stated = file.metadata().map_err(error)?.len();
    let other = || "it is not as long as its header says".to_owned();
    if header > MAX_HEADER_BYTES || header > stated {
        return Err(other());
    }
    let mut text = vec![0; header as usize];
    file.read_exact_at(&mut text, length.len() as u64).map_err(error)?;
    let entries: BTreeMap<String, Value> =
        serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let ends = entries.values().filter_map(|entry| entry.pointer("/data_offsets/1")?.as_u64());
    let end = ends.max().unwrap_or(0).checked_add(length.len() as u64 + header);
    if end != Some(stated) {
        return Err(other());
    }
    let mut bytes = vec![0; usize::try_from(stated).map_err(|_| other())?];
    file.read_exact_at(&mut bytes, 0).map_err(error)?;
    from_bytes(&bytes)
}

/// The length in bytes of the longest header that the format allows.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The tensors and the metadata of a safetensors file.
fn from_bytes(bytes: &[u8]) -> Result<(Tensors, String), String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let info = header.metadata().as_ref().and_then(|info| info.get("engine").cloned());
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let tensors = file.tensors().into_iter().map(|(name, view)| {
        if view.dtype() != Dtype::F32 {
            return Err(format!("tensor `{name}` is not in single precision"));
        }
        let values = bytemuck::pod_collect_to_vec(view.data());
        Ok((name, Tensor { shape: view.shape().to_vec(), values }))
    });
    Ok((tensors.collect::<Result<_, _>>()?, info.unwrap_or_default()))
}
