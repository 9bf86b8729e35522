# SPDX-License-Identifier: Apache-2.0
"""Runs one module on its own in each runtime, to compare them layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from hqdit_mobile.fp4_linear import FP4Linear, fp4_linear_reference
from hqdit_mobile.native import library_path

RUNTIMES = ("torch", "executorch", "onnxruntime", "onnxruntime-portable")

Modules = Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]


def run_modules(runtime: str, modules: Modules) -> dict[str, Tensor]:
    """The output of each module (``{name: (module, inputs)}``) as ``runtime`` computes it."""
    if runtime == "torch":
        with torch.no_grad():
            return {name: _torch(module, inputs) for name, (module, inputs) in modules.items()}
    if runtime == "executorch":
        return _executorch(modules)
    if runtime in ("onnxruntime", "onnxruntime-portable"):
        return {name: _onnxruntime(*entry, portable=runtime.endswith("portable")) for name, entry in modules.items()}
    raise ValueError(f"runtime {runtime!r} is not one of {', '.join(RUNTIMES)}")


def _torch(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """A single layer by the operator's definition; what is larger by the operators themselves."""
    if not isinstance(module, FP4Linear):
        return module(*inputs)
    return fp4_linear_reference(*module.operands(*inputs))


def _executorch(modules: Modules) -> dict[str, Tensor]:
    from executorch.runtime import Runtime

    from hqdit_mobile.export.lower_executorch import lower

    torch.ops.load_library(str(library_path("hqdit_ops")))
    methods = {name: f"m{i}" for i, name in enumerate(modules)}
    program = Runtime.get().load_program(lower({methods[name]: entry for name, entry in modules.items()}).data)
    return {name: program.load_method(methods[name]).execute(list(inputs))[0] for name, (_, inputs) in modules.items()}


def _onnxruntime(module: nn.Module, inputs: tuple[Tensor, ...], *, portable: bool) -> Tensor:
    from hqdit_mobile.export.lower_onnx import to_onnx
    from hqdit_mobile.onnx_pipeline import open_session

    names = [f"input{i}" for i in range(len(inputs))]
    model = to_onnx(module, dict(zip(names, inputs, strict=True)), ["output"])
    session = open_session(model.SerializeToString(), portable=portable)
    values: dict[str, np.ndarray] = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
    return torch.from_numpy(session.run(["output"], values)[0])
