# SPDX-License-Identifier: Apache-2.0
"""Networks' outputs as pictures, rounded as in the engine (export/sampler/src/picture.cpp)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


class Projection(Protocol):
    """``matrix`` [3, C] and ``bias`` [3]: the manifest's "preview"."""

    @property
    def matrix(self) -> Sequence[Sequence[float]]: ...

    @property
    def bias(self) -> Sequence[float]: ...


def to_rgb(images: Tensor | np.ndarray) -> np.ndarray:
    """float32 [..., 3, H, W] in about -1..1 -> uint8 [..., H, W, 3], halves rounded to even."""
    unit = np.clip(np.asarray(images, dtype=np.float32) / 2 + np.float32(0.5), 0, 1)
    return np.ascontiguousarray(np.moveaxis(np.rint(unit * np.float32(255)).astype(np.uint8), -3, -1))


def project_preview(projection: Projection, latents: np.ndarray) -> np.ndarray:
    """The preview of clean latents float32 [C, h, w] -> uint8 [h, w, 3]."""
    matrix, bias = (np.array(values, dtype=np.float32) for values in (projection.matrix, projection.bias))
    colours = np.broadcast_to(bias[:, None, None], (3, *latents.shape[1:])).copy()
    for channel, values in enumerate(latents):
        colours += matrix[:, channel, None, None] * values
    return to_rgb(colours)
