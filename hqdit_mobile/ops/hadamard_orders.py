# SPDX-License-Identifier: Apache-2.0
"""The orders of Hadamard matrices that a rotation may have. Imports no torch: configurations are checked without it."""

from __future__ import annotations

PALEY_PRIMES = {12: 5, 28: 13, 36: 17}  # order 2 (q + 1) of the second construction -> q


def split_order(order: int) -> tuple[int, int]:
    """order = m * 2^p with m in {1, 12, 28, 36} -> (m, 2^p). Raises ValueError if the order has no such form."""
    for m in (1, *PALEY_PRIMES):
        power = order // m
        if order > 0 and order % m == 0 and power & (power - 1) == 0:
            return m, power
    raise ValueError(f"rotation {order} is not m * 2^p with m in 1, 12, 28, 36")
