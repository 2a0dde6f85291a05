"""Times the same training in PyTorch, eager and compiled, and puts it beside the engine's times.

    python gpu_peer.py REPORT [EPOCHS [SECONDS]]

REPORT holds the output of `engine devices --check`. Clips stay on the GPU and batches are gathered
there by number, as the engine does it; losses are read once an epoch. All eager peers come first,
then the compiled ones; after SECONDS none is begun. PEER_DEVICE=cpu PEER_CLIPS=256 try it without a GPU.
"""

import os
import re
import sys
import time

import torch
from torch import nn

CLIPS, HEIGHT, WIDTH, BATCH, LATENT = int(os.environ.get("PEER_CLIPS", 6705)), 128, 130, 128, 32
DEVICE = os.environ.get("PEER_DEVICE", "cuda")
FULL = 35
# How images lie in memory: cuDNN is faster with channels last, unless a network begins and ends with a single channel.
LAYOUTS = {"channels last": torch.channels_last, "channels first": torch.contiguous_format}


class Net(nn.Module):
    def __init__(self, variational):
        super().__init__()
        self.variational = variational
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(64, 128, 3, 2, 1), nn.ReLU(), nn.Flatten())
        self.mean = nn.Linear(128 * 16 * 17, LATENT)
        self.log_variance = nn.Linear(128 * 16 * 17, LATENT) if variational else None
        self.expand = nn.Linear(LATENT, 128 * 16 * 17)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(128, 64, 3, 2, 1, 1), nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 3, 2, 1, 1), nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 3, 2, 1, 1))

    def forward(self, clips):
        features = self.encoder(clips.unsqueeze(1))
        mean, kl = self.mean(features), 0.0
        sample = mean
        if self.variational:
            log_variance = self.log_variance(features).float().clamp(-60, 40)
            mean = mean.float()
            sample = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            kl = 0.5 * (log_variance.exp() + mean.square() - log_variance - 1).sum(1).mean()
        image = self.expand(sample).relu().unflatten(1, (128, 16, 17))
        made = self.decoder(image)[:, 0, :HEIGHT, :WIDTH]
        error = (made.float() - clips.float()).square().sum((1, 2)).mean()
        return error + 4.0 * kl


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def fastest(variational, compiled, precision, epochs, layout=None):
    """The speed with the faster layout of images, that layout, and what failed. A compiled network, which takes long to
    compile, is tried with the given layout first, and with the other one only if that fails."""
    speeds, faults = {}, []
    for name in sorted(LAYOUTS, key=lambda name: name != layout):
        try:
            speeds[name] = clips_per_second(variational, compiled, precision, LAYOUTS[name], epochs)
        except Exception as fault:
            faults.append(f"{name} FAILED: {fault}")
        if compiled and speeds:
            break
    if not speeds:
        raise RuntimeError("; ".join(faults))
    best = max(speeds, key=speeds.get)
    return speeds[best], best, "; ".join([best, *faults])


def clips_per_second(variational, compiled, precision, layout, epochs):
    if compiled:
        torch._dynamo.reset()
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = precision != "f32"
    torch.backends.cudnn.allow_tf32 = precision != "f32"
    torch.backends.cudnn.benchmark = True
    data = torch.randn(CLIPS, HEIGHT, WIDTH, device=DEVICE)
    net = Net(variational).to(DEVICE, memory_format=layout)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, fused=DEVICE == "cuda")
    run = torch.compile(net, dynamic=False) if compiled else net

    def epoch():
        order, sum_of = torch.randperm(CLIPS, device=DEVICE), torch.zeros((), device=DEVICE)
        for rows in order.split(BATCH):
            adam.zero_grad(set_to_none=True)
            with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bf16"):
                loss = run(data[rows])
            loss.backward()
            adam.step()
            sum_of += loss.detach() * len(rows)
        return sum_of.item()

    epoch(), epoch()
    best = float("inf")
    for _ in range(2):
        wait()
        started = time.perf_counter()
        for _ in range(epochs):
            epoch()
        wait()
        best = min(best, time.perf_counter() - started)
    return epochs * CLIPS / best


def floors():
    """Seconds that 35 epochs take at least: by arithmetic, and by moving each image six times."""
    macs = (32 * 9 * 64 * 65 + 64 * 32 * 9 * 32 * 33 + 2 * 128 * 64 * 9 * 16 * 17
            + 64 * 32 * 9 * 32 * 34 + 32 * 9 * 64 * 68 + 3 * LATENT * 128 * 16 * 17)
    numbers = (2 * HEIGHT * WIDTH + 32 * 64 * 65 + 64 * 32 * 33 + 2 * 128 * 16 * 17
               + 64 * 32 * 34 + 32 * 64 * 68)
    passes = FULL * CLIPS
    flop, peak, memory = 6 * macs * passes, {"f32": 67e12, "tf32": 494e12, "bf16": 989e12}, 4.8e12
    return {name: (flop / rate, 6 * numbers * (2 if name == "bf16" else 4) * passes / memory)
            for name, rate in peak.items()}


def main():
    report, epochs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10
    seconds, started = float(sys.argv[3]) if len(sys.argv) > 3 else float("inf"), time.perf_counter()
    ours = {}
    for line in open(report):
        found = re.match(r"(autoencoder|beta_vae)\s+(f32|tf32|bf16)\s+([\d.]+)\s+(\d+)\s+([\d.]+) s$", line)
        if found:
            ours[found[1], found[2]] = float(found[4])
    print(f"PyTorch {torch.__version__} on {torch.cuda.get_device_name(0) if DEVICE == 'cuda' else DEVICE}, {epochs} epochs, best of two, in the faster of two layouts")
    speeds, layouts, failed = {}, {}, False
    for compiled in (False, True):
        for precision in ("bf16", "tf32", "f32"):
            for variational in (True, False):
                name = f"{'beta_vae' if variational else 'autoencoder'} {precision} {'compiled' if compiled else 'eager'}"
                if time.perf_counter() - started > seconds:
                    print(f"{name}: not begun after {seconds:.0f} s", flush=True)
                    continue
                try:
                    layout = layouts.get((variational, precision))
                    speed, layout, remark = fastest(variational, compiled, precision, epochs, layout)
                    layouts[variational, precision] = layout
                    print(f"{name}: {speed:,.0f} clips/s ({remark})", flush=True)
                    speeds[variational, precision, compiled] = speed
                except Exception as fault:  # One peer that fails must not hide the others.
                    print(f"{name} FAILED: {fault}", flush=True)
                    failed = True
    head = ["model", "precision", "engine", "eager", "compiled", "× eager", "× compiled", "35 epochs",
            "arithmetic", "memory"]
    print("| " + " | ".join(head) + " |")
    print("|:--|:--|" + "--:|" * (len(head) - 2))
    for variational in (False, True):
        model = "beta_vae" if variational else "autoencoder"
        for precision in ("f32", "tf32", "bf16"):
            engine = ours.get((model, precision), float("nan"))
            eager, compiled = (speeds.get((variational, precision, it), float("nan")) for it in (False, True))
            arithmetic, memory = floors()[precision]
            cells = [model, precision, f"{engine:,.0f}", f"{eager:,.0f}", f"{compiled:,.0f}",
                     f"{engine / eager:.2f}", f"{engine / compiled:.2f}", f"{FULL * CLIPS / engine:.2f} s",
                     f"{arithmetic:.2f} s", f"{memory:.2f} s"]
            print("| " + " | ".join(cells) + " |", flush=True)
    print("\nClips per second; × is the engine over the peer. The last two columns are floors for 35 epochs:"
          "\nall products at the chip's dense peak, and six passes over each image at 4.8 TB/s.")
    return failed


if __name__ == "__main__":
    sys.exit(main())
