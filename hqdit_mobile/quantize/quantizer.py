# SPDX-License-Identifier: Apache-2.0
"""Observes the layers of a float network on calibration data and puts quantized ones in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.model.network import Layer, Network
from hqdit_mobile.model.streaming import Visit, float_block, parameter_count, walk
from hqdit_mobile.ops.fp4_linear import FP4Linear
from hqdit_mobile.quantize.calibration import (
    CalibrationSet,
    Observer,
    check_finite,
    draw_conditions,
    linear_at,
    observing,
)
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.quantize.finished_blocks import FinishedBlocks
from hqdit_mobile.quantize.layer import LayerReport, fill_layer, needs_products, new_layer
from hqdit_mobile.quantize.mean_folding import centered_layers
from hqdit_mobile.util.heap import trim_heap
from hqdit_mobile.util.progress import Stages

BATCH = 16  # model inputs at a time


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


class Quantizer:
    """Goes through a float model once. ``report`` grows with it."""

    def __init__(self, model: Network, config: HQDiTConfig, process: Process, data: CalibrationSet) -> None:
        self.model, self.config, self.data = model, config, data
        self.centered = set(centered_layers(model)) if config.centering else set()
        self.report = QuantizationReport(4 * parameter_count(model))
        self.fp4_layers: set[str] = set()
        # One row an image, so INT8 activations cost nothing where a layer sees no more than these.
        self.drawn = draw_conditions(model, process, config.seed)
        self._context: tuple[int, Tensor] | None = None

    def targets(self) -> dict[str, FP4Linear]:
        """The successor with 4-bit activations of each layer that the recipe is about, without weights."""
        targets = {}
        for index in range(len(self.model.blocks)):
            block = float_block(self.model, index)
            for part in _parts(self.model.block_layers, "tokens"):
                name = f"blocks.{index}.{part}"
                targets[name] = self._target(name, linear_at(block, part), self.config.fp4_activation)
        return targets

    def quantize_blocks(self, finished: FinishedBlocks, stages: Stages) -> None:
        """Block after block on all tokens of the calibration set."""
        model, data = self.model, self.data
        for index in range(model.own_contexts):
            check_finite(f"blocks.{index}", self._drawn_context(index), self.drawn[0])
        restored = finished.restore_()
        for reports in restored:
            self.report.layers += reports
            stages.skip()
        first = len(restored)
        if first == len(model.blocks):
            return
        tokens = finished.tokens(first, new=first == 0)
        if first == 0:
            for rows in _batches(len(data)):
                tokens[rows] = model.embed(data.latents[rows])
            check_finite("blocks.0", tokens, data.timestep)
        for visit in walk(model, tokens, model.contexts(data.timestep, data.conditions), first=first):
            visit.output = finished.tokens(visit.index + 1, new=True)
            reports = self._quantize_block(visit, visit.output)
            self.report.layers += reports
            finished.put(visit.index, visit.block, reports)
            trim_heap()  # the matrices of the next block do not fit where those of this one lay
            stages.advance()

    def quantize_outside(self) -> None:
        """The layers outside of blocks, once no block needs what they compute any more."""
        model, layers = self.model, self.model.outer_layers
        self.report.layers += self._quantize_of_context(model, "", layers, 0)
        for index in range(model.own_contexts):
            parts = _parts([layer for layer in layers if layer.context == index], "conditions")
            observers = self._observers(model, "", parts)
            with observing(observers, self.config.seed, lambda: self.drawn[0]):
                model.context(*self.drawn, index)
            self.report.layers += self._replace(model, observers)

    def _quantize_block(self, visit: Visit, output: Tensor) -> list[LayerReport]:
        block, data, layers = visit.block, self.data, self.model.block_layers
        observers = self._observers(block, visit.prefix, _parts(layers, "tokens"))
        rows = slice(0)
        with observing(observers, self.config.seed, lambda: data.timestep[rows]):
            for rows in _batches(len(data)):
                output[rows] = block(visit.tokens[rows], visit.context[rows], visit.ops)
        reports = self._replace(block, observers)
        return reports + self._quantize_of_context(block, visit.prefix, layers, visit.index)

    def _quantize_of_context(
        self, parent: nn.Module, prefix: str, layers: Iterable[Layer], index: int
    ) -> list[LayerReport]:
        """Layers of `parent` that see nothing but the context of block `index`, so nothing has to run."""
        observers = self._observers(parent, prefix, _parts(layers, "context"))
        for observer in observers.values():
            observer.add(self._drawn_context(index), torch.Generator())
        return self._replace(parent, observers)

    def _drawn_context(self, index: int) -> Tensor:
        """The float context of the drawn conditions: nothing in front of these layers is worth waiting for."""
        index = min(index, self.model.own_contexts - 1)
        if self._context is None or self._context[0] != index:
            self._context = index, self.model.context(*self.drawn, index)
        return self._context[1]

    def _target(self, name: str, linear: nn.Linear, activation: str) -> FP4Linear:
        inputs = self.data.inputs[name]
        power = inputs.variance if name in self.centered else inputs.mean_square
        return new_layer(linear, self.config, activation, power)

    def _observers(self, parent: nn.Module, prefix: str, parts: Iterable[str]) -> dict[str, Observer]:
        """prefix: of the layers' names in the model."""
        observers = {}
        for part in parts:
            name, linear = prefix + part, linear_at(parent, part)
            activation = self.config.fp4_activation if name in self.fp4_layers else "int8"
            target = self._target(name, linear, activation)
            observers[part] = Observer(name, linear, target, needs_products(self.config))
        return observers

    def _replace(self, parent: nn.Module, observers: dict[str, Observer]) -> list[LayerReport]:
        """Puts the quantized layers in place of those that were observed."""
        reports = []
        for part in list(observers):
            observer = observers.pop(part)  # its moments take gigabytes in a large model
            layer = observer.target
            reports.append(fill_layer(observer.name, observer.linear, layer, observer.result(), self.config))
            parent.set_submodule(part, layer)
        return reports


def _parts(layers: Iterable[Layer], sees: str) -> list[str]:
    """The names of those that are quantized and see that."""
    return [layer.name for layer in layers if layer.sees == sees and layer.precision != "float"]


def _batches(count: int) -> list[slice]:
    return [slice(start, start + BATCH) for start in range(0, count, BATCH)]


def check_description(model: Network) -> None:
    """Raises ValueError naming a linear layer without a role, or a role that cannot be had."""
    with torch.device("meta"):
        block = model.new_block(model.config)
    outside = {name: m for name, m in model.named_modules() if not name.startswith("blocks.")}
    _check_names("block", dict(block.named_modules()), model.block_layers)
    _check_names("network", outside, model.outer_layers)
    for layer in model.block_layers:
        if layer.sees == "conditions":
            raise ValueError(f"layer {layer.name}: a block's layers see tokens or the context")
    for layer in model.outer_layers:
        if layer.sees == "tokens" and layer.precision != "float":
            raise ValueError(f"layer {layer.name}: outside of blocks a layer that sees tokens stays float")


def _check_names(where: str, modules: Mapping[str, nn.Module], layers: Iterable[Layer]) -> None:
    described = {layer.name for layer in layers}
    if missing := described - modules.keys():
        raise ValueError(f"the {where} has no layer {min(missing)}, of which its class says what it is")
    linear = {name for name, module in modules.items() if isinstance(module, nn.Linear)}
    if unknown := linear - described:
        raise ValueError(f"layer {min(unknown)} of the {where} has no role: add it to the {where}'s layers")
