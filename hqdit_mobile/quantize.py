# SPDX-License-Identifier: Apache-2.0
"""quantize_: turns the linear layers of a DiT into FP4Linear, in place, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from rich.console import Console
from torch import Tensor

from hqdit_mobile.calibration import (
    CalibrationSet,
    Observer,
    check_finite,
    draw_calibration_set,
    draw_conditions,
    linear_at,
    observing,
)
from hqdit_mobile.centering import centered_layers, fold_means_
from hqdit_mobile.config import HQDiTConfig
from hqdit_mobile.dit import DiT
from hqdit_mobile.fp4_linear import FP4Linear
from hqdit_mobile.progress import Stages
from hqdit_mobile.quantize_layer import LayerReport, fill_layer, new_layer
from hqdit_mobile.sampling import SchedulerConfig
from hqdit_mobile.sensitivity import noise_shares, spend_budget

BATCH = 16  # model inputs at a time


@dataclass
class QuantizationReport:
    """float_bytes: the whole float32 model before quantization."""

    float_bytes: int
    layers: list[LayerReport] = field(default_factory=list)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits (codes, tables, scales) per weight, over the quantized layers."""
        weights = [layer.in_features * layer.out_features for layer in self.layers]
        bits = sum(layer.bits_per_weight * count for layer, count in zip(self.layers, weights, strict=True))
        return bits / sum(weights)


class _Quantizer:
    def __init__(self, model: DiT, config: HQDiTConfig, data: CalibrationSet) -> None:
        self.model, self.config, self.inputs = model, config, data.inputs
        self.centered = set(centered_layers(len(model.blocks))) if config.centering else set()
        self.report = QuantizationReport(sum(p.numel() * 4 for p in model.parameters()))
        self.timesteps = torch.empty(0)
        self.fp4_layers: set[str] = set()

    def new_layer(self, name: str, activation: str) -> FP4Linear:
        inputs = self.inputs[name]
        power = inputs.variance if name in self.centered else inputs.mean_square
        return new_layer(linear_at(self.model, name), self.config, activation, power)

    def spend_int8(self, data: CalibrationSet) -> None:
        """Decides which token layers of a w4a4 model get INT8 activations."""
        names = [name for index in range(len(self.model.blocks)) for name in token_layers(index)]
        targets = {name: self.new_layer(name, self.config.fp4_activation) for name in names}
        shares = noise_shares(self.model, targets, data, self.config.seed)
        costs = {name: linear_at(self.model, name).weight.numel() for name in names}
        self.fp4_layers = set(names) - set(spend_budget(shares, costs, self.config.int8_share))

    def quantize(self, names: Iterable[str], run: Callable[[], object]) -> None:
        """Replaces the named layers by what `run`, which calls them on calibration data, tells about their inputs."""
        observers = {}
        for name in names:
            target = self.new_layer(name, self.config.fp4_activation if name in self.fp4_layers else "int8")
            observers[name] = Observer(name, linear_at(self.model, name), target)
        with observing(observers, self.config.seed, lambda: self.timesteps):
            run()
        for name, observer in observers.items():
            layer, moments = observer.target, observer.result()
            self.report.layers.append(fill_layer(name, observer.linear, layer, moments, self.config))
            parent, _, child = name.rpartition(".")
            setattr(self.model.get_submodule(parent), child, layer)

    def condition_layers(self, train_timesteps: int) -> None:
        """The layers that see the condition alone: one row per image, so INT8 activations cost nothing."""
        model = self.model
        timestep, label = draw_conditions(model, train_timesteps, self.config.seed)
        self.timesteps = timestep
        # The adaLN layers are given the float condition; nothing in front of them is worth waiting for.
        with torch.no_grad():
            condition = model.condition(timestep, label)
        adaln = [f"blocks.{i}.adaLN" for i in range(len(model.blocks))] + ["final.adaLN"]

        def run_adaln() -> None:
            for name in adaln:
                model.get_submodule(name)(condition)

        self.quantize(adaln, run_adaln)
        # Not fc1: every layer depends on its sines and cosines, and four bits there cost 3 dB at the noisiest steps.
        self.quantize(["t_embedder.fc2"], lambda: model.t_embedder(timestep))

    @torch.no_grad()
    def block(self, index: int, hidden: Tensor, condition: Tensor, timestep: Tensor) -> None:
        """Quantizes the four token layers of a block; hidden [S, T, D] is moved on to the next block, in place."""
        block = self.model.blocks[index]

        def run() -> None:
            for start in range(0, len(hidden), BATCH):
                rows = slice(start, start + BATCH)
                self.timesteps = timestep[rows]
                hidden[rows] = block(hidden[rows], condition[rows])

        self.quantize(token_layers(index), run)


def token_layers(index: int) -> list[str]:
    """The layers of a block that run once per token."""
    return [f"blocks.{index}.{part}" for part in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")]


def quantize_(
    model: DiT,
    config: HQDiTConfig,
    scheduler: SchedulerConfig,
    guidance_channels: int,
    progress: Stages | None = None,
) -> QuantizationReport:
    """Quantizes `model` in place: every linear layer but t_embedder.fc1 and final.linear becomes an FP4Linear.

    Runs the float model on guided DDIM trajectories, then goes through the blocks once. The same model, config and
    scheduler give the same bits. Raises CalibrationError naming layer and timestep when an activation is NaN or
    infinite, ValueError when a weight is, TypeError when the model is quantized already.
    """
    for index in range(len(model.blocks)):
        for name in token_layers(index):
            linear_at(model, name)
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ValueError(f"{name} holds NaN or infinite values")
    stages = progress or Stages(Console(quiet=True))
    stages.begin("Calibration runs", config.calibration_steps)
    data = draw_calibration_set(model, config, scheduler, guidance_channels, lambda *_: stages.advance())
    return _quantize_on(model, config, scheduler, data, stages)


def _quantize_on(
    model: DiT, config: HQDiTConfig, scheduler: SchedulerConfig, data: CalibrationSet, stages: Stages
) -> QuantizationReport:
    quantizer = _Quantizer(model, config, data)
    if config.centering:
        fold_means_(model, {name: data.inputs[name].mean for name in quantizer.centered})
    if config.precision == "w4a4":
        stages.begin("Measure sensitivity")
        quantizer.spend_int8(data)
    stages.begin("Quantize", len(model.blocks) + 1)
    with torch.no_grad():
        hidden = torch.cat([model.embed(part) for part in data.latents.split(BATCH)])
        condition = model.condition(data.timestep, data.label)
    check_finite("x_embedder", hidden, data.timestep)
    for index in range(len(model.blocks)):
        quantizer.block(index, hidden, condition, data.timestep)
        stages.advance()
    quantizer.condition_layers(scheduler.num_train_timesteps)
    stages.advance()
    return quantizer.report
