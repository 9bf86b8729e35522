# SPDX-License-Identifier: Apache-2.0
"""Runs parts of a model on their own in each runtime, to compare them one by one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hqdit_mobile.export.bundle.parity_parts import Part
from hqdit_mobile.ops.fp4_linear import FP4Linear, fp4_linear_reference
from hqdit_mobile.ops.native import library_path

RUNTIMES = ("torch", "executorch", "onnxruntime", "onnxruntime-portable")


def run_parts(runtime: str, parts: Sequence[Part]) -> list[Tensor]:
    """The output of each part as ``runtime`` computes it."""
    if runtime == "torch":
        with torch.no_grad():
            return [_torch(part) for part in parts]
    if runtime == "executorch":
        return _executorch(parts)
    if runtime in ("onnxruntime", "onnxruntime-portable"):
        return _onnxruntime(parts, portable=runtime.endswith("portable"))
    raise ValueError(f"runtime {runtime!r} is not one of {', '.join(RUNTIMES)}")


def _torch(part: Part) -> Tensor:
    """A single layer by the operator's definition; what is larger by the operators themselves."""
    if not isinstance(part.module, FP4Linear):
        return part.module(*part.inputs)
    return fp4_linear_reference(*part.module.operands(*part.inputs))


def _executorch(parts: Sequence[Part]) -> list[Tensor]:
    from executorch.runtime import Runtime

    from hqdit_mobile.export.lowering.executorch import lower

    torch.ops.load_library(str(library_path("hqdit_ops")))
    methods = {f"part{i}": (part.module, part.inputs) for i, part in enumerate(parts)}
    program = Runtime.get().load_program(lower(methods).data)
    return [program.load_method(name).execute(list(inputs))[0] for name, (_, inputs) in methods.items()]


class _SideBySide(nn.Module):
    """All parts in one graph: the exporter's own time, a second or two a call, is spent once."""

    def __init__(self, parts: Sequence[Part]):
        super().__init__()
        self.parts = nn.ModuleList([part.module for part in parts])
        self.counts = [len(part.inputs) for part in parts]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        left = iter(inputs)
        return tuple(
            part(*(next(left) for _ in range(count))) for part, count in zip(self.parts, self.counts, strict=True)
        )


def _onnxruntime(parts: Sequence[Part], *, portable: bool) -> list[Tensor]:
    from hqdit_mobile.export.lowering.onnx.lower import to_onnx
    from hqdit_mobile.runtime.onnx_session import open_session

    inputs = {f"input{i}": x for i, x in enumerate(x for part in parts for x in part.inputs)}
    outputs = [f"output{i}" for i in range(len(parts))]
    model = to_onnx(_SideBySide(parts), inputs, outputs)
    session = open_session(model.SerializeToString(), portable=portable)
    return [torch.from_numpy(y) for y in session.run(outputs, {name: x.numpy() for name, x in inputs.items()})]
