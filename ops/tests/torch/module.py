"""The PyTorch module whose `state_dict` names are those of a `model` artifact."""
from collections import OrderedDict

import torch
from torch import nn


def pad(kernel):
    return kernel // 2


class Net(nn.Module):
    def __init__(self, height=128, width=130, channels=(32, 64, 128), kernel=3, stride=2, latent=32,
                 batch_norm=False, variational=True):
        super().__init__()
        self.height, self.width = height, width
        encoder, inside, h, w = OrderedDict(), 1, height, width
        for n, out in enumerate(channels, 1):
            encoder[f"conv{n}"] = nn.Conv2d(inside, out, kernel, stride, pad(kernel))
            if batch_norm:
                encoder[f"norm{n}"] = nn.BatchNorm2d(out)
            encoder[f"relu{n}"] = nn.ReLU()
            inside = out
            h, w = ((side + 2 * pad(kernel) - kernel) // stride + 1 for side in (h, w))
        self.encoder = nn.Sequential(encoder)
        self.mean = nn.Linear(inside * h * w, latent)
        self.log_variance = nn.Linear(inside * h * w, latent) if variational else None
        self.expand = nn.Linear(latent, inside * h * w)
        self.smallest = (inside, h, w)
        decoder = OrderedDict()
        for n, out in enumerate([*channels[-2::-1], 1], 1):
            decoder[f"conv{n}"] = nn.ConvTranspose2d(inside, out, kernel, stride, pad(kernel), stride - 1)
            if n < len(channels):
                if batch_norm:
                    decoder[f"norm{n}"] = nn.BatchNorm2d(out)
                decoder[f"relu{n}"] = nn.ReLU()
            inside = out
        self.decoder = nn.Sequential(decoder)

    def decode(self, latent):
        image = torch.relu(self.expand(latent)).unflatten(1, self.smallest)
        return self.decoder(image)[:, :, :self.height, :self.width]

    def forward(self, x, noise=None):
        features = self.encoder(x).flatten(1)
        mean = self.mean(features)
        if self.log_variance is None:
            return self.decode(mean), mean, None
        log_variance = self.log_variance(features)
        noise = torch.randn_like(mean) if noise is None else noise
        return self.decode(mean + noise * torch.exp(0.5 * log_variance)), mean, log_variance
