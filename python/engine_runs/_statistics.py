"""Means over seeds with their 95 % intervals, as the report has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Optional

#: A mean, and the ends of its interval; these are absent for a single value.
Estimate = tuple[float, Optional[float], Optional[float]]


def estimate(values: Sequence[float]) -> Estimate:
    """The mean ± t₀.₉₇₅(n − 1) · s / √n."""
    n = len(values)
    mean = sum(values) / n
    if n < 2:
        return mean, None, None
    if all(value == values[0] for value in values):
        # The sum may be rounded, and there is nothing to be uncertain of.
        return values[0], values[0], values[0]
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    half = t_quantile(n - 1) * deviation / math.sqrt(n)
    return mean, mean - half, mean + half


def t_quantile(freedom: int) -> float:
    """The 0.975 quantile of Student's t, by bisection of its distribution."""
    low, high = 0.0, math.pi / 2
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return math.sqrt(freedom) * math.tan(middle)
        if _within(middle, freedom) < 0.95:
            low = middle
        else:
            high = middle


def _within(angle: float, freedom: int) -> float:
    """P(|t| < √freedom · tan(angle)): Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for at in range(1 + odd, freedom, 2):
        total += term
        term *= at / (at + 1) * cosine**2
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
