"""Times a training step and encoding of the default networks in PyTorch.

    python speed.py [--threads 2] [--steps 12]

Prints milliseconds a batch (the fastest and the median) and clips a second.
"""
import argparse, statistics, time

import torch
import torch.nn.functional as F

from module import Net


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--steps", type=int, default=12)
    a.add_argument("--channels-last", action="store_true")
    a = a.parse_args()
    torch.set_num_threads(a.threads)
    x = torch.rand(128, 1, 128, 130) * 3 - 1.5
    if a.channels_last:
        x = x.contiguous(memory_format=torch.channels_last)

    def report(name, run):
        run()
        times = []
        for _ in range(a.steps):
            t = time.perf_counter(); run(); times.append(time.perf_counter() - t)
        best, median = min(times), statistics.median(times)
        print(f"{name:16s} best {best * 1e3:7.1f} ms  median {median * 1e3:7.1f} ms  "
              f"{128 / best:6.0f} / {128 / median:6.0f} clips/s", flush=True)

    for variational in (False, True):
        net = Net(variational=variational)
        if a.channels_last:
            net = net.to(memory_format=torch.channels_last)
        opt = torch.optim.Adam(net.parameters(), lr=1e-3)

        def step():
            made, mean, log_variance = net(x)
            loss = F.mse_loss(made, x)
            if variational:
                loss = loss + 4 * (-0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp())).mean()
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()

        def encode():
            with torch.inference_mode():
                features = net.encoder(x).flatten(1)
                net.mean(features)
                if variational:
                    net.log_variance(features)

        report(f"step vae={variational}", step)
        report(f"encode vae={variational}", encode)


if __name__ == "__main__":
    main()
