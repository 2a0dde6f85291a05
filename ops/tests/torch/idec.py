"""Makes the loss and gradients that IDEC is held to.

    python idec.py OUT.safetensors

One batch in double precision: the reconstruction of Guo et al. (2017), averaged over pixels and clips, and 0.1 times
the divergence of soft assignments from their target, with the gradients of all weights and of the centres; then three
steps of Adam on the centres with multiples of that gradient.
"""
import sys

import torch

from bundle import write
from module import Net

CLIPS, LATENT, CLUSTERS, GAMMA = 6, 4, 3, 0.1


def assignments(z, centres):
    near = 1 / (1 + torch.cdist(z, centres) ** 2)
    return near / near.sum(1, keepdim=True)


def main(path):
    torch.manual_seed(5)
    torch.set_default_dtype(torch.float64)
    net = Net(height=8, width=10, channels=(3, 5), latent=LATENT, variational=False).float().double()
    x = torch.randn(CLIPS, 1, 8, 10).float().double()
    centres = torch.randn(CLUSTERS, LATENT).float().double().requires_grad_()
    made, z, _ = net(x)
    q = assignments(z, centres)
    sharp = q.detach() ** 2 / q.detach().sum(0)
    p = sharp / sharp.sum(1, keepdim=True)
    error = ((made - x) ** 2).mean()
    divergence = (p * (p / q).log()).sum(1).mean()
    loss = error + GAMMA * divergence
    loss.backward()
    out = {f"start.{key}": value.clone() for key, value in net.state_dict().items()}
    out.update({f"grad.{key}": value.grad.clone() for key, value in net.named_parameters()})
    out.update(x=x, latents=z, target=p, losses=torch.stack([loss, error, divergence]), centres=centres.clone())
    gradient = centres.grad.clone()
    out["grad.centres"] = gradient
    adam = torch.optim.Adam([centres], lr=1e-2)
    for factor in [1.0, -0.5, 2.0]:
        centres.grad = factor * gradient
        adam.step()
    out["centres_after"] = centres
    write(path, {key: value.detach().float().numpy() for key, value in out.items()})


if __name__ == "__main__":
    main(sys.argv[1])
