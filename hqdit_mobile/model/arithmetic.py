# SPDX-License-Identifier: Apache-2.0
"""The two ways to compute a network: torch's operators, and ours, of which bundles are made.

A network is written once, in the methods of an ``Arithmetic``. ``PLAIN`` has gradients, runs on every device and calls
the layers' modules, so that hooks see their inputs; calibration uses it. ``FUSED`` is written in our operators
(docs/float-ops.md), between which there are only copies and single additions, so that it has the same bits in every
runtime. Quantized layers need that: a last bit that differs before one of them moves a value over a rounding boundary,
and the layers behind it amplify the step of int8 that follows.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import hqdit_mobile.ops.float_ops  # noqa: F401  (registers the operators)
from hqdit_mobile.ops.fp4_linear import FP4Linear


class Arithmetic(Protocol):
    """``modulation`` [B, n D]: n vectors of an adaLN layer, which ``shift``, ``scale`` and ``gate`` number."""

    def linear(self, layer: nn.Module, x: Tensor) -> Tensor: ...

    def linear_gelu(self, layer: nn.Module, x: Tensor) -> Tensor:
        """GELU (tanh) of ``linear``."""

    def silu(self, x: Tensor) -> Tensor: ...

    def timestep_features(self, timestep: Tensor, frequencies: Tensor) -> Tensor:
        """[B] -> [B, 2 F]: cosines, then sines."""

    def patches(self, convolution: nn.Conv2d, x: Tensor) -> Tensor:
        """[B, C, S, S] -> [B, T, D] by a convolution whose stride is its kernel."""

    def modulated_norm(self, x: Tensor, modulation: Tensor, shift: int, scale: int, norm: nn.LayerNorm) -> Tensor:
        """norm(x) (1 + scale) + shift, x [B, T, D]."""

    def gated_add(self, x: Tensor, modulation: Tensor, gate: int, y: Tensor) -> Tensor:
        """x + gate y, x and y [B, T, D]."""

    def attention(self, qkv: Tensor, heads: int, quantized: bool) -> Tensor:
        """[B, T, 3 D] -> [B, T, D]; quantized: the model's products are, so attention's may be."""


class _Plain:
    def linear(self, layer: nn.Module, x: Tensor) -> Tensor:
        return layer(x)

    def linear_gelu(self, layer: nn.Module, x: Tensor) -> Tensor:
        return F.gelu(layer(x), approximate="tanh")

    def silu(self, x: Tensor) -> Tensor:
        return F.silu(x)

    def timestep_features(self, timestep: Tensor, frequencies: Tensor) -> Tensor:
        angle = timestep[:, None] * frequencies[None]
        return torch.cat([angle.cos(), angle.sin()], dim=1)

    def patches(self, convolution: nn.Conv2d, x: Tensor) -> Tensor:
        return convolution(x).flatten(2).transpose(1, 2)

    def modulated_norm(self, x: Tensor, modulation: Tensor, shift: int, scale: int, norm: nn.LayerNorm) -> Tensor:
        vectors = modulation.unflatten(1, (-1, 1, x.shape[-1]))
        return norm(x) * (1 + vectors[:, scale]) + vectors[:, shift]

    def gated_add(self, x: Tensor, modulation: Tensor, gate: int, y: Tensor) -> Tensor:
        return x + modulation.unflatten(1, (-1, 1, x.shape[-1]))[:, gate] * y

    def attention(self, qkv: Tensor, heads: int, quantized: bool) -> Tensor:
        b, t, width = qkv.shape
        # each of q, k, v [B, heads, T, head_dim]
        q, k, v = qkv.view(b, t, 3, heads, width // 3 // heads).permute(2, 0, 3, 1, 4).unbind(0)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, width // 3)


class _Fused:
    def linear(self, layer: nn.Module, x: Tensor) -> Tensor:
        return torch.ops.hqdit.linear_f32(x, layer.weight, layer.bias) if isinstance(layer, nn.Linear) else layer(x)

    def linear_gelu(self, layer: nn.Module, x: Tensor) -> Tensor:
        # A quantized layer applies it before its outputs leave the cache.
        return layer(x, gelu=True) if isinstance(layer, FP4Linear) else torch.ops.hqdit.gelu_tanh(self.linear(layer, x))

    def silu(self, x: Tensor) -> Tensor:
        return torch.ops.hqdit.silu_f32(x)

    def timestep_features(self, timestep: Tensor, frequencies: Tensor) -> Tensor:
        return torch.ops.hqdit.timestep_embedding(timestep, frequencies)

    def patches(self, convolution: nn.Conv2d, x: Tensor) -> Tensor:
        (p, _), channels, grid = convolution.kernel_size, x.shape[1], x.shape[2] // convolution.kernel_size[0]
        x = x.reshape(-1, channels, grid, p, grid, p).permute(0, 2, 4, 1, 3, 5)
        x = x.reshape(-1, grid * grid, channels * p * p)
        return torch.ops.hqdit.linear_f32(x, convolution.weight.flatten(1), convolution.bias)

    def modulated_norm(self, x: Tensor, modulation: Tensor, shift: int, scale: int, norm: nn.LayerNorm) -> Tensor:
        return torch.ops.hqdit.modulated_norm(x, modulation, shift, scale, norm.eps)

    def gated_add(self, x: Tensor, modulation: Tensor, gate: int, y: Tensor) -> Tensor:
        return torch.ops.hqdit.gated_add(x, modulation, gate, y)

    def attention(self, qkv: Tensor, heads: int, quantized: bool) -> Tensor:
        return (torch.ops.hqdit.attention_int8 if quantized else torch.ops.hqdit.attention)(qkv, heads)


PLAIN: Arithmetic = _Plain()
FUSED: Arithmetic = _Fused()
