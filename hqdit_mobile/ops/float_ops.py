# SPDX-License-Identifier: Apache-2.0
"""The float operators around hqdit::fp4_linear in a DiT: definitions in plain torch and the registered operators
``torch.ops.hqdit.{attention, attention_int8, modulated_norm, gated_add, group_norm_f32, group_norm_given_f32,
gelu_tanh, silu_f32, linear_f32, timestep_embedding}`` (docs/float-ops.md).

On the CPU they run the native kernels, which give the bits that a phone gives; on other devices, the definition.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hqdit_mobile.ops.operator import Operator, register

HEAD_DIMS = (8, 128)


def attention(qkv: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(head_dim)) v per head: qkv [B, T, 3 D], the last size q, k, v, each [heads, head_dim];
    returns [B, T, D]."""
    b, t, width = qkv.shape
    q, k, v = qkv.view(b, t, 3, heads, width // 3 // heads).permute(2, 0, 3, 1, 4).unbind(0)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, width // 3)


def attention_int8(qkv: Tensor, heads: int) -> Tensor:
    """attention with both products in int8 (docs/float-ops.md): q and k with a scale a token, v with one for each
    channel, the softmax's weights in steps of 1 / 254 of the largest. Same shapes."""
    b, t, width = qkv.shape
    head_dim = width // 3 // heads
    q, k, v = qkv.view(b, t, 3, heads, head_dim).permute(2, 0, 3, 1, 4).unbind(0)
    (q, q_scale), (k, k_scale), (v, v_scale) = _to_int8(q, -1), _to_int8(k, -1), _to_int8(v, -2)
    k_scale = k_scale * (math.log2(math.e) / math.sqrt(head_dim))
    # Whole numbers below 2^24 as float64: every product is exact.
    scores = (q.double() @ k.double().mT).float() * k_scale.mT * q_scale
    weights = torch.exp2(scores - scores.amax(dim=-1, keepdim=True))
    # All of int8's range holds a weight: 254 w - 127.
    centered = (weights * 254 - 127).round()
    bias = v.sum(dim=-2, keepdim=True) * 127 * v_scale
    out = (centered.double() @ v.double()).float() * v_scale + bias
    out = out * (weights.sum(dim=-1, keepdim=True).reciprocal() * (1 / 254))
    return out.transpose(1, 2).reshape(b, t, width // 3)


def _to_int8(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """x as whole numbers in -127..127 along ``dim``, and their scales; a line that is not finite has the scale NaN."""
    amax = x.abs().amax(dim=dim, keepdim=True)
    finite = torch.isfinite(x).all(dim=dim, keepdim=True)
    usable = finite & (amax >= 2.0**-100)
    scale = torch.where(usable, amax / 127, torch.where(finite, 0.0, math.nan))
    # As a tensor: torch turns a number by a tensor into a product with the reciprocal, which rounds twice.
    inverse = amax.new_full((), 127.0) / amax
    return torch.where(usable, x * inverse, 0.0).round(), scale


def modulated_norm(x: Tensor, modulation: Tensor, shift_index: int, scale_index: int, eps: float) -> Tensor:
    """layer_norm(x) * (1 + scale) + shift: x [B, T, D]; modulation [B, n D] holds n vectors, as adaLN returns them."""
    vectors = modulation.view(x.shape[0], -1, 1, x.shape[2])
    return F.layer_norm(x, x.shape[2:], eps=eps) * (1 + vectors[:, scale_index]) + vectors[:, shift_index]


def gated_add(x: Tensor, modulation: Tensor, gate_index: int, y: Tensor) -> Tensor:
    """x + gate * y: x and y [B, T, D], modulation [B, n D]."""
    return x + modulation.view(x.shape[0], -1, 1, x.shape[2])[:, gate_index] * y


def group_norm_f32(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool) -> Tensor:
    """group_norm(x) * weight + bias, then SiLU if ``silu``: x [B, C, ...], weight and bias [C]."""
    normed = F.group_norm(x, groups, weight, bias, eps)
    return F.silu(normed) if silu else normed


def group_norm_given_f32(
    x: Tensor, weight: Tensor, bias: Tensor, statistics: Tensor, groups: int, eps: float, silu: bool
) -> Tensor:
    """``group_norm_f32`` with mean and variance of every group, statistics [groups, 2], in place of those of x."""
    mean, variance = statistics.view(1, groups, 2, 1).unbind(2)
    normed = (x.reshape(x.shape[0], groups, -1) - mean) / torch.sqrt(variance + eps)
    column = (1, -1, *(1 for _ in x.shape[2:]))
    y = normed.view(x.shape) * weight.view(column) + bias.view(column)
    return F.silu(y) if silu else y


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU in its tanh approximation, any shape. Not called gelu: XNNPACK's partitioner goes by the bare name."""
    return F.gelu(x, approximate="tanh")


def silu_f32(x: Tensor) -> Tensor:
    """x / (1 + exp(-x)), any shape."""
    return F.silu(x)


def linear_f32(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight^T + bias: x [..., K], weight [N, K], bias [N] or None; returns [..., N]. For weights that are not
    quantized."""
    return F.linear(x, weight, bias)


def timestep_embedding(timestep: Tensor, frequencies: Tensor) -> Tensor:
    """Cosines, then sines of timestep * frequency: timestep [B], frequencies [F]; returns [B, 2 F]. The angle is
    rounded to float32, as in diffusers, and must not exceed 2^20."""
    angle = timestep[:, None] * frequencies
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def _check(op: str, name: str, tensor: Tensor, shape: tuple[int | None, ...] | None = None) -> None:
    good = shape is None or (
        tensor.dim() == len(shape) and all(w in (None, s) for w, s in zip(shape, tensor.shape, strict=True))
    )
    if tensor.dtype != torch.float32 or not good:
        wanted = "" if shape is None else f" {['any' if size is None else size for size in shape]}"
        raise ValueError(f"{op}: {name} must be float32{wanted}, got {tensor.dtype} {list(tensor.shape)}")


def _check_attention(op: str, qkv: Tensor, heads: int) -> None:
    _check(op, "qkv", qkv, (None, None, None))
    low, high = HEAD_DIMS
    if heads < 1 or qkv.shape[2] % (3 * heads) or not low <= qkv.shape[2] // (3 * heads) <= high or not qkv.shape[1]:
        raise ValueError(
            f"{op}: qkv must be [B, T >= 1, 3 * heads * head_dim] with head_dim {low} to {high}, "
            f"got {list(qkv.shape)} with heads = {heads}"
        )


def _check_modulated(op: str, x: Tensor, modulation: Tensor, **indices: int) -> None:
    _check(op, "x", x, (None, None, None))
    _check(op, "modulation", modulation, (x.shape[0], None))
    if x.shape[2] < 1 or modulation.shape[1] % x.shape[2]:
        raise ValueError(
            f"{op}: modulation must have a multiple of D = {x.shape[2]} columns, got {modulation.shape[1]}"
        )
    vectors = modulation.shape[1] // x.shape[2]
    for name, index in indices.items():
        if not 0 <= index < vectors:
            raise ValueError(f"{op}: {name} must be 0 to {vectors - 1}, got {index}")


def _check_norm(x: Tensor, modulation: Tensor, shift_index: int, scale_index: int, eps: float) -> None:
    _check_modulated("modulated_norm", x, modulation, shift_index=shift_index, scale_index=scale_index)


def _check_gated(x: Tensor, modulation: Tensor, gate_index: int, y: Tensor) -> None:
    _check_modulated("gated_add", x, modulation, gate_index=gate_index)
    _check("gated_add", "y", y, tuple(x.shape))


def _check_group_norm(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool, op: str = "group_norm_f32"
) -> None:
    _check(op, "x", x)
    if x.dim() < 2 or not x.shape[1:].numel() or groups < 1 or x.shape[1] % groups:
        raise ValueError(f"{op}: x must be [B, C, ...] with C a multiple of groups = {groups}, got {list(x.shape)}")
    _check(op, "weight", weight, (x.shape[1],))
    _check(op, "bias", bias, (x.shape[1],))


def _check_group_norm_given(
    x: Tensor, weight: Tensor, bias: Tensor, statistics: Tensor, groups: int, eps: float, silu: bool
) -> None:
    _check_group_norm(x, weight, bias, groups, eps, silu, "group_norm_given_f32")
    _check("group_norm_given_f32", "statistics", statistics, (groups, 2))


def _check_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:
    _check("linear_f32", "x", x)
    _check("linear_f32", "weight", weight, (None, None))
    outputs, inputs = weight.shape
    if not inputs or not outputs or x.dim() < 1 or x.shape[-1] != inputs:
        raise ValueError(
            f"linear_f32: x must be [..., K] and weight [N, K] with N, K >= 1, got {list(x.shape)} "
            f"and {list(weight.shape)}"
        )
    if bias is not None:
        _check("linear_f32", "bias", bias, (outputs,))


def _check_timestep(timestep: Tensor, frequencies: Tensor) -> None:
    _check("timestep_embedding", "timestep", timestep, (None,))
    _check("timestep_embedding", "frequencies", frequencies, (None,))


def _register(
    name: str,
    arguments: str,
    definition: Callable[..., Tensor],
    check: Callable[..., None],
    shape: Callable[..., tuple[int, ...]] = lambda x, *_: tuple(x.shape),
    **onnx: Any,
) -> None:
    register(Operator(name, arguments, definition, check, shape, **onnx))


for _name, _attention, _onnx in (
    ("attention", attention, "QkvAttention"),
    ("attention_int8", attention_int8, "QkvAttentionInt8"),
):
    _register(
        _name,
        "Tensor qkv, int heads",
        _attention,
        functools.partial(_check_attention, _name),
        lambda qkv, heads: (qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3),
        onnx=_onnx,
    )
_register(
    "modulated_norm",
    "Tensor x, Tensor modulation, int shift_index, int scale_index, float eps",
    modulated_norm,
    _check_norm,
    onnx="ModulatedNorm",
    onnx_names={"eps": "epsilon"},
)
_register(
    "gated_add",
    "Tensor x, Tensor modulation, int gate_index, Tensor y",
    gated_add,
    _check_gated,
    onnx="GatedAdd",
)
_register(
    "group_norm_f32",
    "Tensor x, Tensor weight, Tensor bias, int groups, float eps, bool silu",
    group_norm_f32,
    _check_group_norm,
)
_register(
    "group_norm_given_f32",
    "Tensor x, Tensor weight, Tensor bias, Tensor statistics, int groups, float eps, bool silu",
    group_norm_given_f32,
    _check_group_norm_given,
)
_register("gelu_tanh", "Tensor x", gelu_tanh, lambda x: _check("gelu_tanh", "x", x), onnx="GeluTanh")
_register("silu_f32", "Tensor x", silu_f32, lambda x: _check("silu_f32", "x", x), onnx="Silu")
_register(
    "linear_f32",
    "Tensor x, Tensor weight, Tensor? bias",
    linear_f32,
    _check_linear,
    lambda x, weight, _: (*x.shape[:-1], weight.shape[0]),
    onnx="Linear",
)
_register(
    "timestep_embedding",
    "Tensor timestep, Tensor frequencies",
    timestep_embedding,
    _check_timestep,
    lambda timestep, frequencies: (timestep.shape[0], 2 * frequencies.shape[0]),
    onnx="TimestepEmbedding",
)
