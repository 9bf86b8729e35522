# SPDX-License-Identifier: Apache-2.0
"""quantize_: turns the linear layers of a network into FP4Linear, in place, block by block."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

import torch
from rich.console import Console
from torch import nn

from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.model.network import Network
from hqdit_mobile.model.streaming import StreamedBlock, float_block
from hqdit_mobile.quantize.calibration import CalibrationSet, draw_calibration_set, linear_at
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.quantize.finished_blocks import FinishedBlocks
from hqdit_mobile.quantize.mean_folding import fold_means_
from hqdit_mobile.quantize.quantizer import QuantizationReport, Quantizer, check_description
from hqdit_mobile.quantize.sensitivity import noise_shares, spend_budget
from hqdit_mobile.quantize.tuning import TuningSet, draw_tuning_set, run_lengths, tune_
from hqdit_mobile.util.progress import Stages
from hqdit_mobile.util.resume_store import WorkFolder

Runs = TypeVar("Runs", CalibrationSet, TuningSet)


def quantize_(
    model: Network,
    config: HQDiTConfig,
    process: Process,
    progress: Stages | None = None,
    work: WorkFolder | None = None,
) -> QuantizationReport:
    """Quantizes `model` in place: every linear layer whose role is not "float" becomes an FP4Linear.

    Runs the float model on guided DDIM trajectories, then goes through the blocks once, with their tokens on the disk;
    of a streamed model no more than one block is in memory. The same model, config and process give the same bits,
    also when the work is taken up from the `work` of a run that was killed.

    Args:
        model: float32, on the CPU or another device; `load_model(...).dit`.
        config: what decides the bits.
        process: what the model was trained to undo; `load_model(...).process`.
        progress: shows the stages; None shows nothing.
        work: a folder that keeps what is finished; None for a temporary one.

    Returns:
        For each quantized layer its formats, bits per weight and error on the calibration inputs.

    Raises:
        CalibrationError: an activation is NaN or infinite; the message names layer and timestep.
        ValueError: a weight is NaN or infinite, or the network's class does not say what a layer is.
        TypeError: the model is quantized already.
    """
    check_description(model)
    _check_weights(model)
    stages = progress or Stages(Console(quiet=True))
    with torch.no_grad(), nullcontext(work) if work else WorkFolder() as work:
        runs = model, config, process
        stages.begin(f"Calibration runs of {config.calibration_samples} images", config.calibration_steps)
        data = _drawn(
            work, "calibration", CalibrationSet, lambda: draw_calibration_set(*runs, lambda *_: stages.advance())
        )
        tuning = None
        if config.tuning_steps:  # now, while the model is float
            stages.begin("Runs to tune with", sum(run_lengths(config)))
            tuning = _drawn(work, "tuning-set", TuningSet, lambda: draw_tuning_set(*runs, stages.advance))
        quantizer = Quantizer(model, config, process, data)
        if config.centering:
            fold_means_(model, {name: data.inputs[name].mean for name in quantizer.centered})
        if config.precision == "w4a4":
            stages.begin("Measure sensitivity", len(set(data.timestep.tolist())))
            quantizer.fp4_layers = _four_bit_layers(quantizer, work, stages.advance)
        stages.begin("Quantize", len(model.blocks) + 1)
        quantizer.quantize_blocks(FinishedBlocks(model, len(data), work), stages)
        quantizer.quantize_outside()
        stages.advance()
        if tuning is not None:
            stages.begin("Tune scales and biases", config.tuning_steps)
            tune_(model, tuning, config, process.guided_channels, work, stages)
        return quantizer.report


def _check_weights(model: Network) -> None:
    def check(module: nn.Module, prefix: str) -> None:
        for name, parameter in module.named_parameters():
            if not torch.isfinite(parameter).all():
                raise ValueError(f"{prefix}{name} holds NaN or infinite values")

    if not any(isinstance(block, StreamedBlock) for block in model.blocks):
        for name in model.recipe_layers():
            linear_at(model, name)
    for index in range(len(model.blocks)):
        check(float_block(model, index), f"blocks.{index}.")
    check(model, "")


def _four_bit_layers(quantizer: Quantizer, work: WorkFolder, on_timestep: Callable[[], None]) -> set[str]:
    """The layers of a w4a4 model that do not get INT8 activations out of the budget for it."""
    targets, config = quantizer.targets(), quantizer.config
    if (stored := work.get("sensitivity")) is None:
        shares = noise_shares(quantizer.model, targets, quantizer.data, config.seed, on_timestep)
        work.put("sensitivity", {}, shares)
    else:
        _, shares = stored
    costs = {name: layer.in_features * layer.out_features for name, layer in targets.items()}
    return set(targets) - set(spend_budget(shares, costs, config.int8_share))


def _drawn(work: WorkFolder, name: str, kind: type[Runs], draw: Callable[[], Runs]) -> Runs:
    """What `work` has under `name`, or what `draw` gives, which it then has."""
    if (stored := work.get(name)) is not None:
        return kind.from_tensors(*stored)
    data = draw()
    work.put(name, *data.to_tensors())
    return data
