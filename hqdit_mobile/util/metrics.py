# SPDX-License-Identifier: Apache-2.0
"""How far a result is from what it should be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def _float64(values: Tensor | np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


def snr_db(expected: Tensor | np.ndarray, got: Tensor | np.ndarray) -> float:
    """Signal-to-noise ratio in dB: power of `expected` over power of the difference; inf when they are equal."""
    reference = _float64(expected)
    noise = float(np.square(reference - _float64(got)).sum())
    signal = float(np.square(reference).sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def psnr_db(expected: Tensor | np.ndarray, got: Tensor | np.ndarray, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB of images whose values span `peak`; inf when they are equal."""
    error = float(np.square(_float64(expected) - _float64(got)).mean())
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)
