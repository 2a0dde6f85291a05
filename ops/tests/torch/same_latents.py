"""Loads a `model.safetensors` into the PyTorch module and compares its latents with ours.

    python same_latents.py model.safetensors features.npy latent.npy
"""
import json, struct, sys
from pathlib import Path

import numpy as np
import torch

from bundle import read
from module import Net


def load(path):
    """The module with the weights of the file; its metadata says how to build it."""
    data = Path(path).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    facts = json.loads(json.loads(data[8:8 + size])["__metadata__"]["engine"])
    facts = facts.get("meta", facts)
    names = ("height", "width", "channels", "kernel", "stride", "latent", "batch_norm", "variational")
    net = Net(**{name: facts[name] for name in names})
    weights = {name: torch.from_numpy(values.copy()) for name, values in read(path).items()}
    missing, unexpected = net.load_state_dict(weights, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    return net.eval()


if __name__ == "__main__":
    net = load(sys.argv[1])
    x, expected = np.load(sys.argv[2]), np.load(sys.argv[3])
    with torch.inference_mode():
        parts = [net.mean(net.encoder(part.unsqueeze(1)).flatten(1)) for part in torch.from_numpy(x).split(64)]
        got = torch.cat(parts).numpy()
    off, scale = np.abs(got - expected).max(), np.abs(expected).max()
    print(f"{len(x)} clips: largest difference {off:.2e}, largest value {scale:.3f}")
    sys.exit(int(off > 1e-4 * max(scale, 1)))
