"""Writes reports/tests/fixtures/statistics.json: what SciPy says of the statistics in reports/src/stats.rs.

    python reports/tests/scipy/make.py
"""

import json
import pathlib

import numpy as np
import scipy
from scipy import stats

rng = np.random.default_rng(0)


def holm(p):
    """Holm's step-down by its definition (SciPy has only the false discovery rate)."""
    order = np.argsort(p)
    steps = np.sort(p) * (len(p) - np.arange(len(p)))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def seeds(difference, deviation, level):
    """The least n at which the two-sided paired t-test has a power of 80 %, by the noncentral t."""
    for n in range(2, 100_000):
        critical = stats.t.ppf(1 - level / 2, n - 1)
        shift = difference / deviation * np.sqrt(n)
        if stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift) >= 0.8:
            return n


degrees = [1, 2, 3, 4, 7, 9, 19, 29, 99, 1000]
two_sided = [[t, df, 2 * stats.t.sf(t, df)] for df in degrees for t in [1e-3, 0.1, 0.5, 1, 2, 2.776, 5, 12, 40]]
quantile = [[p, df, stats.t.ppf(p, df)] for df in degrees for p in [0.6, 0.8, 0.9, 0.975, 0.995, 0.99975]]

interval = []
for n in [2, 3, 4, 5, 5, 8, 10, 12, 20, 30, 100]:
    values = rng.normal(0.3, 0.05, n)
    low, high = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    interval.append({"values": list(values), "mean": values.mean(), "half_width": (high - low) / 2})

paired = []
for n in [2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 60]:
    a = rng.normal(0.3, 0.05, n)
    b = a + rng.normal(0.02, 0.04, n)
    method = "exact" if n <= 50 else "approx"
    paired.append({"a": list(a), "b": list(b), "t": stats.ttest_rel(a, b).pvalue,
                   "wilcoxon": stats.wilcoxon(a, b, method=method).pvalue})
for n in [8, 12]:  # ties
    a = rng.integers(0, 5, n).astype(float)
    b = a + rng.choice([-2, -1, 1, 2, 3], n)
    paired.append({"a": list(a), "b": list(b), "t": stats.ttest_rel(a, b).pvalue,
                   "wilcoxon": stats.wilcoxon(a, b, method="approx").pvalue})

corrected = []
for m in [1, 2, 3, 4, 5, 6, 8, 11, 20, 66]:
    p = rng.beta(0.5, 3, m)
    corrected.append({"p": list(p), "corrected": list(holm(p))})

needed = [
    {"difference": d, "deviation": 1.0, "level": level, "n": seeds(d, 1.0, level)}
    for d in [0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0]
    for level in [0.05, 0.01, 0.05 / 11]
]

fixtures = {"scipy": scipy.__version__, "two_sided": two_sided, "quantile": quantile, "interval": interval,
            "paired": paired, "holm": corrected, "seeds": needed}
path = pathlib.Path(__file__).parents[1] / "fixtures" / "statistics.json"
path.write_text(json.dumps(fixtures, indent=1) + "\n")
