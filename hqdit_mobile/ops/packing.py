# SPDX-License-Identifier: Apache-2.0
"""The stored layout of 4-bit weights (docs/fp4-linear.md): one for all instruction sets."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = 16  # output channels a block
COLUMNS = 32  # inputs a block: 16 in the low nibbles, 16 in the high ones


def _ceil_div(value: int, divisor: int) -> int:
    return -(-value // divisor)


def groups_per_row(in_features: int, group: int) -> int:
    """Number of tables an output channel has; a group of at least K counts as one."""
    return _ceil_div(in_features, group)


def pack_codes(codes: Tensor) -> Tensor:
    """codes uint8 [N, K], values 0..15 -> uint8 [ceil(N/16), ceil(K/32), 16, 16]; padding is code 0."""
    if codes.dtype != torch.uint8 or codes.dim() != 2:
        raise ValueError(f"codes must be uint8 [N, K], got {codes.dtype} {list(codes.shape)}")
    if codes.numel() and int(codes.max()) > 15:
        raise ValueError(f"a code has 4 bits, got {int(codes.max())}")
    n, k = codes.shape
    padded = codes.new_zeros(_ceil_div(n, ROWS) * ROWS, _ceil_div(k, COLUMNS) * COLUMNS)
    padded[:n, :k] = codes
    blocks = padded.view(-1, ROWS, padded.shape[1] // COLUMNS, 2, COLUMNS // 2).permute(0, 2, 1, 3, 4)
    return (blocks[..., 0, :] | (blocks[..., 1, :] << 4)).contiguous()


def unpack_codes(packed: Tensor, out_features: int, in_features: int) -> Tensor:
    """The inverse of pack_codes: uint8 [N, K]."""
    nibbles = torch.stack([packed & 15, packed >> 4], dim=3)  # [nb, kb, i, half, j]
    rows = nibbles.permute(0, 2, 1, 3, 4).reshape(packed.shape[0] * ROWS, packed.shape[1] * COLUMNS)
    return rows[:out_features, :in_features]


def pack_tables(ids: Tensor) -> Tensor:
    """Table ids uint8 [N, groups] -> uint8 [ceil(N/16), groups, 16]; padding is id 0."""
    n, groups = ids.shape
    padded = ids.new_zeros(_ceil_div(n, ROWS) * ROWS, groups)
    padded[:n] = ids
    return padded.view(-1, ROWS, groups).transpose(1, 2).contiguous()


def unpack_tables(packed: Tensor, out_features: int) -> Tensor:
    """The inverse of pack_tables: uint8 [N, groups]."""
    return packed.transpose(1, 2).reshape(packed.shape[0] * ROWS, packed.shape[1])[:out_features]
