# SPDX-License-Identifier: Apache-2.0
"""An operator of ours, once: what torch, the C ABI and ONNX need to know of it follows from its torch schema.

The C++ half is export/bindings/operators.h. docs/architecture.md says how to add one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hqdit_mobile.ops import native

_library = torch.library.Library("hqdit", "DEF")
OPERATORS: dict[str, Operator] = {}
"""All that were registered, by name."""


@dataclass(frozen=True)
class Operator:
    """``torch.ops.hqdit.NAME`` and its .out variant, on the CPU by the native kernels, elsewhere by the definition.

    ``arguments``: of the torch schema, tensors and numbers in the order of the C++ operator's.
    ``check``: raises ValueError naming the argument at fault. ``shape``: of the result, from the arguments.
    ``onnx``: the name in the ONNX domain "hqdit", whose inputs are the tensors and whose attributes the numbers; None
    where ONNX has no use for it. ``onnx_names``: attributes that ONNX calls otherwise.
    """

    name: str
    arguments: str
    definition: Callable[..., Tensor]
    check: Callable[..., None]
    shape: Callable[..., tuple[int, ...]]
    onnx: str | None = None
    onnx_names: dict[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """(type, name) of every argument, such as ("Tensor?", "bias")."""
        words = (part.split() for part in self.arguments.split(","))
        return [(kind, name) for kind, name in words]

    def run(self, first: Tensor, *rest: object) -> Tensor:
        self.check(first, *rest)
        if first.device.type == "cpu":
            # The same bits as the definition of fp4_linear, about a hundred times sooner, and those of a phone.
            return native.call(self.name, (first, *rest), self.shape(first, *rest))
        return self.definition(first, *rest)


def register(operator: Operator) -> None:
    """Defines the operator for torch, torch.export and the fake tensors of both."""
    name, arguments = operator.name, operator.arguments
    _library.define(f"{name}({arguments}) -> Tensor")
    _library.define(f"{name}.out({arguments}, *, Tensor(a!) out) -> Tensor(a!)")

    def run_out(first: Tensor, *rest: object, out: Tensor) -> Tensor:
        result = operator.run(first, *rest)
        return out.resize_(result.shape).copy_(result)

    def fake(first: Tensor, *rest: object) -> Tensor:
        return first.new_empty(operator.shape(first, *rest))

    _library.impl(name, operator.run, "CompositeExplicitAutograd")
    _library.impl(f"{name}.out", run_out, "CompositeExplicitAutograd")
    torch.library.register_fake(f"hqdit::{name}", fake, lib=_library)
    OPERATORS[name] = operator
