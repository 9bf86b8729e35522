# SPDX-License-Identifier: Apache-2.0
"""Block Hadamard rotation of activations and weights, in the exact order of docs/fp4-linear.md."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from hqdit_mobile.ops.hadamard_orders import PALEY_PRIMES, split_order


@cache
def _paley(order: int) -> Tensor:
    q = PALEY_PRIMES[order]
    squares = {i * i % q for i in range(1, q)}
    chi = [0 if i == 0 else 1 if i in squares else -1 for i in range(q)]
    conference = torch.zeros(q + 1, q + 1, dtype=torch.int8)
    conference[0, 1:] = conference[1:, 0] = 1
    conference[1:, 1:] = torch.tensor([[chi[(i - j) % q] for j in range(q)] for i in range(q)])
    zero = torch.tensor([[1, -1], [-1, -1]], dtype=torch.int8)
    one = torch.tensor([[1, 1], [1, -1]], dtype=torch.int8)
    return torch.kron((conference == 0).to(torch.int8), zero) + torch.kron(conference, one)


def hadamard(order: int) -> Tensor:
    """The int8 matrix H_order = H_m (x) H_2^p with entries +-1; H H^T = order * I. Symmetric."""
    m, power = split_order(order)
    matrix = torch.ones(1, 1, dtype=torch.int8)
    while matrix.shape[0] < power:
        matrix = torch.kron(torch.tensor([[1, 1], [1, -1]], dtype=torch.int8), matrix)
    return matrix if m == 1 else torch.kron(_paley(m), matrix)


def rotate(x: Tensor, order: int) -> Tensor:
    """x [..., K] -> x H for each run of `order` inputs, not normalised; order 1 is the identity.

    Only separate additions, subtractions and sign changes in a fixed order, so that the C++ kernels give equal bits.
    """
    if order == 1:
        return x
    if x.shape[-1] % order:
        raise ValueError(f"rotation {order} does not divide {x.shape[-1]} inputs")
    m, power = split_order(order)
    shape = x.shape
    step = 1
    while step < power:
        pairs = x.reshape(-1, power // (2 * step), 2, step)
        a, b = pairs[:, :, 0], pairs[:, :, 1]
        x = torch.stack([a + b, a - b], dim=2)
        step *= 2
    if m > 1:
        signs = _paley(m).to(device=x.device, dtype=x.dtype)
        parts = x.reshape(-1, m, power)
        x = signs[:, 0, None] * parts[:, None, 0]
        for j in range(1, m):
            x = x + signs[:, j, None] * parts[:, None, j]
    return x.reshape(shape)


def random_signs(count: int, seed: int) -> Tensor:
    """float32 [count] of +-1, the same for the same seed on every machine."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (count,), generator=generator).mul_(2).sub_(1).to(torch.float32)


def usable_rotation(in_features: int, wanted: int | str) -> int:
    """The rotation a layer gets: `wanted` where it divides the inputs, else the largest smaller power of two that does.

    "full" takes the largest order m * 2^p that divides in_features: all of it for every DiT width. 1 is no rotation.
    """
    if wanted != "full" and in_features % int(wanted) == 0:
        return int(wanted)
    limit, factors = (in_features, (1, *PALEY_PRIMES)) if wanted == "full" else (int(wanted), (1,))
    orders = [m << p for m in factors for p in range(limit.bit_length())]
    return max(order for order in orders if order <= limit and in_features % order == 0)
