# SPDX-License-Identifier: Apache-2.0
"""Positions in a checkpoint: the fixed sines and cosines, or others that training has learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hqdit_mobile.model.checkpoints.reading import CheckpointError
from hqdit_mobile.model.dit import sincos_positions


def grid_of(positions: Tensor, name: str, hidden: int) -> int:
    """Tokens along a side, of positions [1, T, D]. Raises CheckpointError unless T is a square and D is ``hidden``."""
    if positions.dim() != 3 or positions.shape[0] != 1 or positions.shape[2] != hidden:
        raise CheckpointError(f"{name} has shape {list(positions.shape)}, not [1, tokens, {hidden}]")
    grid = math.isqrt(positions.shape[1])
    if grid < 1 or grid * grid != positions.shape[1]:
        raise CheckpointError(f"{name} has {positions.shape[1]} tokens: only square images are supported")
    return grid


def are_learned(positions: Tensor, grid: int) -> bool:
    """Whether they differ from the fixed ones by more than the rounding of their type."""
    fixed = sincos_positions(positions.shape[2], grid)
    return not torch.allclose(positions[0].float(), fixed, rtol=0, atol=max(1e-5, torch.finfo(positions.dtype).eps))
