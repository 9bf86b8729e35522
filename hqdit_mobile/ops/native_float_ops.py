# SPDX-License-Identifier: Apache-2.0
"""The step operators of libhqdit_ops through ctypes (export/bindings/float_ops_c_api.h). Imports no torch.

Shapes and types must have been checked (hqdit_mobile.ops.float_ops): here are only pointers.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hqdit_mobile.ops import native

if TYPE_CHECKING:
    from torch import Tensor


@functools.cache
def _library() -> ctypes.CDLL:
    handle = native.library()
    pointer, int64, int32 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    arguments = {
        "hqdit_attention": [pointer, *[int64] * 4, int32, pointer],
        "hqdit_attention_int8": [pointer, *[int64] * 4, int32, pointer],
        "hqdit_modulated_norm": [pointer, pointer, *[int64] * 6, ctypes.c_float, int32, pointer],
        "hqdit_gated_add": [pointer, pointer, pointer, *[int64] * 5, int32, pointer],
        "hqdit_group_norm_f32": [pointer, pointer, pointer, *[int64] * 4, ctypes.c_float, int32, int32, pointer],
        "hqdit_group_norm_given_f32": [*[pointer] * 4, *[int64] * 4, ctypes.c_float, int32, int32, pointer],
        "hqdit_gelu_tanh": [pointer, int64, int32, pointer],
        "hqdit_silu_f32": [pointer, int64, int32, pointer],
        "hqdit_linear_f32": [pointer, pointer, pointer, *[int64] * 3, int32, pointer],
        "hqdit_timestep_embedding": [pointer, pointer, *[int64] * 2, int32, pointer],
    }
    for name, types in arguments.items():
        function = getattr(handle, name)
        function.restype, function.argtypes = ctypes.c_char_p, types
    return handle


def _call(
    name: str, inputs: Sequence[Tensor | None], numbers: Sequence[int | float], out: Tensor, threads: int | None
) -> Tensor:
    kept = [None if tensor is None else tensor.contiguous() for tensor in inputs]
    count = _library().hqdit_thread_count() if threads is None else threads
    pointers = [None if tensor is None else tensor.data_ptr() for tensor in kept]
    problem = getattr(_library(), f"hqdit_{name}")(*pointers, *numbers, count, out.data_ptr())
    if problem is not None:
        raise ValueError(f"{name}: {problem.decode()}")
    return out


def attention(qkv: Tensor, heads: int, *, threads: int | None = None) -> Tensor:
    """qkv float32 [B, T, 3 D] -> [B, T, D]; ``threads``: at most so many of the runtime's, None for all."""
    return _attention("attention", qkv, heads, threads)


def attention_int8(qkv: Tensor, heads: int, *, threads: int | None = None) -> Tensor:
    """As attention, with both products in int8."""
    return _attention("attention_int8", qkv, heads, threads)


def _attention(name: str, qkv: Tensor, heads: int, threads: int | None) -> Tensor:
    batch, tokens, width = qkv.shape
    out = qkv.new_empty(batch, tokens, width // 3)
    return _call(name, [qkv], [batch, tokens, heads, width // 3 // heads], out, threads)


def modulated_norm(
    x: Tensor, modulation: Tensor, shift_index: int, scale_index: int, eps: float, *, threads: int | None = None
) -> Tensor:
    """x float32 [B, T, D], modulation [B, n D] -> [B, T, D]."""
    sizes = [*x.shape, modulation.shape[1] // x.shape[2]]
    numbers = [*sizes, shift_index, scale_index, eps]
    return _call("modulated_norm", [x, modulation], numbers, x.new_empty(x.shape), threads)


def gated_add(x: Tensor, modulation: Tensor, gate_index: int, y: Tensor, *, threads: int | None = None) -> Tensor:
    """x and y float32 [B, T, D], modulation [B, n D] -> [B, T, D]."""
    sizes = [*x.shape, modulation.shape[1] // x.shape[2]]
    return _call("gated_add", [x, modulation, y], [*sizes, gate_index], x.new_empty(x.shape), threads)


def group_norm_f32(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool, *, threads: int | None = None
) -> Tensor:
    """x float32 [B, C, ...], weight and bias [C] -> the shape of x."""
    batch, channels = x.shape[:2]
    numbers = [batch, channels, math.prod(x.shape[2:]), groups, eps, int(silu)]
    return _call("group_norm_f32", [x, weight, bias], numbers, x.new_empty(x.shape), threads)


def group_norm_given_f32(
    x: Tensor, weight: Tensor, bias: Tensor, statistics: Tensor, groups: int, eps: float, silu: bool, *,
    threads: int | None = None,
) -> Tensor:  # fmt: skip
    """x float32 [B, C, ...], weight and bias [C], statistics [groups, 2] -> the shape of x."""
    batch, channels = x.shape[:2]
    numbers = [batch, channels, math.prod(x.shape[2:]), groups, eps, int(silu)]
    return _call("group_norm_given_f32", [x, weight, bias, statistics], numbers, x.new_empty(x.shape), threads)


def gelu_tanh(x: Tensor, *, threads: int | None = None) -> Tensor:
    """x float32 of any shape -> the same shape."""
    return _call("gelu_tanh", [x], [x.numel()], x.new_empty(x.shape), threads)


def silu_f32(x: Tensor, *, threads: int | None = None) -> Tensor:
    """x float32 of any shape -> the same shape."""
    return _call("silu_f32", [x], [x.numel()], x.new_empty(x.shape), threads)


def linear_f32(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, threads: int | None = None) -> Tensor:
    """x float32 [..., K], weight [N, K], bias [N] -> [..., N]."""
    outputs, inputs = weight.shape
    numbers = [x.numel() // inputs, inputs, outputs]
    return _call("linear_f32", [x, weight, bias], numbers, x.new_empty(*x.shape[:-1], outputs), threads)


def timestep_embedding(timestep: Tensor, frequencies: Tensor) -> Tensor:
    """timestep float32 [B], frequencies [F] -> [B, 2 F]."""
    batch, count = len(timestep), len(frequencies)
    out = timestep.new_empty(batch, 2 * count)
    return _call("timestep_embedding", [timestep, frequencies], [batch, count], out, threads=1)
