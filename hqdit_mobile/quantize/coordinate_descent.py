# SPDX-License-Identifier: Apache-2.0
"""Rounds again what GPTQ has rounded, group after group, each knowing what became of all others.

GPTQ decides a group when later ones are still free, and never comes back to it. Block coordinate descent on the same
objective (w - q) H (w - q), with a group of inputs as the block: given the other groups the best unrounded values of a
group are known, and the group is rounded towards them with every (format, multiplier) that GPTQ tries. Each row keeps
what it had where that does not lower its error, so the error never grows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hqdit_mobile.ops.formats import Format
from hqdit_mobile.quantize.gptq import QuantizedWeight, codes_of, inverse_factor, quantize_group, refit_scale


def descend(
    weight: Tensor, hessian: Tensor, formats: Sequence[Format], group: int, start: QuantizedWeight
) -> QuantizedWeight:
    """One pass over all groups: weight [N, K] and damped Hessian [K, K] as for gptq, `start` a result of it."""
    k = weight.shape[1]
    size = min(group, k)
    padding = -k % size
    hessian_f32 = F.pad(hessian.float(), (0, padding, 0, padding))
    hessian_f32.diagonal()[k:] = 1.0
    points, ids = F.pad(start.lattice(size).float(), (0, padding)), start.tables.clone()
    # The gradient of the error by the points, halved and with its sign turned; in lattice steps like all here.
    pull = (F.pad(weight.float(), (0, padding)) / start.scale[:, None] - points) @ hessian_f32
    for index in range(ids.shape[1]):
        columns = slice(index * size, (index + 1) * size)
        own = hessian_f32[columns, columns]
        inverse = torch.linalg.inv(own.double())
        best = points[:, columns] + pull[:, columns] @ inverse.float()
        found, _, found_ids = quantize_group(best, inverse_factor(own.double()).float(), formats)
        before, after = (((best - p) @ own * (best - p)).sum(dim=1) for p in (points[:, columns], found))
        better = after < before
        change = torch.where(better[:, None], found - points[:, columns], 0.0)
        points[:, columns] += change
        ids[:, index] = torch.where(better, found_ids, ids[:, index])
        pull -= change @ hessian_f32[columns]
    points = points[:, :k]
    scale = refit_scale(weight.double(), points.double(), hessian, start.scale)
    return QuantizedWeight(codes_of(points, ids, size), ids, scale)
