# SPDX-License-Identifier: Apache-2.0
"""One FP4 format for each output channel, as in HQ-DiT (Liu and Zhang, arXiv 2405.19751)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hqdit_mobile.ops.formats import Format
from hqdit_mobile.quantize.gptq import QuantizedWeight, quantize_weight

LOW_QUANTILE = 0.25  # stands for the smallest weight, which would be any number close to zero


def ratio_choice(weight: Tensor, formats: Sequence[Format]) -> Tensor:
    """HQ-DiT's rule: which of `formats` each row of weight [N, K] gets, int64 [N].

    The format whose own ratio of largest to smallest non-zero value (E3M0 64, E2M1 12, E1M2 7) is nearest, in the
    logarithm, to the ratio of the row's largest weight to a small one. The paper's text says that the ratio s_w of the
    maximum to the minimum decides; what it takes for the minimum is not known to us, and the first quartile is used.
    """
    magnitude = weight.abs().double()
    tiny = torch.finfo(torch.float64).tiny
    ratio = magnitude.amax(dim=1) / torch.quantile(magnitude, LOW_QUANTILE, dim=1).clamp(min=tiny)
    own = torch.tensor([math.log(format.max / format.grid[1]) for format in formats], dtype=torch.float64)
    return (ratio.clamp(min=1).log()[:, None] - own).abs().argmin(dim=1)


def by_channel(weight: Tensor, hessian: Tensor | None, formats: Sequence[Format], rule: str) -> QuantizedWeight:
    """gptq with one format and one clipping range per row of weight [N, K]; hessian [K, K] damped, or None for nearest.

    rule: "ratio" (ratio_choice) or "error": each row keeps the format whose error (w - q) H (w - q) is the smallest.
    """
    rows, k = weight.shape
    result = QuantizedWeight(
        torch.zeros(rows, k, dtype=torch.uint8), torch.zeros(rows, 1, dtype=torch.uint8), torch.zeros(rows)
    )
    choice = ratio_choice(weight, formats) if rule == "ratio" else None
    least = torch.full((rows,), math.inf, dtype=torch.float64)
    for index, format in enumerate(formats):
        picked = torch.arange(rows) if choice is None else (choice == index).nonzero()[:, 0]
        if not len(picked):
            continue
        tried = quantize_weight(weight[picked], hessian, [format], k)
        difference = weight[picked].double() - tried.lattice(k).double() * tried.scale.double()[:, None]
        error = ((difference if hessian is None else difference @ hessian) * difference).sum(dim=1)
        better = error < least[picked]
        kept = picked[better]
        least[kept] = error[better]
        for all_rows, part in zip(
            (result.codes, result.tables, result.scale), (tried.codes, tried.tables, tried.scale), strict=True
        ):
            all_rows[kept] = part[better]
    return result
