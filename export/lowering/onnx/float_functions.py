# SPDX-License-Identifier: Apache-2.0
"""The float operators (docs/float-ops.md) as model-local ONNX functions of standard operators."""

from __future__ import annotations

import numpy as np
from onnx import AttributeProto, FunctionProto, TensorProto
from onnx.helper import make_node, make_opsetid

from hqdit_mobile.export.lowering.onnx.body import Body
from hqdit_mobile.export.lowering.onnx.function import SMALLEST_AMAX

DOMAIN = "hqdit"
OPSET = 20


def float_functions() -> list[FunctionProto]:
    return [
        _attention(),
        _attention_int8(),
        _modulated_norm(),
        _gated_add(),
        _gelu_tanh(),
        _silu(),
        _linear(),
        _timestep_embedding(),
    ]


def _attention() -> FunctionProto:
    b = Body()
    _attend(b, *_heads(b))
    return _finish(b, "QkvAttention", ["qkv"], ["heads"])


def _attention_int8() -> FunctionProto:
    """float32 attention on what int8 makes of q, k and v. The softmax's weights stay as they are: to round them takes
    three more passes over the largest array of a step, for a result no nearer to float32's."""
    b = Body()
    q, k, v, root = _heads(b)
    _attend(b, _through_int8(b, q, -1), _through_int8(b, k, -1), _through_int8(b, v, -2), root)
    return _finish(b, "QkvAttentionInt8", ["qkv"], ["heads"])


def _attend(b: Body, q: str, k: str, v: str, root: str) -> None:
    scores = b.op("MatMul", b.op("Div", q, root), b.op("Transpose", k, perm=[0, 1, 3, 2]))
    mixed = b.op("MatMul", b.op("Softmax", scores, axis=-1), v)
    b.op("Reshape", b.op("Transpose", mixed, perm=[0, 2, 1, 3]), b.i64([0, 0, -1]), output="out")


def _through_int8(b: Body, x: str, axis: int) -> str:
    """x rounded to multiples of its largest magnitude / 127 along ``axis``. NaN stays, and infinity becomes NaN."""
    amax = b.op("ReduceMax", b.op("Abs", x), b.i64([axis]), keepdims=1)
    amax = b.op("Max", amax, b.constant(np.float32(SMALLEST_AMAX)))
    points = b.op("Round", b.op("Mul", x, b.op("Div", b.constant(np.float32(127)), amax)))
    return b.op("Mul", points, b.op("Div", amax, b.constant(np.float32(127))))


def _heads(b: Body) -> tuple[str, str, str, str]:
    """q, k and v [batch, heads, tokens, head_dim] and the root of head_dim, [1]."""
    heads = b.op("Unsqueeze", b.attribute("heads"), b.i64([0]))
    # A zero copies the size of the input.
    split = b.op("Reshape", "qkv", b.op("Concat", b.i64([0, 0, 3]), heads, b.i64([-1]), axis=0))
    parts = b.op("Transpose", split, perm=[2, 0, 3, 1, 4])  # (3, batch, heads, tokens, head_dim)
    q, k, v = (b.op("Gather", parts, b.i64(i), axis=0) for i in range(3))
    return q, k, v, b.op("Sqrt", b.op("Cast", b.op("Shape", q, start=3), to=TensorProto.FLOAT))


def _vector(b: Body, dim: str, index: str) -> str:
    """Vector `index` of modulation [B, n D], as [B, 1, D]."""
    vectors = b.op("Reshape", "modulation", b.op("Concat", b.i64([0, -1, 1]), dim, axis=0))
    return b.op("Gather", vectors, b.attribute(index), axis=1)


def _modulated_norm() -> FunctionProto:
    b = Body()
    dim = b.op("Shape", "x", start=2)
    ones = b.op("Expand", b.constant(np.float32(1)), dim)
    norm = make_node("LayerNormalization", ["x", ones], ["normalized"], axis=-1)
    norm.attribute.append(AttributeProto(name="epsilon", ref_attr_name="epsilon", type=AttributeProto.FLOAT))
    b.nodes.append(norm)
    factor = b.op("Add", _vector(b, dim, "scale_index"), b.constant(np.float32(1)))
    b.op("Add", b.op("Mul", "normalized", factor), _vector(b, dim, "shift_index"), output="out")
    return _finish(b, "ModulatedNorm", ["x", "modulation"], ["shift_index", "scale_index", "epsilon"])


def _gated_add() -> FunctionProto:
    b = Body()
    gate = _vector(b, b.op("Shape", "x", start=2), "gate_index")
    b.op("Add", "x", b.op("Mul", gate, "y"), output="out")
    return _finish(b, "GatedAdd", ["x", "modulation", "y"], ["gate_index"])


def _gelu_tanh() -> FunctionProto:
    b = Body()
    b.op("Gelu", "x", approximate="tanh", output="out")
    return _finish(b, "GeluTanh", ["x"], [])


def _silu() -> FunctionProto:
    b = Body()
    b.op("Mul", "x", b.op("Sigmoid", "x"), output="out")
    return _finish(b, "Silu", ["x"], [])


def _linear() -> FunctionProto:
    b = Body()
    b.op("Add", b.op("MatMul", "x", b.op("Transpose", "weight", perm=[1, 0])), "bias", output="out")
    return _finish(b, "Linear", ["x", "weight", "bias"], [])


def _timestep_embedding() -> FunctionProto:
    b = Body()
    angle = b.op("Mul", b.op("Unsqueeze", "timestep", b.i64([1])), "frequencies")
    b.op("Concat", b.op("Cos", angle), b.op("Sin", angle), axis=1, output="out")
    return _finish(b, "TimestepEmbedding", ["timestep", "frequencies"], [])


def _finish(b: Body, name: str, inputs: list[str], attributes: list[str]) -> FunctionProto:
    return b.function(DOMAIN, name, inputs, ["out"], attributes, [make_opsetid("", OPSET)])
