# SPDX-License-Identifier: Apache-2.0
"""Networks' outputs as pictures, rounded as in the engine (export/sampler/src/picture.cpp)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def to_rgb(images: Tensor | np.ndarray) -> np.ndarray:
    """float32 [..., 3, H, W] in about -1..1 -> uint8 [..., H, W, 3], halves rounded to even."""
    unit = np.clip(np.asarray(images, dtype=np.float32) / 2 + np.float32(0.5), 0, 1)
    return np.ascontiguousarray(np.moveaxis(np.rint(unit * np.float32(255)).astype(np.uint8), -3, -1))
