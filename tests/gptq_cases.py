# SPDX-License-Identifier: Apache-2.0
"""Random weights and Hessians, and what quantized weights decode to."""

import torch

from hqdit_mobile.ops.formats import lookup_tables
from hqdit_mobile.quantize.gptq import damped


def correlated_hessian(k: int, seed: int, tokens: int = 4096) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(tokens, k, generator=generator, dtype=torch.float64)
    x = x @ torch.randn(k, k, generator=generator, dtype=torch.float64) / k**0.5
    return damped(x.t() @ x / tokens, 0.01)


def values(quantized, group: int, k: int) -> torch.Tensor:
    """float64 [N, K] decoded by the look-up tables alone."""
    ids = quantized.tables.long().repeat_interleave(group, dim=1)[:, :k]
    return lookup_tables().double()[ids, quantized.codes.long()] * quantized.scale.double()[:, None]


def random_weight(n: int, k: int, seed: int) -> torch.Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.02
