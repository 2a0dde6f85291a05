//! Networks: the only module that uses dfdx and cudarc.
//!
//! - [`layers`]: architecture as data, with the names and initial values of all tensors. It computes
//!   nothing, so that any backend can use it.
//! - [`patches`], [`conv`], [`norm`], [`grad_clip`]: kernels on slices.
//! - [`stage`], [`cpu_network`]: a network on the CPU, with buffers reused from batch to batch.
//! - [`tape`]: one training step on dfdx's tape.
//! - [`backend`]: the interface between a training and a device; [`cpu`] and [`cuda`] implement it.
//! - [`objective`], [`total_correlation`], [`augmentation`], [`fit`], [`study`]: the loss, the training, and
//!   the common part of model ops.
//! - [`clustering`]: the training of a network with the centres of clusters.
//! - [`described`], [`onnx`]: a network from the metadata of its model, and its encoder as a file.
//!
//! # The same model in PyTorch
//!
//! A `model` artifact is a `state_dict`; for the default sizes, of this module:
//!
//! ```python
//! from collections import OrderedDict
//! import torch
//! from torch import nn
//! from safetensors.torch import load_file
//!
//! class Net(nn.Module):
//!     def __init__(self, latent=32):
//!         super().__init__()
//!         self.encoder = nn.Sequential(OrderedDict(
//!             conv1=nn.Conv2d(1, 32, 3, 2, 1), relu1=nn.ReLU(),
//!             conv2=nn.Conv2d(32, 64, 3, 2, 1), relu2=nn.ReLU(),
//!             conv3=nn.Conv2d(64, 128, 3, 2, 1), relu3=nn.ReLU(), flatten=nn.Flatten()))
//!         self.mean = nn.Linear(128 * 16 * 17, latent)
//!         self.log_variance = nn.Linear(128 * 16 * 17, latent)       # not in a plain autoencoder
//!         self.expand = nn.Linear(latent, 128 * 16 * 17)
//!         self.decoder = nn.Sequential(OrderedDict(
//!             conv1=nn.ConvTranspose2d(128, 64, 3, 2, 1, 1), relu1=nn.ReLU(),
//!             conv2=nn.ConvTranspose2d(64, 32, 3, 2, 1, 1), relu2=nn.ReLU(),
//!             conv3=nn.ConvTranspose2d(32, 1, 3, 2, 1, 1)))
//!
//!     def decode(self, z):
//!         image = self.expand(z).relu().unflatten(1, (128, 16, 17))
//!         return self.decoder(image)[:, :, :128, :130]
//!
//! net = Net().eval()
//! net.load_state_dict(load_file("model.safetensors"))
//! with torch.inference_mode():
//!     latent = net.mean(net.encoder(clips.unsqueeze(1)))             # clips: n × 128 × 130
//! ```
//!
//! With batch normalisation there is a `norm1` between `conv1` and `relu1`, and so on; load with
//! `strict=False`, since PyTorch also counts batches. `ops/tests/torch/module.py` has the module
//! for any sizes, and `ops/tests/torch_model.rs` compares latents.

pub mod augmentation;
pub mod backend;
pub mod clustering;
pub mod conv;
pub mod cpu;
pub mod cpu_network;
pub mod cuda;
pub mod described;
pub mod fit;
pub mod grad_clip;
pub mod layers;
pub mod norm;
pub mod objective;
pub mod onnx;
pub mod patches;
pub mod rows;
pub mod sizes;
pub mod stage;
pub mod study;
pub mod tape;
pub mod total_correlation;
