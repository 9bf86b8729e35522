# SPDX-License-Identifier: Apache-2.0
"""The engine's random numbers in NumPy: the same bits as export/sampler/src/rng.cpp on every machine.

Philox4x32-10 (Salmon et al., SC 2011) and the Box-Muller transform in float64. Only +, -, *, / and the square root are
used, all of which IEEE 754 rounds one way; the libraries' log, sin and cos differ between platforms in the last bit.
"""

from __future__ import annotations

import numpy as np

_LOG_TERMS = 11
_SIN_TERMS = 10
_MASK = np.uint64(0xFFFFFFFF)


def philox4x32(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Philox4x32-10 of counters [n, 4] under one key of two 32-bit words; uint32 [n, 4]."""
    c = [counter[:, i].astype(np.uint64) for i in range(4)]
    k0, k1 = key
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * c[0]
        p1 = np.uint64(0xCD9E8D57) * c[2]
        c = [
            (p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0),
            p1 & _MASK,
            (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1),
            p0 & _MASK,
        ]
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=1).astype(np.uint32)


def normal(seed: int, stream: int, count: int) -> np.ndarray:
    """Standard normal numbers 0 .. count - 1 of (seed, stream), float32 [count].

    `seed` has 64 bits and `stream` 32. The engine draws a picture's initial noise from stream 0 and the fresh noise of
    its step i (DDIM with eta > 0) from stream 1 + i.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be in 0 .. 2^64 - 1, not {seed}")
    if not 0 <= stream < 2**32:
        raise ValueError(f"stream must be in 0 .. 2^32 - 1, not {stream}")
    block = np.arange((count + 3) // 4, dtype=np.uint64)
    zero = np.zeros_like(block)
    counter = np.stack([block & _MASK, block >> np.uint64(32), zero + np.uint64(stream), zero], axis=1)
    words = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32)).reshape(-1, 2)
    u = (words[:, 0].astype(np.float64) + 0.5) * (1.0 / 4294967296.0)
    r = np.sqrt(-2.0 * natural_log(u))
    sin, cos = sincos_of_turns(words[:, 1])
    return np.stack([r * cos, r * sin], axis=1).astype(np.float32).reshape(-1)[:count]


def natural_log(x: np.ndarray) -> np.ndarray:
    """Of positive, normal float64 numbers, with the same bits on every platform; relative error below 3e-16."""
    bits = x.view(np.uint64)
    exponent = (bits >> np.uint64(52)).astype(np.float64) - 1023.0
    m = ((bits & np.uint64(0x000FFFFFFFFFFFFF)) | np.uint64(0x3FF0000000000000)).view(np.float64)
    high = m > 1.41421356237309504880168872421
    m = np.where(high, m * 0.5, m)
    exponent = np.where(high, exponent + 1.0, exponent)
    s = (m - 1.0) / (m + 1.0)  # log m = 2 artanh s
    z = s * s
    series = np.full_like(z, 1.0 / (2 * _LOG_TERMS + 1))
    for k in range(_LOG_TERMS - 1, -1, -1):
        series = series * z + 1.0 / (2 * k + 1)
    return exponent * 0.693147180559945309417232121458 + (2.0 * s) * series


def sincos_of_turns(turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine of the angles 2 pi turn / 2^32 (turn: uint32), with the same bits on every platform."""
    quadrant = (turn + np.uint32(0x20000000)) >> np.uint32(30)
    offset = (turn - (quadrant << np.uint32(30))).view(np.int32)
    x = offset.astype(np.float64) * (6.28318530717958647692528676656 / 4294967296.0)
    z = x * x
    s = np.ones_like(z)
    c = np.ones_like(z)
    for k in range(_SIN_TERMS, 0, -1):
        s = 1.0 - z * s / (2.0 * k * (2.0 * k + 1.0))
        c = 1.0 - z * c / ((2.0 * k - 1.0) * (2.0 * k))
    s = s * x
    q = quadrant & np.uint32(3)
    sin = np.select([q == 0, q == 1, q == 2], [s, c, -s], -c)
    cos = np.select([q == 0, q == 1, q == 2], [c, -s, -c], s)
    return sin, cos
