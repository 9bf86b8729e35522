# SPDX-License-Identifier: Apache-2.0
"""hqdit operators of torch -> operators of the ONNX domain "hqdit": how the exporter writes each node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import onnx
import torch

from hqdit_mobile.export.lowering.onnx.float_functions import float_functions
from hqdit_mobile.export.lowering.onnx.function import (
    ACTIVATION_IDS,
    fp4_linear_function,
    fp4_linear_gelu_function,
)
from hqdit_mobile.ops import fp4_linear as _registers_all  # noqa: F401
from hqdit_mobile.ops.operator import OPERATORS, Operator

DOMAIN = "hqdit"
VERSION = 1


@dataclass(frozen=True)
class Node:
    """How ONNX writes an operator: ``name`` in the domain, inputs and attributes in the order of torch's arguments.

    ``attributes``: the kind by name. ``arguments``: what each argument of the torch operator becomes, None for nothing.
    """

    name: str
    inputs: tuple[str, ...]
    attributes: dict[str, onnx.defs.OpSchema.AttrType]
    arguments: tuple[str | None, ...]


KINDS = {"int": onnx.defs.OpSchema.AttrType.INT, "float": onnx.defs.OpSchema.AttrType.FLOAT}
# fp4_linear's activation is a number in ONNX, and the size of ``scale`` tells the outputs.
KINDS |= {"str": onnx.defs.OpSchema.AttrType.INT}
NEEDLESS = ("out_features",)


def _node_of(operator: Operator) -> Node:
    inputs, attributes, arguments = [], {}, list[str | None]()
    for kind, name in operator.parameters:
        written = operator.onnx_names.get(name, name)
        arguments.append(None if name in NEEDLESS else written)
        if kind in ("Tensor", "Tensor?"):
            inputs.append(written)
        elif name not in NEEDLESS:
            attributes[written] = KINDS[kind]
    assert operator.onnx is not None
    return Node(operator.onnx, tuple(inputs), attributes, tuple(arguments))


NODES = {name: _node_of(operator) for name, operator in OPERATORS.items() if operator.onnx is not None}


def functions(operators: set[str]) -> list[onnx.FunctionProto]:
    """The bodies of ``operators`` (their names in the ONNX domain) and of those that the bodies call."""
    needed, chosen = set(operators), []
    # A body calls only what comes behind it here.
    for function in (fp4_linear_gelu_function(), fp4_linear_function(), *float_functions()):
        if function.name in needed:
            needed |= {node.op_type for node in function.node if node.domain == DOMAIN}
            chosen.append(function)
    return chosen


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """For torch.onnx.export(custom_translation_table=...), inside of known_operators()."""
    return {getattr(torch.ops.hqdit, name).default: _translation(name, node) for name, node in NODES.items()}


def _translation(name: str, node: Node) -> Callable[..., Any]:
    optional = {written for kind, written in OPERATORS[name].parameters if kind == "Tensor?"}

    def translate(*arguments: Any) -> Any:
        from onnxscript.values import Opset

        given = dict.fromkeys(node.arguments) | dict(zip(node.arguments, arguments, strict=False))
        sizes = dict(zip((key for _, key in OPERATORS[name].parameters), arguments, strict=False))
        for missing in (key for key in optional if given[key] is None):
            given[missing] = _neutral(missing, sizes)
        inputs = [given[key] for key in node.inputs]
        settings = {key: ACTIVATION_IDS.get(given[key], given[key]) for key in node.attributes}
        return getattr(Opset(DOMAIN, VERSION), node.name)(*inputs, **settings)

    return translate


def _neutral(name: str, arguments: dict[str, Any]) -> Any:
    """What changes no bit in the place of a tensor that torch may leave out: -0.0 is added, 1 multiplied."""
    if name == "pre":
        return _filled(1.0, int(arguments["x"].shape[-1]))
    outputs = arguments["out_features"] if "out_features" in arguments else int(arguments["weight"].shape[0])
    return _filled(-0.0, outputs)


def _filled(value: float, count: int) -> Any:
    from onnxscript import opset20

    return opset20.Constant(value=onnx.numpy_helper.from_array(torch.full((count,), value).numpy()))


@contextmanager
def known_operators() -> Iterator[None]:
    """The exporter writes only nodes that have a schema. Not for the checker: there the function bodies have to do."""
    schema = onnx.defs.OpSchema
    for node in NODES.values():
        inputs = [
            schema.FormalParameter(name, "tensor(uint8)" if name in ("codes", "tables") else "tensor(float)")
            for name in node.inputs
        ]
        attributes = [schema.Attribute(name, kind, required=True) for name, kind in node.attributes.items()]
        outputs = [schema.FormalParameter("out", "tensor(float)")]
        onnx.defs.register_schema(
            schema(node.name, DOMAIN, VERSION, inputs=inputs, outputs=outputs, attributes=attributes)
        )
    try:
        yield
    finally:
        for node in NODES.values():
            onnx.defs.deregister_schema(node.name, VERSION, DOMAIN)
