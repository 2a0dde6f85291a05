"""Makes the losses and gradients that the objectives of a VAE are held to.

    python objectives.py OUT.safetensors

For each objective: the loss of one batch and its gradients, in double precision, from the same weights, clips and
noise, which is that of the first step of a training with this seed; `augmented` has the changed clips of that step too. The total correlation is that of the published code of Chen et al. (2018), by minibatch weighted sampling; the
density is that of Rybkin et al. (2021), with its soft limit of log sigma at -6.
"""
import math
import sys

import torch
import torch.nn.functional as F

from bundle import write
from module import Net
from streams import AUGMENTATION, NOISE, Stream

CLIPS, BATCH, LATENT, BETA, DATA, SEED = 6, 6, 4, 3.0, 40, 3
GAIN, SHIFT, MASK_FRAMES, MASK_BANDS = 0.3, 3, 4, 3


def log_density_gaussian(x, mean, log_variance):
    return -0.5 * (math.log(2 * math.pi) + log_variance + (x - mean) ** 2 * torch.exp(-log_variance))


def total_correlation(z, mean, log_variance):
    each = log_density_gaussian(z[:, None], mean[None], log_variance[None])
    size = math.log(len(z) * DATA)
    log_qz = torch.logsumexp(each.sum(2), 1) - size
    log_prod_qzi = (torch.logsumexp(each, 1) - size).sum(1)
    return (log_qz - log_prod_qzi).mean()


def softclip(tensor, least):
    return least + F.softplus(tensor - least)


def augmented(x):
    """The clips that the encoder reads, and those that the decoder is to make."""
    stream, read, made = Stream(SEED, AUGMENTATION, 0), [], []
    bands, frames = x.shape[2:]
    for clip in x[:, 0]:
        clip = clip + float(torch.tensor(stream.between(-GAIN, GAIN)).float())
        clip = torch.roll(clip, stream.below(2 * SHIFT + 1) - SHIFT, dims=1) if SHIFT else clip
        masked = clip.clone()
        for most, axis in [(MASK_FRAMES, 1), (MASK_BANDS, 0)]:
            width = stream.below(most + 1)
            first = stream.below(clip.shape[axis] - width + 1)
            masked.narrow(axis, first, width).fill_(clip.mean())
        read.append(masked)
        made.append(clip)
    return torch.stack(read)[:, None], torch.stack(made)[:, None]


def main(path):
    torch.manual_seed(3)
    torch.set_default_dtype(torch.float64)
    net = Net(height=8, width=10, channels=(3, 5), latent=LATENT).float().double()
    with torch.no_grad():
        # Variances that differ, so that each term has a gradient.
        net.log_variance.bias += torch.linspace(-1.5, 0.5, LATENT)
        net.float().double()
    x = torch.randn(CLIPS, 1, 8, 10).float().double()
    stream = Stream(SEED, NOISE, 0)
    noise = torch.tensor([[stream.normal() for _ in range(LATENT)] for _ in range(BATCH)]).float().double()
    out = {f"start.{key}": value.clone() for key, value in net.state_dict().items()}
    out.update(x=x)
    for name in ["beta", "beta_tc", "beta_tc_mean", "capacity_below", "capacity_above", "optimal", "optimal_mean", "augmented"]:
        read, target = augmented(x) if name == "augmented" else (x, x)
        features = net.encoder(read).flatten(1)
        mean, log_variance = net.mean(features), net.log_variance(features)
        z = mean + noise * torch.exp(0.5 * log_variance)
        made = net.decode(z)
        kl = (-0.5 * (1 + log_variance - mean ** 2 - log_variance.exp())).sum(1).mean()
        error = ((made - target) ** 2).sum() / BATCH
        share = LATENT if name.endswith("mean") else 1
        if name.startswith("optimal"):
            log_sigma = softclip(((x - made) ** 2).mean().sqrt().log(), -6)
            nll = 0.5 * ((x - made) / log_sigma.exp()) ** 2 + log_sigma + 0.5 * math.log(2 * math.pi)
            error = nll.sum() / BATCH
        if name.endswith("mean"):
            error = error / 80
        kl = kl / share
        if name.startswith("beta_tc"):
            loss = error + kl + (BETA - 1) * total_correlation(z, mean, log_variance) / share
        elif name.startswith("capacity"):
            loss = error + BETA * (kl - (0.1 if name.endswith("below") else 50)).abs()
        else:
            loss = error + BETA * kl
        net.zero_grad()
        loss.backward()
        out[f"{name}.losses"] = torch.stack([loss, error, kl]).detach()
        for key, value in net.named_parameters():
            out[f"{name}.grad.{key}"] = value.grad.clone()
    write(path, {key: value.detach().float().numpy() for key, value in out.items()})


if __name__ == "__main__":
    main(sys.argv[1])
