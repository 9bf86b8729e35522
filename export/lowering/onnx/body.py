# SPDX-License-Identifier: Apache-2.0
"""Writes the body of an ONNX function as one call per node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, OperatorSetIdProto, ValueInfoProto
from onnx.helper import make_function, make_graph, make_node
from onnx.numpy_helper import from_array


class Body:
    """Nodes under construction. Values are their names; those of an outer body can be used in a branch."""

    def __init__(self, names: count | None = None):
        self.nodes: list[NodeProto] = []
        # Shared with the branches: a name means one value in the whole function.
        self._names = count() if names is None else names

    def op(self, op_type: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        (result,) = self._add(op_type, inputs, [output or self._name()], attributes)
        return result

    def constant(self, value: np.ndarray | np.generic) -> str:
        return self.op("Constant", value=from_array(np.asarray(value)))

    def i64(self, value: int | Sequence[int] | np.ndarray) -> str:
        return self.constant(np.asarray(value, dtype=np.int64))

    def attribute(self, name: str) -> str:
        """The integer attribute ``name`` of the calling node, as a scalar."""
        node = make_node("Constant", [], [self._name()])
        node.attribute.append(AttributeProto(name="value_int", ref_attr_name=name, type=AttributeProto.INT))
        self.nodes.append(node)
        return node.output[0]

    def choose(
        self, condition: str, then: Callable[[Body], list[str]], otherwise: Callable[[Body], list[str]]
    ) -> list[str]:
        """If: each callable writes its branch into a body of its own and returns that branch's results."""
        branches = {"then_branch": self._branch(then), "else_branch": self._branch(otherwise)}
        outputs = [self._name() for _ in branches["then_branch"].output]
        return self._add("If", [condition], outputs, branches)

    def function(
        self,
        domain: str,
        name: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: Sequence[str],
        opsets: Sequence[OperatorSetIdProto],
    ) -> FunctionProto:
        return make_function(domain, name, inputs, outputs, self.nodes, opsets, attributes)

    def _name(self) -> str:
        return f"v{next(self._names)}"

    def _add(self, op_type: str, inputs: Sequence[str], outputs: list[str], attributes: dict[str, Any]) -> list[str]:
        self.nodes.append(make_node(op_type, inputs, outputs, **attributes))
        return outputs

    def _branch(self, write: Callable[[Body], list[str]]) -> GraphProto:
        inner = Body(self._names)
        results = write(inner)
        # A branch result may carry any type; inference fills it in.
        return make_graph(inner.nodes, "branch", [], [ValueInfoProto(name=name) for name in results])
