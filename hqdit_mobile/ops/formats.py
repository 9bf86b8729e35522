# SPDX-License-Identifier: Apache-2.0
"""The three 4-bit float formats as integer grids, and the 29 look-up tables built from them (docs/fp4-linear.md)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Format:
    """A 4-bit float format, scaled so that each value is an integer.

    grid: the 8 non-negative values; multipliers: 1..multipliers keep multiplier * grid within int8;
    first_id: table id of multiplier 1; mantissa_bits: the digit after the M.
    """

    name: str
    grid: tuple[int, ...]
    multipliers: int
    first_id: int
    mantissa_bits: int

    @property
    def max(self) -> int:
        return self.grid[-1]

    @property
    def midpoints(self) -> tuple[float, ...]:
        """The 7 decision thresholds between neighbours of `grid`."""
        return tuple((low + high) / 2 for low, high in zip(self.grid, self.grid[1:], strict=False))


E2M1 = Format("e2m1", (0, 1, 2, 3, 4, 6, 8, 12), 10, 0, 1)
E1M2 = Format("e1m2", (0, 1, 2, 3, 4, 5, 6, 7), 18, 10, 2)
E3M0 = Format("e3m0", (0, 1, 2, 4, 8, 16, 32, 64), 1, 28, 0)
FORMATS = {format.name: format for format in (E2M1, E1M2, E3M0)}
NUM_TABLES = 29


@cache
def _tables() -> Tensor:
    rows = [
        torch.tensor(format.grid) * multiplier
        for format in (E2M1, E1M2, E3M0)
        for multiplier in range(1, format.multipliers + 1)
    ]
    positive = torch.stack(rows)
    return torch.cat([positive, -positive], dim=1).to(torch.int8)


def lookup_tables(device: torch.device | str = "cpu") -> Tensor:
    """int8 [29, 16]: the lattice point of each (table id, code)."""
    return _tables().to(device)


def table_ids(format: Format, multiplier: Tensor) -> Tensor:
    """The uint8 table id of each multiplier (1..format.multipliers, any shape)."""
    return (multiplier + (format.first_id - 1)).to(torch.uint8)


def count_formats(ids: Tensor) -> dict[str, int]:
    """How many of the table ids belong to each format."""
    ends = {f.name: (f.first_id, f.first_id + f.multipliers) for f in FORMATS.values()}
    return {name: int(((ids >= first) & (ids < end)).sum()) for name, (first, end) in ends.items()}


def nearest_codes(x: Tensor, format: Format) -> Tensor:
    """Codes (uint8) of the grid values nearest to x, in lattice steps; ties go away from zero, large values clip."""
    thresholds = torch.tensor(format.midpoints, dtype=x.dtype, device=x.device)
    index = torch.bucketize(x.abs(), thresholds, right=True)
    # A code 8 would be minus zero: legal, but then equal weights could have unequal bytes.
    return torch.where((x < 0) & (index > 0), index + 8, index).to(torch.uint8)


def round_to_grid(x: Tensor, format: Format) -> Tensor:
    """The grid values nearest to x (float32, in lattice steps); the same ties and limits as nearest_codes."""
    return round_magnitude_(x.abs(), format).copysign_(x)


def round_magnitude_(magnitude: Tensor, format: Format) -> Tensor:
    """round_to_grid of values that are not negative, in place."""
    # A float format has steps of 2^(exponent - mantissa bits), here never below 1: read them off the value's own
    # exponent, which is several times faster than a search and this is where GPTQ spends its time.
    if format.max < 2 << format.mantissa_bits:  # all steps are 1
        return magnitude.add_(0.5).floor_().clamp_(max=format.max)
    bits = (magnitude.view(torch.int32) - (format.mantissa_bits << 23)).clamp_(min=0x3F800000).bitwise_and_(0x7F800000)
    step = bits.view(torch.float32)
    return magnitude.div_(step).add_(0.5).floor_().mul_(step).clamp_(max=format.max)
