# SPDX-License-Identifier: Apache-2.0
"""GPTQ (Frantar et al., arXiv 2210.17323) on the two-level lattice scale[n] * multiplier * grid[code].

Each group of inputs of each output channel tries several (format, multiplier) pairs: GPTQ runs inside the group for all
of them at once, and the pair with the smallest Hessian-weighted error stays. The error then moves to later groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hqdit_mobile.formats import FORMATS, Format, lookup_tables, nearest_codes, round_to_grid, table_ids

OFFSETS = (0, -1, -2, 1)  # multipliers that a group tries, from the smallest that does not clip
CLIP_FACTORS = tuple(0.60 + 0.05 * i for i in range(9))
LATTICE_MAX = 120.0  # the largest E2M1 point, r = 10: what a channel's largest weight maps to, unless E3M0 stands alone


@dataclass(frozen=True)
class QuantizedWeight:
    """codes uint8 [N, K], tables uint8 [N, groups] (ids), scale float32 [N]."""

    codes: Tensor
    tables: Tensor
    scale: Tensor

    def lattice(self, group: int) -> Tensor:
        """int8 [N, K]: the weights in units of `scale`."""
        per_input = self.tables.long().repeat_interleave(group, dim=1)[:, : self.codes.shape[1]]
        return lookup_tables().flatten()[per_input * 16 + self.codes.long()]


def candidate_multipliers(largest: Tensor, format: Format, offsets: Sequence[int]) -> Tensor:
    """The smallest multiplier that holds `largest` (lattice steps, [...]) and its neighbours: float [..., offsets]."""
    fitting = torch.ceil(largest / format.max).clamp_(1, format.multipliers)
    return (fitting.unsqueeze(-1) + torch.tensor(offsets, dtype=largest.dtype)).clamp_(1, format.multipliers)


def _group_error(groups: Tensor, importance: Tensor, formats: Sequence[Format]) -> Tensor:
    """Weighted squared error [N] of plain rounding with the best (format, multiplier) per group [N, groups, size]."""
    largest = groups.abs().amax(dim=-1)
    best = torch.full_like(largest, float("inf"))
    for format in formats:
        for multiplier in candidate_multipliers(largest, format, (0, -1, -2)).unbind(-1):
            r = multiplier.unsqueeze(-1)
            error = ((groups - r * round_to_grid(groups / r, format)).square() * importance).sum(dim=-1)
            best = torch.minimum(best, error)
    return best.sum(dim=-1)


def search_scale(weight: Tensor, importance: Tensor, formats: Sequence[Format], group: int) -> Tensor:
    """Clipping range: per row of weight [N, K] the scale with the smallest error, weighted by importance [K]."""
    rows, k = weight.shape
    amax = weight.abs().amax(dim=1).clamp_(min=torch.finfo(weight.dtype).tiny * 2**20)
    per_group = importance.view(-1, group)
    largest_point = min(LATTICE_MAX, max(format.max * format.multipliers for format in formats))
    best_scale, best_error = amax / largest_point, torch.full_like(amax, float("inf"))
    for factor in CLIP_FACTORS:
        scale = amax * (factor / largest_point)
        error = _group_error((weight / scale[:, None]).view(rows, k // group, group), per_group, formats)
        error = error * scale.square()
        better = error < best_error
        best_scale = torch.where(better, scale, best_scale)
        best_error = torch.where(better, error, best_error)
    return best_scale


def _quantize_group(columns: Tensor, factor: Tensor, formats: Sequence[Format]) -> tuple[Tensor, Tensor, Tensor]:
    """GPTQ inside one group for every candidate at once.

    columns [N, size] in lattice steps, factor [size, size] the diagonal block of the upper Cholesky factor of the
    inverse Hessian. Returns lattice points [N, size], scaled errors [N, size], table ids [N] of the best candidates.
    """
    rows, size = columns.shape
    largest = columns.abs().amax(dim=1)
    multipliers = [candidate_multipliers(largest, format, OFFSETS) for format in formats]
    r = torch.cat(multipliers, dim=1)  # (N, candidates)
    work = columns.t()[:, :, None].repeat(1, 1, r.shape[1])  # (size, N, candidates): columns contiguous
    points, errors = torch.empty_like(work), torch.empty_like(work)
    for j in range(size):
        scaled = work[j] / r
        for index, format in enumerate(formats):
            part = slice(index * len(OFFSETS), (index + 1) * len(OFFSETS))
            points[j, :, part] = round_to_grid(scaled[:, part], format)
        points[j] *= r
        errors[j] = (work[j] - points[j]) / factor[j, j]
        if j + 1 < size:
            work[j + 1 :] -= factor[j, j + 1 :, None, None] * errors[j]
    best = errors.square().sum(dim=0).argmin(dim=1)
    pick = best[None, :, None].expand(size, rows, 1)
    ids = torch.cat([table_ids(f, m) for f, m in zip(formats, multipliers, strict=True)], dim=1)
    return (
        points.gather(2, pick)[..., 0].t(),
        errors.gather(2, pick)[..., 0].t(),
        ids.gather(1, best[:, None])[:, 0],
    )


def damped(gram: Tensor, damping: float) -> Tensor:
    """gram + damping * mean diagonal * I, float64; an input that is always zero gets the mean diagonal first."""
    result = gram.double().clone()
    diagonal = result.diagonal()
    mean = diagonal.mean() if diagonal.any() else torch.ones((), dtype=torch.float64)
    diagonal[diagonal == 0] = mean
    diagonal += damping * mean
    return result


def inverse_factor(hessian: Tensor) -> Tensor:
    """Upper triangular U with H^-1 = U^T U, float64."""
    if torch.equal(hessian, torch.diag(hessian.diagonal())):
        return torch.diag(hessian.diagonal().rsqrt())
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)


def gptq(weight: Tensor, hessian: Tensor, formats: Sequence[Format], group: int) -> QuantizedWeight:
    """weight [N, K] (rotated, if its inputs are) and damped Hessian [K, K] -> the lattice point that GPTQ finds.

    Deterministic. Inputs are taken in order; a group that K does not fill is padded with inputs that are never used.
    """
    rows, k = weight.shape
    size = min(group, k)
    padding = -k % size
    factor = F.pad(inverse_factor(hessian).float(), (0, padding, 0, padding))
    factor.diagonal()[k:] = 1.0
    importance = factor.diagonal().square().reciprocal()
    padded = F.pad(weight.float(), (0, padding))
    scale = search_scale(padded, importance, formats, size)
    work = padded / scale[:, None]
    points = torch.empty_like(work)
    ids = torch.empty(rows, work.shape[1] // size, dtype=torch.uint8)
    for index, start in enumerate(range(0, work.shape[1], size)):
        columns = slice(start, start + size)
        points[:, columns], errors, ids[:, index] = _quantize_group(work[:, columns], factor[columns, columns], formats)
        work[:, start + size :] -= errors @ factor[columns, start + size :]
    points = points[:, :k]
    scale = refit_scale(weight.double(), points.double(), hessian, scale)
    return QuantizedWeight(codes_of(points, ids, size), ids, scale)


def refit_scale(weight: Tensor, points: Tensor, hessian: Tensor, scale: Tensor) -> Tensor:
    """Least-squares scale of each row for the codes that GPTQ ended with: w H q / q H q, float32 [N]."""
    projected = points @ hessian
    power = (projected * points).sum(dim=1)
    fitted = (projected * weight).sum(dim=1) / power
    return torch.where((power > 0) & (fitted > 0), fitted, scale.double()).float()


def codes_of(points: Tensor, ids: Tensor, group: int) -> Tensor:
    """The code (uint8 [N, K]) of each lattice point under its group's table."""
    codes = torch.zeros(points.shape, dtype=torch.uint8)
    per_input = ids.repeat_interleave(group, dim=1)[:, : points.shape[1]]
    for format in FORMATS.values():
        chosen = (per_input >= format.first_id) & (per_input < format.first_id + format.multipliers)
        multiplier = per_input.float() - (format.first_id - 1)
        codes = torch.where(chosen, nearest_codes(points / multiplier, format), codes)
    return codes
