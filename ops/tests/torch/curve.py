"""Makes the loss curves that the training of our models is held to.

    python curve.py OUT.safetensors

For each case: a few clips, the weights PyTorch starts with, the clips and the noise of each of 20
Adam steps, and the losses in double precision; then the weights and the latent means at the end.
"""
import sys

import torch
import torch.nn.functional as F

from bundle import write
from module import Net

CLIPS, BATCH, STEPS, LATENT = 24, 8, 20, 4
CASES = {
    "plain": dict(variational=False),
    "vae_mean": dict(),
    "vae_sum": dict(),
    "norm": dict(batch_norm=True),
    "plain_norm": dict(batch_norm=True, variational=False),
    "wide": dict(kernel=5, stride=3, channels=(3, 5)),
    "even": dict(kernel=4, stride=2, channels=(3, 5)),
    "still": dict(kernel=2, stride=1, channels=(3, 4)),
    "point": dict(kernel=1, stride=2, channels=(3, 4), height=7, width=5),
}


def main(path):
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    out = {}
    for name, options in CASES.items():
        options = {"height": 16, "width": 18, "channels": (4, 8, 16), **options}
        net = Net(latent=LATENT, **options).float().double()
        h, w = options["height"], options["width"]
        x = torch.rand(CLIPS, 1, h, w).float().double() * 2 - 1
        x += torch.sin(torch.arange(w) * 0.7 + torch.arange(h)[:, None] * 0.3).float().double()
        x = x.float().double()
        noise = torch.randn(STEPS, BATCH, LATENT).float().double()
        for key, value in net.state_dict().items():
            if value.dtype == torch.float64:
                out[f"{name}.start.{key}"] = value.clone()
        opt, losses, chosen = torch.optim.Adam(net.parameters(), lr=1e-3), [], []
        for step in range(STEPS):
            idx = torch.randperm(CLIPS)[:BATCH]
            made, mean, log_variance = net(x[idx], noise[step])
            whole = name == "vae_sum"
            error = F.mse_loss(made, x[idx], reduction="sum" if whole else "mean")
            loss = error / BATCH if whole else error
            if log_variance is not None:
                kl = -0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp())
                loss = loss + 4 * (kl.sum(1).mean() if whole else kl.mean())
            opt.zero_grad(); loss.backward(); opt.step()
            losses.append(loss.item()); chosen.append(idx.tolist())
        net.eval()
        with torch.no_grad():
            features = net.encoder(x).flatten(1)
            out[f"{name}.end.latent"] = net.mean(features)
            out[f"{name}.end.made"] = net.decode(net.mean(features))[:4]
        for key, value in net.state_dict().items():
            if value.dtype == torch.float64 and ("running" in key or key in ("mean.weight", "decoder.conv1.weight")):
                out[f"{name}.end.{key}"] = value
        out[f"{name}.x"], out[f"{name}.noise"] = x, noise
        out[f"{name}.losses"], out[f"{name}.clips"] = torch.tensor(losses), torch.tensor(chosen).double()
    write(path, {key: value.float().numpy() for key, value in out.items()})


if __name__ == "__main__":
    main(sys.argv[1])
