#!/usr/bin/env python3
"""How often intervals over recordings hold the truth, by the |z0| beyond which half-samples replace BCa.

    scripts/interval_coverage.py [--samples 90] [--seed 1]

Seven classes as frequent as in 289 real recordings of instruments, one clip a recording, in clusters of five kinds:
related to the classes, nearly them, unrelated to them, and 25 or 60 small ones. Recordings are drawn again and again;
the truth is the mean of a metric over samples of that size. Needs NumPy and SciPy; about ten minutes.
"""
import argparse

import numpy as np
from scipy.special import xlogy
from scipy.stats import norm

CLASSES = np.array([51, 52, 43, 48, 52, 19, 52]) / 317
CLUSTERS = {"related": (7, 0.35), "near": (7, None), "chance": (7, 0), "25": (25, 0.12), "60": (60, 0.08)}
METRICS = ["ARI", "NMI", "Fowlkes-Mallows", "purity"]
LIMITS = [0, 0.25, 0.5, 0.75, 1, np.inf]
DRAWS = 1000


def metrics(tables):
    n, a, b = tables.sum((-1, -2)), tables.sum(-1), tables.sum(-2)
    pairs = lambda x: x * (x - 1) / 2
    both, rows, columns = pairs(tables).sum((-1, -2)), pairs(a).sum(-1), pairs(b).sum(-1)
    by_chance = rows * columns / pairs(n)
    entropy = lambda p: -xlogy(p, p).sum(-1)
    ha, hb = entropy(a / n[..., None]), entropy(b / n[..., None])
    mutual = ha + hb - entropy((tables / n[..., None, None]).reshape(tables.shape[:-2] + (-1,)))
    with np.errstate(all="ignore"):
        ari = (both - by_chance) / ((rows + columns) / 2 - by_chance)
        return np.stack([ari, 2 * mutual / (ha + hb), both / np.sqrt(rows * columns), tables.max(-2).sum(-1) / n])


def intervals(counts, shape, random):
    """z0 and the ends of both intervals of each metric, as `reports/src/resampled.rs` makes them."""
    n = counts.sum()
    of = lambda cells: metrics(cells.reshape(cells.shape[:-1] + shape).astype(float))
    values = of(counts[None])[:, 0]
    bootstrap = of(random.multinomial(n, counts / n, size=DRAWS))
    halves = of(random.multivariate_hypergeometric(counts, n // 2, size=DRAWS, method="count"))
    cells = np.flatnonzero(counts)
    without = np.repeat(counts[None], len(cells), 0)
    without[np.arange(len(cells)), cells] -= 1
    jackknife, times = of(without), counts[cells]
    for value, draws, half, left in zip(values, np.sort(bootstrap), halves, jackknife):
        z0 = norm.ppf(((draws < value).sum() + (draws <= value).sum()) / (2 * DRAWS))
        u = (left * times).sum() / n - left
        spread = (times * u**2).sum() ** 1.5
        a = (times * u**3).sum() / spread / 6 if spread > 0 else 0
        ends = []
        for probability in (0.025, 0.975):
            z = np.clip(z0, -9, 9) + norm.ppf(probability)
            ends.append(np.nanquantile(draws, np.clip(norm.cdf(np.clip(z0, -9, 9) + z / (1 - a * z)), 0, 1)))
        far = np.nanquantile(half - np.nanmean(half), (0.975, 0.025))
        yield z0, *ends, *(value - far)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--samples", type=int, default=90)
    parse.add_argument("--seed", type=int, default=1)
    args = parse.parse_args()
    random = np.random.default_rng(args.seed)
    print("| recordings | clusters | metric | " + " | ".join(f"over {it}" for it in LIMITS) + " |")
    for n in (30, 100, 289):
        for name, (count, spread) in CLUSTERS.items():
            held = []
            for sample in range(args.samples):
                if sample % 30 == 0:  # Another population of this kind.
                    if spread is None:
                        of = 0.85 * np.eye(7) + 0.15 * random.dirichlet(np.ones(7), size=7)
                    elif spread == 0:
                        of = np.repeat(random.dirichlet(np.ones(count))[None], 7, 0)
                    else:
                        of = random.dirichlet(np.full(count, spread), size=7)
                    shares = CLASSES[:, None] * of
                    shares, shape = (shares / shares.sum()).ravel(), shares.shape
                    many = random.multinomial(n, shares, size=2000).reshape((2000,) + shape)
                    truth = np.nanmean(metrics(many.astype(float)), 1)
                found = np.array(list(intervals(random.multinomial(n, shares), shape, random)))
                bca, half = [(found[:, at] <= truth) & (truth <= found[:, at + 1]) for at in (1, 3)]
                held.append([np.where(np.abs(found[:, 0]) > limit, half, bca) for limit in LIMITS])
            for metric, row in zip(METRICS, np.mean(held, 0).T):
                print(f"| {n} | {name} | {metric} | " + " | ".join(f"{100 * it:.0f} %" for it in row) + " |", flush=True)


if __name__ == "__main__":
    main()
