"""Autoencoders and VAEs of the engine as PyTorch modules. The names of the parameters are those of the model's file."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

_FACTS = ("height", "width", "channels", "kernel", "stride", "latent", "batch_norm", "variational")


class Network(nn.Module):
    """A convolutional autoencoder, with a second head for the log-variance if it is variational.

    Clips are of shape `(n, 1, height, width)`: mel bands from low to high, then frames.
    """

    def __init__(
        self,
        height: int,
        width: int,
        channels: Sequence[int],
        kernel: int,
        stride: int,
        latent: int,
        batch_norm: bool,
        variational: bool,
    ) -> None:
        super().__init__()
        self.height, self.width = height, width
        pad = kernel // 2
        encoder: OrderedDict[str, nn.Module] = OrderedDict()
        inside, h, w = 1, height, width
        for n, out in enumerate(channels, 1):
            encoder[f"conv{n}"] = nn.Conv2d(inside, out, kernel, stride, pad)
            if batch_norm:
                encoder[f"norm{n}"] = nn.BatchNorm2d(out)
            encoder[f"relu{n}"] = nn.ReLU()
            inside = out
            h, w = ((side + 2 * pad - kernel) // stride + 1 for side in (h, w))
        self.encoder = nn.Sequential(encoder)
        self.mean = nn.Linear(inside * h * w, latent)
        self.log_variance = nn.Linear(inside * h * w, latent) if variational else None
        self.expand = nn.Linear(latent, inside * h * w)
        self.smallest = (inside, h, w)
        decoder: OrderedDict[str, nn.Module] = OrderedDict()
        for n, out in enumerate([*channels[-2::-1], 1], 1):
            decoder[f"conv{n}"] = nn.ConvTranspose2d(inside, out, kernel, stride, pad, stride - 1)
            if n < len(channels):
                if batch_norm:
                    decoder[f"norm{n}"] = nn.BatchNorm2d(out)
                decoder[f"relu{n}"] = nn.ReLU()
            inside = out
        self.decoder = nn.Sequential(decoder)

    def encode(self, clips: torch.Tensor) -> torch.Tensor:
        """The latent of each clip: the mean, where the network is variational."""
        return self.mean(self.encoder(clips).flatten(1))

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """The clip of each latent."""
        image = torch.relu(self.expand(latent)).unflatten(1, self.smallest)
        return self.decoder(image)[:, :, : self.height, : self.width]

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """The reconstruction of each clip."""
        return self.decode(self.encode(clips))


def module(arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> Network:
    """The network of these facts with these parameters, in evaluation mode."""
    missing = [name for name in _FACTS if name not in facts]
    if missing:
        raise ValueError(f"the model is no autoencoder: its file does not say {', '.join(missing)}")
    network = Network(**{name: facts[name] for name in _FACTS})
    state = {name: torch.from_numpy(values.copy()) for name, values in arrays.items()}
    absent, unknown = network.load_state_dict(state, strict=False)
    absent = [name for name in absent if not name.endswith("num_batches_tracked")]
    if absent or unknown:
        raise ValueError(f"the parameters do not fit the network: {absent} are missing, {unknown} are unknown")
    return network.eval()
