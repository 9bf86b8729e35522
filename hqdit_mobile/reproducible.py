# SPDX-License-Identifier: Apache-2.0
"""The parts of a DiT outside its blocks in operations that give the same bits in every runtime.

A difference of one bit before the first quantized layer moves a value over a rounding boundary somewhere, and the
noise prediction of an int8 DiT then differs by about -48 dB after 8 blocks: as much as its activations' quantization
noise. The operators in the blocks have defined bits (docs/fp4-linear.md, docs/step-ops.md); here are the embeddings,
written in single additions and multiplications, which IEEE 754 rounds one way, and in tables.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from hqdit_mobile.dit import DiT

# 2^f for f in -0.5..0.5: Taylor's terms ln(2)^i / i!, relative error below 1e-8.
_EXP2_TERMS = tuple(math.log(2) ** i / math.factorial(i) for i in range(8))
_EXP2_LIMIT = 126


def silu(x: Tensor) -> Tensor:
    """x / (1 + exp(-x)), relative error below 2e-6."""
    exponent = (x * -math.log2(math.e)).clamp(-_EXP2_LIMIT, _EXP2_LIMIT)
    whole = exponent.round()
    fraction = exponent - whole
    power = torch.full_like(fraction, _EXP2_TERMS[-1])
    for term in reversed(_EXP2_TERMS[:-1]):
        power = power * fraction + term
    scale = torch.tensor([2.0**i for i in range(-_EXP2_LIMIT, _EXP2_LIMIT + 1)], device=x.device)
    return x / (power * scale[whole.long() + _EXP2_LIMIT] + 1)


class OrderedPatchEmbed(nn.Module):
    """A patch embedding (a convolution whose stride is its kernel) that adds its products one after the other.

    [B, C, S, S] -> [B, D, S / p, S / p].
    """

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        self.patch = conv.kernel_size[0]
        assert conv.bias is not None
        # One row per product: [C p p, D].
        self.register_buffer("weight", conv.weight.detach().flatten(1).t().contiguous())
        self.register_buffer("bias", conv.bias.detach().clone())

    def forward(self, latents: Tensor) -> Tensor:
        b, c, s, _ = latents.shape
        p, grid = self.patch, s // self.patch
        values = latents.reshape(b, c, grid, p, grid, p).permute(0, 2, 4, 1, 3, 5).reshape(b, grid * grid, c * p * p, 1)
        out = self.bias
        for i in range(c * p * p):
            out = out + values[:, :, i] * self.weight[i]
        return out.transpose(1, 2).reshape(b, -1, grid, grid)


class TimestepTable(nn.Module):
    """The embeddings of the timesteps 0 .. n - 1, kept in float16: [B] -> [B, D]. Other timesteps are not known."""

    def __init__(self, embedder: nn.Module, count: int):
        super().__init__()
        with torch.no_grad():
            self.register_buffer("table", embedder(torch.arange(count, dtype=torch.float32)).half())

    def forward(self, timestep: Tensor) -> Tensor:
        return self.table[timestep.long()].float()


def make_reproducible_(dit: DiT, num_train_timesteps: int) -> None:
    """Replaces the embedders of ``dit``, in place, after quantization: the timestep table holds what they give now."""
    dit.x_embedder = OrderedPatchEmbed(dit.x_embedder)
    dit.t_embedder = TimestepTable(dit.t_embedder, num_train_timesteps)
