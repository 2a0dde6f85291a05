"""The PyTorch module whose `state_dict` names are those of a `model` artifact, as it is trained: the reader's network,
with its defaults and with the noise of a VAE."""
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "python"))
from engine_runs._module import Network


class Net(Network):
    def __init__(self, height=128, width=130, channels=(32, 64, 128), kernel=3, stride=2, latent=32,
                 batch_norm=False, variational=True):
        super().__init__(height, width, channels, kernel, stride, latent, batch_norm, variational)

    def forward(self, x, noise=None):
        features = self.encoder(x).flatten(1)
        mean = self.mean(features)
        if self.log_variance is None:
            return self.decode(mean), mean, None
        log_variance = self.log_variance(features)
        noise = torch.randn_like(mean) if noise is None else noise
        return self.decode(mean + noise * torch.exp(0.5 * log_variance)), mean, log_variance
