# SPDX-License-Identifier: Apache-2.0
"""hqdit operators of torch -> operators of the ONNX domain "hqdit": how the exporter writes each node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import onnx
import torch

from hqdit_mobile.export.lowering.onnx.float_functions import step_functions
from hqdit_mobile.export.lowering.onnx.function import (
    ACTIVATION_IDS,
    ATTRIBUTES,
    INPUTS,
    fp4_linear_function,
    fp4_linear_gelu_function,
)

DOMAIN = "hqdit"
VERSION = 1


@dataclass(frozen=True)
class Operator:
    """``name`` in the ONNX domain; inputs and integer attributes in the order of the torch operator's arguments."""

    name: str
    inputs: tuple[str, ...]
    attributes: tuple[str, ...] = ()
    float_attributes: tuple[str, ...] = ()


OPERATORS = {
    "fp4_linear": Operator("FP4Linear", INPUTS, ATTRIBUTES),
    "fp4_linear_gelu": Operator("FP4LinearGelu", INPUTS, ATTRIBUTES),
    "attention": Operator("QkvAttention", ("qkv",), ("heads",)),
    "attention_int8": Operator("QkvAttentionInt8", ("qkv",), ("heads",)),
    "modulated_norm": Operator("ModulatedNorm", ("x", "modulation"), ("shift_index", "scale_index"), ("epsilon",)),
    "gated_add": Operator("GatedAdd", ("x", "modulation", "y"), ("gate_index",)),
    "gelu_tanh": Operator("GeluTanh", ("x",)),
    "silu_f32": Operator("Silu", ("x",)),
    "linear_f32": Operator("Linear", ("x", "weight", "bias")),
    "timestep_embedding": Operator("TimestepEmbedding", ("timestep", "frequencies")),
}


def functions(operators: set[str]) -> list[onnx.FunctionProto]:
    """The bodies of ``operators`` (their names in the ONNX domain) and of those that the bodies call."""
    needed, chosen = set(operators), []
    # A body calls only what comes behind it here.
    for function in (fp4_linear_gelu_function(), fp4_linear_function(), *step_functions()):
        if function.name in needed:
            needed |= {node.op_type for node in function.node if node.domain == DOMAIN}
            chosen.append(function)
    return chosen


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """For torch.onnx.export(custom_translation_table=...), inside of known_operators()."""
    import hqdit_mobile.ops.float_ops  # noqa: F401  (registers the operators)

    special: dict[str, Callable[..., Any]] = {"gated_add": _gated_add, "linear_f32": _linear}
    special |= {name: _fp4_linear(name) for name in ("fp4_linear", "fp4_linear_gelu")}
    return {getattr(torch.ops.hqdit, name).default: special.get(name) or _plain(name) for name in OPERATORS}


def _node(name: str, *inputs: Any, **attributes: Any) -> Any:
    from onnxscript.values import Opset

    return getattr(Opset(DOMAIN, VERSION), OPERATORS[name].name)(*inputs, **attributes)


def _plain(name: str) -> Callable:
    """For an operator whose arguments are its inputs and then its attributes."""
    operator = OPERATORS[name]
    count, names = len(operator.inputs), operator.attributes + operator.float_attributes

    def translate(*arguments: Any) -> Any:
        return _node(name, *arguments[:count], **dict(zip(names, arguments[count:], strict=True)))

    return translate


def _filled(value: float, count: int) -> Any:
    from onnxscript import opset20

    return opset20.Constant(value=onnx.numpy_helper.from_array(torch.full((count,), value).numpy()))


def _fp4_linear(name: str) -> Callable:
    def translate(
        x: Any, codes: Any, tables: Any, scale: Any, bias: Any, pre: Any,
        out_features: int, group: int, rotation: int, activation: str, activation_group: int,
    ) -> Any:  # fmt: skip
        # Adding -0.0 and multiplying by 1 change no bit.
        bias = _filled(-0.0, out_features) if bias is None else bias
        pre = _filled(1.0, int(x.shape[-1])) if pre is None else pre
        settings = (group, rotation, ACTIVATION_IDS[activation], activation_group)
        return _node(name, x, codes, tables, scale, bias, pre, **dict(zip(ATTRIBUTES, settings, strict=True)))

    return translate


def _gated_add(x: Any, modulation: Any, gate_index: int, y: Any) -> Any:
    return _node("gated_add", x, modulation, y, gate_index=gate_index)


def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    return _node("linear_f32", x, weight, _filled(-0.0, int(weight.shape[0])) if bias is None else bias)


@contextmanager
def known_operators() -> Iterator[None]:
    """The exporter writes only nodes that have a schema. Not for the checker: there the function bodies have to do."""
    schema = onnx.defs.OpSchema
    for operator in OPERATORS.values():
        inputs = [
            schema.FormalParameter(name, "tensor(uint8)" if name in ("codes", "tables") else "tensor(float)")
            for name in operator.inputs
        ]
        kinds = {name: schema.AttrType.INT for name in operator.attributes}
        kinds |= {name: schema.AttrType.FLOAT for name in operator.float_attributes}
        attributes = [schema.Attribute(name, kind, required=True) for name, kind in kinds.items()]
        outputs = [schema.FormalParameter("out", "tensor(float)")]
        onnx.defs.register_schema(
            schema(operator.name, DOMAIN, VERSION, inputs=inputs, outputs=outputs, attributes=attributes)
        )
    try:
        yield
    finally:
        for operator in OPERATORS.values():
            onnx.defs.deregister_schema(operator.name, VERSION, DOMAIN)
