# SPDX-License-Identifier: Apache-2.0
"""95 % intervals by the bootstrap (Efron, Annals of Statistics 7(1), 1979): samples redrawn with replacement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

RESAMPLES = 1000
RESAMPLES_OF_A_DISTANCE = 100  # each costs an eigendecomposition
LEVEL = 0.95

Interval = tuple[float, float]


def resampled(figure: Callable[[np.ndarray], float], count: int, resamples: int) -> np.ndarray:
    """``figure(indices [count])`` of `resamples` draws; the draws are the same for every candidate."""
    generator = np.random.default_rng(0)
    return np.array([figure(generator.integers(0, count, count)) for _ in range(resamples)])


def interval(values: np.ndarray) -> Interval:
    with np.errstate(invalid="ignore"):  # between infinities, which equal noise predictions have
        low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def mean_interval(values: np.ndarray) -> Interval:
    """Of the mean of values [n]."""
    return interval(resampled(lambda rows: float(values[rows].mean()), len(values), RESAMPLES))


def centred_interval(estimate: float, values: np.ndarray) -> Interval:
    """For a Frechet distance: samples drawn twice raise it, so only the spread of the resampled values is used. It is
    the interval of the figure at this number of images; the bias that a finite number has stays in."""
    low, high = interval(values)
    shift = estimate - float(values.mean())
    return low + shift, high + shift
