# SPDX-License-Identifier: Apache-2.0
"""quantize_: turns the linear layers of a DiT into FP4Linear, in place, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TypeVar

import torch
from rich.console import Console
from torch import nn

from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.model.dit import DiT
from hqdit_mobile.model.streaming import StreamedBlock, float_block, parameter_count
from hqdit_mobile.ops.fp4_linear import FP4Linear
from hqdit_mobile.quantize.calibration import (
    CalibrationSet,
    Observer,
    check_finite,
    draw_calibration_set,
    draw_conditions,
    linear_at,
    observing,
)
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.quantize.layer import LayerReport, fill_layer, needs_products, new_layer
from hqdit_mobile.quantize.mean_folding import centered_layers, fold_means_
from hqdit_mobile.quantize.quantized_block import layer_settings, quantized_block
from hqdit_mobile.quantize.sensitivity import noise_shares, spend_budget
from hqdit_mobile.quantize.tuning import TuningSet, draw_tuning_set, run_lengths, tune_
from hqdit_mobile.util.progress import Stages
from hqdit_mobile.util.resume_store import WorkFolder

BATCH = 16  # model inputs at a time
TOKEN_LAYERS = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
Runs = TypeVar("Runs", CalibrationSet, TuningSet)
TOKENS = ("tokens-even", "tokens-odd")  # the inputs of blocks with even and with odd numbers


@dataclass
class QuantizationReport:
    """What ``quantize_`` has done.

    Attributes:
        float_bytes: the whole float32 model before quantization.
        layers: one report for each quantized layer, in the order of the model.
    """

    float_bytes: int
    layers: list[LayerReport] = field(default_factory=list)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits (codes, tables, scales) per weight, over the quantized layers."""
        weights = [layer.in_features * layer.out_features for layer in self.layers]
        bits = sum(layer.bits_per_weight * count for layer, count in zip(self.layers, weights, strict=True))
        return bits / sum(weights)


class _Quantizer:
    """Goes through a float model once; `work` keeps what is finished, and what it has already is not done again."""

    def __init__(self, model: DiT, config: HQDiTConfig, data: CalibrationSet, work: WorkFolder) -> None:
        self.model, self.config, self.data, self.work = model, config, data, work
        self.centered = set(centered_layers(len(model.blocks))) if config.centering else set()
        self.report = QuantizationReport(4 * parameter_count(model))
        self.timesteps = torch.empty(0)
        self.fp4_layers: set[str] = set()

    def new_layer(self, name: str, linear: nn.Linear, activation: str) -> FP4Linear:
        inputs = self.data.inputs[name]
        power = inputs.variance if name in self.centered else inputs.mean_square
        return new_layer(linear, self.config, activation, power)

    def spend_int8(self, on_timestep: Callable[[], None]) -> None:
        """Decides which token layers of a w4a4 model get INT8 activations."""
        targets = {}
        for index in range(len(self.model.blocks)):
            block = float_block(self.model, index)
            for part in TOKEN_LAYERS:
                name = f"blocks.{index}.{part}"
                targets[name] = self.new_layer(name, linear_at(block, part), self.config.fp4_activation)
        if (stored := self.work.get("sensitivity")) is None:
            shares = noise_shares(self.model, targets, self.data, self.config.seed, on_timestep)
            self.work.put("sensitivity", {}, shares)
        else:
            _, shares = stored
        costs = {name: layer.in_features * layer.out_features for name, layer in targets.items()}
        self.fp4_layers = set(targets) - set(spend_budget(shares, costs, self.config.int8_share))

    def observers(self, parent: nn.Module, prefix: str, parts: Iterable[str]) -> dict[str, Observer]:
        """prefix: of the layers' names in the model."""
        observers = {}
        for part in parts:
            name, linear = prefix + part, linear_at(parent, part)
            activation = self.config.fp4_activation if name in self.fp4_layers else "int8"
            target = self.new_layer(name, linear, activation)
            observers[part] = Observer(name, linear, target, needs_products(self.config))
        return observers

    def replace(self, parent: nn.Module, observers: dict[str, Observer]) -> None:
        """Puts the quantized layers in place of those that were observed."""
        for part in list(observers):
            observer = observers.pop(part)  # its moments take gigabytes in a large model
            layer = observer.target
            self.report.layers.append(fill_layer(observer.name, observer.linear, layer, observer.result(), self.config))
            parent.set_submodule(part, layer)

    def quantize(self, parent: nn.Module, prefix: str, parts: Iterable[str], run: Callable[[], object]) -> None:
        """Replaces layers of `parent` by what `run`, which calls them on calibration data, tells about their inputs."""
        observers = self.observers(parent, prefix, parts)
        with observing(observers, self.config.seed, lambda: self.timesteps):
            run()
        self.replace(parent, observers)

    def quantize_modulation(self, parent: nn.Module, prefix: str, index: int) -> None:
        """The adaLN layer of `parent`: it sees nothing but the condition of block `index`, so nothing has to run."""
        observers = self.observers(parent, prefix, ["adaLN"])
        observers["adaLN"].add(self.model.condition(*self.conditions, index), torch.Generator())
        self.replace(parent, observers)

    def blocks(self, stages: Stages) -> None:
        """Block after block on all tokens of the calibration set, which go from one file to the other and back."""
        model, data = self.model, self.data
        shape = (len(data), model.config.tokens, model.config.hidden_size)
        first = 0
        while first < len(model.blocks) and self.restore(first):
            first += 1
            stages.skip()
        if first == 0:
            hidden = self.work.array(TOKENS[0], shape, new=True)
            for rows in _batches(len(data)):
                hidden[rows] = model.embed(data.latents[rows])
            check_finite("x_embedder", hidden, data.timestep)
        for index in range(first, len(model.blocks)):
            self.block(index, shape)
            stages.advance()

    def block(self, index: int, shape: tuple[int, int, int]) -> None:
        block, prefix = float_block(self.model, index), f"blocks.{index}."
        condition = self.model.condition(self.data.timestep, self.data.label, index)
        source = self.work.array(TOKENS[index % 2], shape, new=False)
        # Not in place: a run that is killed in this block needs its inputs again.
        target = self.work.array(TOKENS[(index + 1) % 2], shape, new=True)

        def run() -> None:
            for rows in _batches(len(source)):
                self.timesteps = self.data.timestep[rows]
                target[rows] = block(source[rows], condition[rows])

        self.quantize(block, prefix, TOKEN_LAYERS, run)
        self.quantize_modulation(block, prefix, index)
        self.model.blocks[index] = block
        self.work.sync(TOKENS[(index + 1) % 2])
        reports = [asdict(layer) for layer in self.report.layers if layer.name.startswith(prefix)]
        self.work.put(f"block-{index}", block.state_dict(), {"layers": layer_settings(block), "reports": reports})

    def restore(self, index: int) -> bool:
        """Puts in the block if it was finished before."""
        stored = self.work.get(f"block-{index}")
        if stored is None:
            return False
        state, about = stored
        self.model.blocks[index] = quantized_block(self.model.config, about["layers"], state)
        self.report.layers += [LayerReport(**report) for report in about["reports"]]
        return True

    def draw_conditions(self, process: Process) -> None:
        """For the layers that see the condition alone: one row per image, so INT8 activations cost nothing."""
        timestep, label = draw_conditions(self.model, process, self.config.seed)
        # The adaLN layers are given the float condition; nothing in front of them is worth waiting for.
        self.conditions = timestep, label
        for index in range(len(self.model.blocks) if self.model.config.block_embedders else 1):
            check_finite(f"blocks.{index}.adaLN", self.model.condition(timestep, label, index), timestep)

    def layers_outside_blocks(self) -> None:
        model = self.model
        self.quantize_modulation(model.final, "final.", 0)
        self.timesteps = self.conditions[0]
        # Not fc1: every layer depends on its sines and cosines, and four bits there cost 3 dB at the noisiest steps.
        for index in range(1 + len(model.block_embedders)):
            name = f"block_embedders.{index - 1}.t_embedder" if index else "t_embedder"
            embedder, _ = model.embedders(index)
            self.quantize(model, "", [f"{name}.fc2"], partial(embedder, self.timesteps))


def _batches(count: int) -> list[slice]:
    return [slice(start, start + BATCH) for start in range(0, count, BATCH)]


def token_layers(index: int) -> list[str]:
    """The layers of a block that run once per token."""
    return [f"blocks.{index}.{part}" for part in TOKEN_LAYERS]


def quantize_(
    model: DiT,
    config: HQDiTConfig,
    process: Process,
    progress: Stages | None = None,
    work: WorkFolder | None = None,
) -> QuantizationReport:
    """Quantizes `model` in place: every linear layer but t_embedder.fc1 and final.linear becomes an FP4Linear.

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
        ValueError: a weight is NaN or infinite.
        TypeError: the model is quantized already.
    """
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
        quantizer = _Quantizer(model, config, data, work)
        if config.centering:
            fold_means_(model, {name: data.inputs[name].mean for name in quantizer.centered})
        if config.precision == "w4a4":
            stages.begin("Measure sensitivity", len(set(data.timestep.tolist())))
            quantizer.spend_int8(stages.advance)
        stages.begin("Quantize", len(model.blocks) + 1)
        quantizer.draw_conditions(process)
        quantizer.blocks(stages)
        quantizer.layers_outside_blocks()
        stages.advance()
        if tuning is not None:
            stages.begin("Tune scales and biases", config.tuning_steps)
            tune_(model, tuning, config, process.guided_channels, work, stages)
        return quantizer.report


def _check_weights(model: DiT) -> None:
    def check(module: nn.Module, prefix: str) -> None:
        for name, parameter in module.named_parameters():
            if not torch.isfinite(parameter).all():
                raise ValueError(f"{prefix}{name} holds NaN or infinite values")

    for index in range(len(model.blocks)):
        if not isinstance(model.blocks[index], StreamedBlock):
            for name in token_layers(index):
                linear_at(model, name)
    for index in range(len(model.blocks)):
        check(float_block(model, index), f"blocks.{index}.")
    check(model, "")


def _drawn(work: WorkFolder, name: str, kind: type[Runs], draw: Callable[[], Runs]) -> Runs:
    """What `work` has under `name`, or what `draw` gives, which it then has."""
    if (stored := work.get(name)) is not None:
        return kind.from_tensors(*stored)
    data = draw()
    work.put(name, *data.to_tensors())
    return data
