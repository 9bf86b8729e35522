# SPDX-License-Identifier: Apache-2.0
"""Learns the scales and biases of a quantized model end to end, so that its noise comes near the float model's.

GPTQ makes each layer right for its own inputs. What the layers do to each other's errors only the end of the model
shows: here every output channel's scale and bias, and the few float layers, follow the gradient of the error of the
guided noise prediction. The 4-bit codes stay as they are, and so do size and speed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from hqdit_mobile.diffusion.conditions import Declared, at, can_be_guided, draw, halves
from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.diffusion.trajectory import guide, trajectory
from hqdit_mobile.model.network import Network
from hqdit_mobile.ops.fp4_linear import FP4Linear
from hqdit_mobile.quantize.calibration import CONDITION, InputStatistics, conditions_in
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.util.progress import Stages
from hqdit_mobile.util.resume_store import WorkFolder

PAIRS = 8  # of conditional and unconditional inputs in a step of the optimizer, one after the other for less memory
PAIRS_BEFORE = 4  # that tell a timestep's error before tuning
RUNS_AT_ONCE = 8
LEARNING_RATE = 1e-3  # relative to a scale, to the spread of a channel, to the root mean square of a float weight
WARM_UP = 20  # steps
SAVE_EVERY = 50
OWN_SEED = 1 << 32  # other noise and classes than the calibration set's


@dataclass(frozen=True)
class TuningSet:
    """Guided DDIM runs of the float model: latents [S, C, H, W], timestep [S], the conditions, [S, ...] each, and the
    noise that it predicted, [S, 2, C, H, W]: with the conditions and with their null values; [S, 1, C, H, W] where
    there are none.
    """

    latents: Tensor
    timestep: Tensor
    conditions: dict[str, Tensor]
    noise: Tensor

    def to_tensors(self) -> tuple[dict[str, Tensor], None]:
        tensors = {"latents": self.latents, "timestep": self.timestep, "noise": self.noise}
        return tensors | {f"{CONDITION}{name}": value for name, value in self.conditions.items()}, None

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], _: None) -> TuningSet:
        """The inverse of to_tensors."""
        return cls(tensors["latents"], tensors["timestep"], conditions_in(tensors), tensors["noise"])


class _Recorder:
    """A model that keeps what it was given and what it answered."""

    def __init__(self, model: Network):
        self.model, self.halves = model, 2 if can_be_guided(model.conditions) else 1
        self.latents: list[Tensor] = []
        self.timestep: list[Tensor] = []
        self.noise: list[Tensor] = []

    @property
    def conditions(self) -> Declared:
        return self.model.conditions

    def __call__(self, latents: Tensor, timestep: Tensor, *conditions: Tensor) -> Tensor:
        out: Tensor = self.model(latents, timestep, *conditions)
        half = len(latents) // self.halves
        self.latents.append(latents[:half])
        self.timestep.append(timestep[:half])
        self.noise.append(out[:, : latents.shape[1]].unflatten(0, (self.halves, half)).transpose(0, 1))
        return out


def run_lengths(config: HQDiTConfig) -> list[int]:
    """Steps of each run: from 3/4 to 5/4 of calibration_steps, so that what is learned holds at timesteps between."""
    count = -(-config.tuning_samples // RUNS_AT_ONCE)
    return [max(1, round(config.calibration_steps * (0.75 + 0.5 * (i + 0.5) / count))) for i in range(count)]


@torch.no_grad()
def draw_tuning_set(model: Network, config: HQDiTConfig, process: Process, on_step: Callable[[], None]) -> TuningSet:
    """Runs the float model; on_step: after each of sum(run_lengths(config)) steps."""
    generator = torch.Generator().manual_seed(config.seed + OWN_SEED)
    size, count = model.config.sample_size, config.tuning_samples
    noise = torch.randn(count, model.config.in_channels, size, size, generator=generator)
    drawn = draw(model.conditions, count, generator)
    recorder, seen = _Recorder(model), []
    rows = torch.arange(count).split(RUNS_AT_ONCE)
    for some, steps in zip(rows, run_lengths(config), strict=True):
        run = noise[some], at(drawn, some), steps, config.guidance_scale
        for t, *_ in trajectory(recorder, process, *run, lambda *_: on_step()):
            seen += [run[1]] if t is not None else []
    return TuningSet(
        torch.cat(recorder.latents),
        torch.cat(recorder.timestep),
        {name: torch.cat([conditions[name] for conditions in seen]) for name in drawn},
        torch.cat(recorder.noise),
    )


class _StraightThrough(torch.autograd.Function):
    """The quantized layer's own bits forward; backward the layer without the rounding of its inputs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, bias: Tensor, layer: FP4Linear, weight: Tensor) -> Tensor:
        _, codes, tables, _, _, *rest = layer.operands(x)
        y = torch.ops.hqdit.fp4_linear(x, codes, tables, scale, bias, *rest)
        ctx.save_for_backward(y, scale, bias, weight)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        y, scale, bias, weight = ctx.saved_tensors
        (gradient,) = gradients
        rows = gradient.flatten(0, -2)
        to_scale = (rows * (y.flatten(0, -2) - bias)).sum(dim=0) / scale
        to_x = (gradient * scale) @ weight if ctx.needs_input_grad[0] else None
        return to_x, to_scale, rows.sum(dim=0), None, None


class _TunedLinear(nn.Module):
    """Stands in for ``layer`` with changes [N] of its scale, as a fraction, and of its bias, in ``unit`` [N]."""

    def __init__(self, layer: FP4Linear):
        super().__init__()
        self.layer = layer
        self.scale, self.bias = layer.scale, torch.zeros_like(layer.scale) if layer.bias is None else layer.bias
        # In float32, of scale 1: some rows may have none.
        self.weight = layer.dequantized_weight() / torch.where(self.scale == 0, 1.0, self.scale).unsqueeze(1)
        self.scale_change = nn.Parameter(torch.zeros_like(layer.scale))
        self.bias_change = nn.Parameter(torch.zeros_like(layer.scale))
        self.unit = torch.zeros_like(layer.scale)

    def current(self) -> tuple[Tensor, Tensor]:
        return self.scale * (1 + self.scale_change), self.bias + self.unit * self.bias_change

    def forward(self, x: Tensor) -> Tensor:
        return _StraightThrough.apply(x, *self.current(), self.layer, self.weight)


@contextmanager
def _tuned_layers(model: Network) -> Iterator[list[_TunedLinear]]:
    """The FP4Linear layers of ``model`` are stand-ins within; after it they are themselves, with what was learned."""
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, FP4Linear)}
    tuned = {name: _TunedLinear(layer) for name, layer in layers.items()}
    for name, layer in tuned.items():
        model.set_submodule(name, layer)
    try:
        yield list(tuned.values())
    finally:
        for name, layer in tuned.items():
            scale, bias = layer.current()
            layer.layer.scale, layer.layer.bias = scale.detach(), bias.detach()
            model.set_submodule(name, layer.layer)


class _Tuner:
    def __init__(self, model: Network, layers: list[_TunedLinear], data: TuningSet, scale: float, channels: int):
        self.model, self.layers, self.data = model, layers, data
        self.scale, self.channels = scale, channels
        self.timesteps = data.timestep.unique()
        outside = [layer.name for layer in model.outer_layers if layer.sees == "tokens"]
        self.floats = [parameter for name in outside for parameter in model.get_submodule(name).parameters()]
        for parameter in self.floats:
            parameter.data = parameter.data.clone()  # they may be the checkpoint's own pages
            parameter.requires_grad_(True)
        self.changes = [change for layer in layers for change in (layer.scale_change, layer.bias_change)]

    def errors(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Squared errors, [len(rows)] each, of the noise as it is predicted and as guidance adds it up."""
        data, count = self.data, self.data.noise.shape[1]
        predicted = self.model(
            data.latents[rows].repeat(count, 1, 1, 1),
            data.timestep[rows].repeat(count),
            *halves(self.model.conditions, at(data.conditions, rows)).values(),
        )[:, : data.latents.shape[1]]
        error = predicted.unflatten(0, (count, len(rows))) - data.noise[rows].transpose(0, 1)
        guided = guide(error[0], error[1], self.scale, self.channels) if count == 2 else error[0]
        return error.square().mean(dim=(0, 2, 3, 4)), guided.square().mean(dim=(1, 2, 3))

    @torch.no_grad()
    def measure(self) -> None:
        """The errors before tuning, by timestep: every timestep is to shrink its own by the same factor."""
        outputs = {
            layer: InputStatistics(*torch.zeros(2, len(layer.unit), dtype=torch.float64)) for layer in self.layers
        }

        def keep(layer: nn.Module, _inputs: Any, y: Tensor) -> None:
            outputs[cast(_TunedLinear, layer)].add(y)

        handles = [layer.register_forward_hook(keep) for layer in self.layers]
        self.before = {}
        for t in self.timesteps.tolist():
            rows = (self.data.timestep == t).nonzero().flatten()[:PAIRS_BEFORE]
            self.before[t] = [value.mean().item() for value in self.errors(rows)]
        for handle in handles:
            handle.remove()
        for layer, statistics in outputs.items():
            layer.unit.copy_(statistics.variance.sqrt())

    def loss(self, rows: Tensor) -> Tensor:
        """Mean over `rows` of the errors, each as a multiple of what it was: guided ones count twice."""
        single, guided = self.errors(rows)
        before = torch.tensor([self.before[t] for t in self.data.timestep[rows].tolist()])
        return (single / before[:, 0] + 2 * guided / before[:, 1]).mean() / 3

    def run(self, steps: int, work: WorkFolder, stages: Stages) -> None:
        groups = [{"params": self.changes, "relative": 1.0}]
        groups += [{"params": [p], "relative": p.square().mean().sqrt().item()} for p in self.floats]
        optimizer = torch.optim.Adam(groups, lr=LEARNING_RATE, betas=(0.9, 0.99))
        first = _restore(optimizer, work)
        stages.skip(first)
        for step in range(first, steps):
            rate = LEARNING_RATE * min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))
            for group in optimizer.param_groups:
                group["lr"] = rate * group["relative"]
            picked = torch.randperm(len(self.data.timestep), generator=torch.Generator().manual_seed(step))[:PAIRS]
            optimizer.zero_grad()
            for rows in picked.split(1):
                (self.loss(rows) / len(picked)).backward()
            optimizer.step()
            stages.advance()
            if (step + 1) % SAVE_EVERY == 0:
                _save(optimizer, step + 1, work)


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _save(optimizer: torch.optim.Optimizer, step: int, work: WorkFolder) -> None:
    tensors: dict[str, Tensor] = {}
    for index, p in enumerate(_parameters(optimizer)):
        state = optimizer.state[p]
        tensors |= {
            f"{index}.value": p.detach(),
            f"{index}.mean": state["exp_avg"],
            f"{index}.power": state["exp_avg_sq"],
        }
    work.put("tuning", tensors, step)


def _restore(optimizer: torch.optim.Optimizer, work: WorkFolder) -> int:
    """The step to go on with."""
    if (stored := work.get("tuning")) is None:
        return 0
    tensors, step = stored
    for index, p in enumerate(_parameters(optimizer)):
        p.data.copy_(tensors[f"{index}.value"])
        optimizer.state[p] = {
            "step": torch.tensor(float(step)),
            "exp_avg": tensors[f"{index}.mean"],
            "exp_avg_sq": tensors[f"{index}.power"],
        }
    return step


def tune_(
    model: Network,
    data: TuningSet,
    config: HQDiTConfig,
    guidance_channels: int,
    work: WorkFolder,
    stages: Stages,
) -> None:
    """Changes scales, biases and the float layers of a quantized ``model`` in place, in config.tuning_steps of Adam.

    stages: its present one advances with each of them. Goes on from `work`, where it was killed.
    """
    with _tuned_layers(model) as layers:
        tuner = _Tuner(model, layers, data, config.guidance_scale, guidance_channels)
        try:
            tuner.measure()
            with torch.enable_grad():
                tuner.run(config.tuning_steps, work, stages)
        finally:
            for parameter in tuner.floats:
                parameter.requires_grad_(False)
