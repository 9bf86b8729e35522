# SPDX-License-Identifier: Apache-2.0
"""GPTQ (Frantar et al., arXiv 2210.17323) on the two-level lattice scale[n] * multiplier * grid[code].

Each group of inputs of each output channel tries several (format, multiplier) pairs: GPTQ runs inside the group for all
of them at once, and the pair with the smallest Hessian-weighted error stays. The error then moves to later groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from hqdit_mobile.ops.formats import Format, lookup_tables, round_magnitude_, round_to_grid, table_ids
from hqdit_mobile.util.rows import by_rows

OFFSETS = (0, -1, -2, 1)  # multipliers that a group tries, from the smallest that does not clip
SEARCH_OFFSETS = OFFSETS[:3]  # while the scale is searched
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


def search_scale(weight: Tensor, importance: Tensor, formats: Sequence[Format], group: int) -> Tensor:
    """Clipping range: per row of weight [N, K] the scale with the smallest error, weighted by importance [K]."""
    per_group = importance.view(-1, group)
    return by_rows(lambda rows: _search_scale(rows, per_group, formats), weight)


def _search_scale(weight: Tensor, importance: Tensor, formats: Sequence[Format]) -> Tensor:
    """importance [groups, size]."""
    magnitude = weight.abs().view(-1, *importance.shape)
    largest = magnitude.amax(dim=2)
    amax = largest.amax(dim=1).clamp_(min=torch.finfo(weight.dtype).tiny * 2**20)
    largest_point = min(LATTICE_MAX, max(format.max * format.multipliers for format in formats))
    best_scale, best_error = amax / largest_point, torch.full_like(amax, float("inf"))
    for factor in CLIP_FACTORS:
        scale = amax * (factor / largest_point)
        steps = magnitude / scale[:, None, None], largest / scale[:, None]
        _, errors = _best_tables(*steps, importance, formats, SEARCH_OFFSETS)
        error = errors.sum(dim=1) * scale.square()
        better = error < best_error
        best_scale = torch.where(better, scale, best_scale)
        best_error = torch.where(better, error, best_error)
    return best_scale


def _best_tables(
    magnitude: Tensor, largest: Tensor, importance: Tensor, formats: Sequence[Format], offsets: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Table ids and weighted squared errors [N, groups] of plain rounding with the best (format, multiplier).

    magnitude [N, groups, size], in lattice steps: signs make no difference; largest [N, groups] of it.
    """
    ids, least = torch.zeros_like(largest, dtype=torch.uint8), torch.full_like(largest, float("inf"))
    for format in formats:
        for multiplier in candidate_multipliers(largest, format, offsets).unbind(-1):
            r = multiplier.unsqueeze(-1)
            rounded = round_magnitude_(magnitude / r, format).mul_(r)
            error = rounded.sub_(magnitude).square_().mul_(importance).sum(dim=-1)
            ids = torch.where(error < least, table_ids(format, multiplier), ids)
            least = torch.minimum(least, error)
    return ids, least


def quantize_group(columns: Tensor, factor: Tensor, formats: Sequence[Format]) -> tuple[Tensor, Tensor, Tensor]:
    """GPTQ inside one group for every candidate at once.

    columns [N, size] in lattice steps, factor [size, size] the diagonal block of the upper Cholesky factor of the
    inverse Hessian. Returns lattice points [N, size], scaled errors [N, size], table ids [N] of the best candidates.
    """
    rows, size = columns.shape
    largest = columns.abs().amax(dim=1)
    multipliers = [candidate_multipliers(largest, format, OFFSETS).t() for format in formats]
    r = torch.cat(multipliers)  # (candidates, N)
    work = columns.t()[:, None].repeat(1, len(r), 1)  # (size, candidates, N): whatever is rounded at once lies together
    points, errors, moved = torch.empty_like(work), torch.empty_like(work), torch.empty_like(work)
    for j in range(size):
        torch.div(work[j], r, out=points[j])
        for index, format in enumerate(formats):
            part = slice(index * len(OFFSETS), (index + 1) * len(OFFSETS))
            points[j, part] = round_to_grid(points[j, part], format)
        points[j] *= r
        torch.sub(work[j], points[j], out=errors[j]).div_(factor[j, j])
        if j + 1 < size:
            work[j + 1 :] -= torch.mul(factor[j, j + 1 :, None, None], errors[j], out=moved[j + 1 :])
    best = errors.square().sum(dim=0).argmin(dim=0)
    pick = best[None, None].expand(size, 1, rows)
    ids = torch.cat([table_ids(f, m) for f, m in zip(formats, multipliers, strict=True)])
    return points.gather(1, pick)[:, 0].t(), errors.gather(1, pick)[:, 0].t(), ids.gather(0, best[None])[0]


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
        points[:, columns], errors, ids[:, index] = quantize_group(work[:, columns], factor[columns, columns], formats)
        work[:, start + size :].addmm_(errors, factor[columns, start + size :], alpha=-1)
    points = points[:, :k]
    scale = refit_scale(weight.double(), points.double(), hessian, scale)
    return QuantizedWeight(codes_of(points, ids, size), ids, scale)


def quantize_weight(weight: Tensor, hessian: Tensor | None, formats: Sequence[Format], group: int) -> QuantizedWeight:
    """gptq, or nearest where there is no Hessian."""
    return nearest(weight, formats, group) if hessian is None else gptq(weight, hessian, formats, group)


def nearest(weight: Tensor, formats: Sequence[Format], group: int) -> QuantizedWeight:
    """weight [N, K] -> the nearest lattice point: gptq with the identity as Hessian, without its products."""
    k = weight.shape[1]
    size = min(group, k)
    padded = F.pad(weight.float(), (0, -k % size))
    scale = search_scale(padded, torch.ones(padded.shape[1]), formats, size)
    points, ids = nearest_points(padded, scale, formats, size)
    points = points[:, :k]
    return QuantizedWeight(codes_of(points, ids, size), ids, refit_scale(weight.double(), points.double(), None, scale))


def nearest_points(weight: Tensor, scale: Tensor, formats: Sequence[Format], group: int) -> tuple[Tensor, Tensor]:
    """Lattice points float32 [N, K] and table ids uint8 [N, groups] nearest to weight [N, K], whole groups, in steps of
    scale [N]."""
    shape = weight.shape[1] // group, group
    importance = torch.ones(shape)

    def tables(weight: Tensor, scale: Tensor) -> Tensor:
        magnitude = (weight / scale[:, None]).abs_().view(-1, *shape)
        return _best_tables(magnitude, magnitude.amax(dim=2), importance, formats, OFFSETS)[0]

    def round_(weight: Tensor, scale: Tensor, ids: Tensor) -> Tensor:
        steps = (weight / scale[:, None]).view(-1, *shape)
        points = torch.zeros_like(steps)
        for format in formats:
            r = (ids.float() - (format.first_id - 1)).unsqueeze_(-1)
            chosen = (r >= 1) & (r <= format.multipliers)
            points = torch.where(chosen, round_to_grid(steps / r, format).mul_(r), points)
        return points.flatten(1)

    ids = by_rows(tables, weight, scale)
    return by_rows(round_, weight, scale, ids), ids


def refit_scale(weight: Tensor, points: Tensor, hessian: Tensor | None, scale: Tensor) -> Tensor:
    """Least-squares scale of each row for the codes that were found: w H q / q H q, float32 [N]; H None: identity."""
    projected = points if hessian is None else points @ hessian
    power = (projected * points).sum(dim=1)
    fitted = (projected * weight).sum(dim=1) / power
    return torch.where((power > 0) & (fitted > 0), fitted, scale.double()).float()


def codes_of(points: Tensor, ids: Tensor, group: int) -> Tensor:
    """The code (uint8 [N, K]) of each lattice point under its group's table, which has it."""

    def codes(points: Tensor, ids: Tensor) -> Tensor:
        first = (ids.long() * 256 + 128).repeat_interleave(group, dim=1)[:, : points.shape[1]]
        return _codes_of_points().take(first.add_(points.long()))

    return by_rows(codes, points, ids)


@cache
def _codes_of_points() -> Tensor:
    """uint8 [tables * 256]: the inverse of lookup_tables, at 256 * id + 128 + point."""
    points = lookup_tables().long() + 128
    codes = torch.zeros(len(points), 256, dtype=torch.uint8)
    for code in reversed(range(points.shape[1])):  # zero has two codes, and the smaller one stays
        codes[torch.arange(len(points)), points[:, code]] = code
    return codes.flatten()
