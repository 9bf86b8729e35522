# SPDX-License-Identifier: Apache-2.0
"""The same layers and models in ExecuTorch: XNNPACK in float32, 8da4w and 8da8w, and our operator."""

from __future__ import annotations

import copy
import functools
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import torch
from torch import Tensor, nn

from hqdit_mobile.bench.timing import Runner
from hqdit_mobile.export.lowering.executorch import lower
from hqdit_mobile.ops.native import library_path

Module = TypeVar("Module", bound=nn.Module)

# name: (bits of the weights, inputs that share a scale; None: the whole channel). Activations are int8 per token.
XNNPACK_QUANTIZED = {
    "XNNPACK 8da4w per channel": (torch.int4, None),  # type: ignore[attr-defined]
    "XNNPACK 8da4w g128": (torch.int4, 128),  # type: ignore[attr-defined]
    "XNNPACK 8da8w": (torch.int8, None),
}


def quantized(module: Module, name: str) -> Module:
    """A copy of ``module`` whose linear layers torchao quantized for the peer ``name``. Layers whose inputs no group
    divides stay in float32."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore")
        from torchao.quantization import Int8DynamicActivationIntxWeightConfig, quantize_
        from torchao.quantization.granularity import PerAxis, PerGroup

    dtype, group = XNNPACK_QUANTIZED[name]
    granularity = PerAxis(0) if group is None else PerGroup(group)
    result = copy.deepcopy(module)

    def chosen(layer: nn.Module, _name: str) -> bool:
        return isinstance(layer, nn.Linear) and (group is None or layer.in_features % group == 0)

    quantize_(result, Int8DynamicActivationIntxWeightConfig(dtype, granularity), filter_fn=chosen)
    return result


@functools.cache
def _bindings() -> ModuleType:
    from executorch.extension.pybindings import portable_lib

    torch.ops.load_library(str(library_path("hqdit_ops")))
    return portable_lib


def runners(module: nn.Module, inputs: Mapping[str, tuple[Tensor, ...]]) -> dict[str, Runner]:
    """Lowers ``module`` once per entry of ``inputs``; each runner executes its method and leaves the output there."""
    lowered = lower({name: (module, example) for name, example in inputs.items()})
    # From a file, as in an app: mapped, weights begin at a line of the cache, which Python's bytes do not.
    with tempfile.TemporaryDirectory(prefix="hqdit-bench-") as folder:
        path = Path(folder) / "program.pte"
        lowered.write(path)
        program = _bindings()._load_program(str(path))
    return {name: _runner(program, name, example) for name, example in inputs.items()}


def _runner(program, method_name: str, inputs: tuple[Tensor, ...]) -> Runner:
    method = program.load_method(method_name)
    method.set_inputs(inputs)

    # The runtime reads weights from the program and inputs from the tensors, for as long as it runs.
    def run(_kept=(program, inputs)) -> None:
        method.execute()

    return run
