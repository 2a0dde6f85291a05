"""Writes reports/tests/fixtures/bootstrap.json: SciPy's BCa intervals for draws that the fixture holds.

    python reports/tests/scipy/bootstrap.py
"""

import json
import pathlib

import numpy as np
import scipy
from scipy import stats
from scipy.stats._resampling import BootstrapResult, ConfidenceInterval

rng = np.random.default_rng(0)

cases = []
for n, skew in [(10, 0.0), (12, 1.0), (25, 2.0), (60, 3.0), (200, 1.0), (15, -2.0)]:
    values = stats.skewnorm.rvs(5 * skew, size=n, random_state=rng)
    for statistic in [np.mean, np.median, np.std]:
        draws = np.array([statistic(rng.choice(values, n)) for _ in range(200)])
        given = BootstrapResult(ConfidenceInterval(0, 0), draws, 0.0)
        intervals = []
        for level in [0.95, 0.995]:
            made = stats.bootstrap((values,), statistic, n_resamples=0, bootstrap_result=given, vectorized=False,
                                   confidence_level=level, method="BCa")
            intervals.append([level, *made.confidence_interval])
        if np.isfinite(intervals).all():
            cases.append({"value": statistic(values), "draws": list(draws), "intervals": intervals,
                          "jackknife": [statistic(np.delete(values, at)) for at in range(n)]})

path = pathlib.Path(__file__).parents[1] / "fixtures" / "bootstrap.json"
path.write_text(json.dumps({"scipy": scipy.__version__, "cases": cases}) + "\n")
print(len(cases), "cases")
