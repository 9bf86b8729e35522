# SPDX-License-Identifier: Apache-2.0
"""quantize_: turns the linear layers of a DiT into FP4Linear, in place, block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from rich.console import Console
from torch import Tensor, nn

from hqdit_mobile.calibration import (
    CalibrationSet,
    Moments,
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
from hqdit_mobile.formats import FORMATS, count_formats
from hqdit_mobile.fp4_linear import FP4Linear
from hqdit_mobile.gptq import damped, gptq
from hqdit_mobile.packing import unpack_tables
from hqdit_mobile.progress import Stages
from hqdit_mobile.rotation import random_signs, rotate, usable_rotation
from hqdit_mobile.sampling import SchedulerConfig
from hqdit_mobile.sensitivity import noise_shares, spend_budget

SHRINKAGE = 0.5  # how far a weight goes towards its least-squares target
BATCH = 16  # model inputs at a time


@dataclass(frozen=True)
class LayerReport:
    """snr_db: output of the layer against its float twin on calibration data, from the second moments.

    formats: number of weight groups per FP4 format.
    """

    name: str
    in_features: int
    out_features: int
    activation: str
    rotation: int
    bits_per_weight: float
    formats: dict[str, int]
    snr_db: float


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


def new_layer(linear: nn.Linear, config: HQDiTConfig, activation: str, input_power: Tensor) -> FP4Linear:
    """The FP4Linear that will replace `linear`, with its input transform set and its weights empty.

    input_power [K]: mean square of each input channel up to a common factor.
    """
    k = linear.in_features
    rotation = usable_rotation(k, config.rotation)
    layer = FP4Linear(
        k, linear.out_features, pre=True, group=config.group, rotation=rotation,
        activation=activation, activation_group=config.group,
    )  # fmt: skip
    layer.pre = random_signs(k, config.seed) / math.sqrt(rotation) / smoothing(linear.weight, input_power)
    return layer


def smoothing(weight: Tensor, input_power: Tensor) -> Tensor:
    """Divisors [K] of the input channels that balance them with the weight columns they meet.

    The noise of a block that shares a scale is about sum_j (x_j / s_j)^2 * sum_j (s_j w_j)^2. With x and w the root
    mean squares of input channel and weight column, s = sqrt(x / w) makes it least (Cauchy-Schwarz). Nearly dead
    channels are held at a thousandth of the mean, lest a divisor leave float32.
    """
    x, w = input_power.double().sqrt(), weight.detach().double().square().sum(dim=0).sqrt()
    x, w = (v.clamp(min=float(v.mean()) * 1e-3 or 1.0) for v in (x, w))
    divisor = (x / w).sqrt()
    return (divisor / divisor.log().mean().exp()).float()


def transformed_weight(linear: nn.Linear, layer: FP4Linear) -> Tensor:
    """float64 [N, K]: the weight in the basis of `layer`'s inputs: times the inverse of diag(pre) H."""
    assert layer.pre is not None
    return rotate(linear.weight.detach().double() / (layer.pre.double() * layer.rotation), layer.rotation)


def fill_layer(name: str, linear: nn.Linear, layer: FP4Linear, moments: Moments, config: HQDiTConfig) -> LayerReport:
    """Quantizes `linear` into `layer` from the moments of its inputs.

    The best linear map from quantized inputs to float outputs trusts directions less whose noise is large. All the way
    there, every layer shrinks the same fine detail and the losses add up near t = 0; half of the way keeps the gain.
    What the codes do to the mean goes into the bias.
    """
    weight = transformed_weight(linear, layer)
    mean, quantized_mean = moments.total / moments.tokens, moments.quantized_total / moments.tokens
    gram = moments.gram / moments.tokens - torch.outer(quantized_mean, quantized_mean)
    cross = moments.cross / moments.tokens - torch.outer(mean, quantized_mean)
    hessian = damped(gram, config.damping)
    least_squares = torch.linalg.solve(hessian, (weight @ (cross + hessian - gram)).t()).t()
    target = weight + SHRINKAGE * (least_squares - weight)
    quantized = gptq(target, hessian, [FORMATS[f] for f in config.weight_formats], config.group)
    layer.set_weight(quantized.codes, quantized.tables, quantized.scale)
    lattice = layer.lattice().double() * layer.scale.double()[:, None]
    layer.bias = linear.bias.detach() + (weight @ mean - lattice @ quantized_mean).float()
    # E |W x - Q xq|^2 about the means, which the bias has made equal, expanded into the moments.
    power = moments.power / moments.tokens - float((weight @ mean).square().sum())
    noise = power - 2 * float(((weight @ cross) * lattice).sum()) + float(((lattice @ gram) * lattice).sum())
    return LayerReport(
        name,
        layer.in_features,
        layer.out_features,
        layer.activation,
        layer.rotation,
        layer.stored_bits() / (layer.in_features * layer.out_features),
        count_formats(unpack_tables(layer.tables, layer.out_features)),
        10 * math.log10(power / noise) if noise > 0 and power > 0 else math.inf,
    )


class _Quantizer:
    def __init__(self, model: DiT, config: HQDiTConfig, data: CalibrationSet) -> None:
        self.model, self.config, self.inputs = model, config, data.inputs
        self.centered = set(centered_layers(len(model.blocks)))
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
        targets = {name: self.new_layer(name, "fp4") for name in names}
        shares = noise_shares(self.model, targets, data, self.config.seed)
        costs = {name: linear_at(self.model, name).weight.numel() for name in names}
        self.fp4_layers = set(names) - set(spend_budget(shares, costs, self.config.int8_share))

    def quantize(self, names: Iterable[str], run: Callable[[], object]) -> None:
        """Replaces the named layers by what `run`, which calls them on calibration data, tells about their inputs."""
        observers = {}
        for name in names:
            target = self.new_layer(name, "fp4" if name in self.fp4_layers else "int8")
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
    fold_means_(model, {name: data.inputs[name].mean for name in centered_layers(len(model.blocks))})
    quantizer = _Quantizer(model, config, data)
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
