# SPDX-License-Identifier: Apache-2.0
"""torch.export -> ONNX: hqdit nodes with their function bodies, standard operators for the rest.

A file runs on every ONNX Runtime since 1.17: by the bodies on a stock one, by our kernels where libhqdit_ort is
registered. The transformer's batch (1 without guidance, 2 with it) is the only symbolic size.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx.external_data_helper import convert_model_to_external_data
from torch import Tensor, nn

from hqdit_mobile.diffusion.conditions import can_be_guided
from hqdit_mobile.export.lowering.denoiser import Denoiser
from hqdit_mobile.export.lowering.onnx.function import OPSET
from hqdit_mobile.export.lowering.onnx.operators import DOMAIN, functions, known_operators, translation_table
from hqdit_mobile.model.network import Network
from hqdit_mobile.model.vae import VAEDecoder

IR_VERSION = 9  # the newest that ONNX Runtime 1.17 reads
EXTERNAL_DATA_ABOVE = 1 << 30  # protobuf ends at 2 GiB, and weights inside it cannot be mapped
SMALLEST_EXTERNAL = 1024  # shapes stay in the graph, where shape inference reads them


class BatchDenoiser(Denoiser):
    """(latents [1, C, S, S], timestep [1], conditions [B, ...] each) -> noise [B, C, S, S]: one half for each row."""

    def forward(self, latents: Tensor, timestep: Tensor, *conditions: Tensor) -> Tensor:
        tokens = self.dit.embed(latents, self.ops)
        return self.predict(tokens.expand(conditions[0].shape[0], -1, -1), timestep, conditions)


def transformer_to_onnx(dit: Network) -> onnx.ModelProto:
    """Inputs latents, timestep and each condition under its name in the plural, because it has a row for each half."""
    inputs, most = {"latents": _latents(dit), "timestep": torch.zeros(1)}, 2 if can_be_guided(dit.conditions) else 1
    rows = {
        f"{name}s": torch.zeros(most, *condition.shape, dtype=condition.dtype)
        for name, condition in dit.conditions.items()
    }
    batch = torch.export.Dim("batch", min=1, max=2)
    shapes: tuple[Any, ...] | None = ({}, {}, tuple({0: batch} for _ in rows)) if most == 2 else None
    return to_onnx(BatchDenoiser(dit, fused=True), inputs | rows, ["noise"], shapes)


def decoder_to_onnx(vae: VAEDecoder, dit: Network) -> onnx.ModelProto:
    """(latents [1, C, S, S], divided by the scaling factor) -> image [1, 3, H, W] in about -1..1."""
    return to_onnx(vae, {"latents": _latents(dit)}, ["image"])


def _latents(dit: Network) -> Tensor:
    return torch.zeros(1, dit.config.in_channels, dit.config.sample_size, dit.config.sample_size)


def to_onnx(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    dynamic: tuple[Any, ...] | None = None,
) -> onnx.ModelProto:
    """The graph of ``module``; ``dynamic``: symbolic dimensions of each argument, as torch.export takes them."""
    with torch.no_grad(), known_operators(), _quiet_exporter():
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            dynamo=True,
            dynamic_shapes=dynamic,
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            custom_translation_table=translation_table(),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    model.ir_version, model.producer_name = IR_VERSION, "hqdit-mobile"
    _forget_python(model)
    used = {node.op_type for node in model.graph.node if node.domain == DOMAIN}
    model.functions.extend(functions(used))
    return model


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """It warns of packages that we do not need and of its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(level)


def _forget_python(model: onnx.ModelProto) -> None:
    """Drops the exporter's notes: stack traces with paths of this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def save_onnx(model: onnx.ModelProto, path: Path, external_above: int = EXTERNAL_DATA_ABOVE) -> list[Path]:
    """Writes ``model`` and returns its files: one, or two for more than ``external_above`` bytes of weights. The second
    is named after the first, so that models in one folder keep apart.

    Raises onnx.checker.ValidationError or onnx.shape_inference.InferenceError for a graph that breaks the standard.
    """
    files = [path]
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) > external_above:
        files.append(path.with_name(path.name + ".data"))
        # onnx appends to a file that exists.
        files[1].unlink(missing_ok=True)
        convert_model_to_external_data(model, location=files[1].name, size_threshold=SMALLEST_EXTERNAL)
    onnx.save_model(model, path)
    # The file, because a model above 2 GB cannot be checked in memory.
    onnx.checker.check_model(path, full_check=True)
    return files
