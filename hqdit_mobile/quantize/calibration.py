# SPDX-License-Identifier: Apache-2.0
"""Calibration data: activations of real DDIM runs, and the second moments of them that GPTQ needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hqdit_mobile.diffusion.conditions import Declared, at, can_be_guided, draw, halves, nulls_like
from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.diffusion.trajectory import random_times, trajectory
from hqdit_mobile.model.network import Network
from hqdit_mobile.model.streaming import walk
from hqdit_mobile.ops.fp4_linear import FP4Linear
from hqdit_mobile.ops.packing import groups_per_row
from hqdit_mobile.ops.rotation import rotate
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.util.rows import by_rows

TOKENS_PER_INPUT = 64  # of one model input, or a quarter if that is more; neighbours tell little that is new
SAMPLE_ROWS = 256  # of each call, to compare a quantized layer with its float twin
CONDITION = "condition."  # goes before a condition's name where it is stored
CONDITIONS = 8192  # times with conditions, for the layers that see nothing else


class CalibrationError(ValueError):
    """The calibration data cannot be used; the message names the layer and the timestep."""


@dataclass
class InputStatistics:
    """Sums over tokens of the input (or output) channels of a linear layer: total and power (squares) float64 [K]."""

    total: Tensor
    power: Tensor
    tokens: int = 0

    def add(self, x: Tensor) -> None:
        """x float32 [..., K]."""
        rows = x.flatten(0, -2)
        self.total += rows.sum(dim=0)
        self.power += rows.square().sum(dim=0)
        self.tokens += len(rows)

    @property
    def mean(self) -> Tensor:
        return self.total / self.tokens

    @property
    def mean_square(self) -> Tensor:
        return self.power / self.tokens

    @property
    def variance(self) -> Tensor:
        return (self.mean_square - self.mean.square()).clamp(min=0)


@dataclass(frozen=True)
class CalibrationSet:
    """Model inputs from guided DDIM runs, both guidance halves: latents [S, C, H, W], timestep [S] and the conditions,
    [S, ...] each.

    inputs: mean and mean square of each input channel over all tokens, by name of the linear layer.
    """

    latents: Tensor
    timestep: Tensor
    conditions: dict[str, Tensor]
    inputs: dict[str, InputStatistics]

    def __len__(self) -> int:
        return len(self.timestep)

    def at(self, rows: Tensor | slice) -> tuple[Tensor, ...]:
        """The network's arguments for some of the inputs."""
        return self.latents[rows], self.timestep[rows], *at(self.conditions, rows).values()

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Everything as tensors, and the number of tokens of each layer's statistics."""
        tensors = {"latents": self.latents, "timestep": self.timestep}
        tensors |= {f"{CONDITION}{name}": value for name, value in self.conditions.items()}
        for name, inputs in self.inputs.items():
            tensors |= {f"{name}.total": inputs.total, f"{name}.power": inputs.power}
        return tensors, {name: inputs.tokens for name, inputs in self.inputs.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], tokens: Mapping[str, int]) -> CalibrationSet:
        """The inverse of to_tensors."""
        inputs = {n: InputStatistics(tensors[f"{n}.total"], tensors[f"{n}.power"], c) for n, c in tokens.items()}
        return cls(tensors["latents"], tensors["timestep"], conditions_in(tensors), inputs)


def conditions_in(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those among stored tensors."""
    return {name.removeprefix(CONDITION): value for name, value in tensors.items() if name.startswith(CONDITION)}


def suited_to(config: HQDiTConfig, model: Network) -> HQDiTConfig:
    """``config``, without guidance in the runs of a model that cannot be guided."""
    return config if can_be_guided(model.conditions) else replace(config, guidance_scale=1.0)


def draw_calibration_set(
    model: Network,
    config: HQDiTConfig,
    process: Process,
    on_step: Callable[[int, int], None] | None = None,
) -> CalibrationSet:
    """Runs DDIM with guidance from seeded noise for seeded conditions and keeps what the model saw at every step.

    Raises CalibrationError naming the first layer and timestep whose input is NaN or infinite; ValueError where the
    model cannot be guided and ``config`` asks for it (suited_to).
    """
    generator = torch.Generator().manual_seed(config.seed)
    size, samples = model.config.sample_size, config.calibration_samples
    noise = torch.randn(samples, model.config.in_channels, size, size, generator=generator)
    conditions = draw(model.conditions, samples, generator)
    guided = can_be_guided(model.conditions)
    latents, timesteps = [], []
    measured = _MeasuredModel(model)
    run = trajectory(measured, process, noise, conditions, config.calibration_steps, config.guidance_scale, on_step)
    for t, visited, _ in run:
        if t is not None:
            latents += [visited, visited] if guided else [visited]
            timesteps += [t] * (len(latents[-1]) * (1 + guided))
    seen = halves(model.conditions, conditions)
    seen = {name: torch.cat([value] * config.calibration_steps) for name, value in seen.items()}
    return CalibrationSet(torch.cat(latents), torch.tensor(timesteps, dtype=torch.float32), seen, measured.statistics)


class _MeasuredModel:
    """A network that adds the inputs of its linear layers to `statistics` whenever it runs."""

    def __init__(self, model: Network):
        self.model = model
        self.statistics: dict[str, InputStatistics] = {}

    @property
    def conditions(self) -> Declared:
        return self.model.conditions

    def __call__(self, latents: Tensor, timestep: Tensor, *conditions: Tensor) -> Tensor:
        model = self.model
        with self._measuring(model, "", timestep):
            tokens = model.embed(latents)
            contexts = model.contexts(timestep, dict(zip(model.conditions, conditions, strict=True)))
            for visit in walk(model, tokens, contexts):
                with self._measuring(visit.block, visit.prefix, timestep):
                    tokens = visit.run()
            return model.end(tokens, contexts[0])

    @contextmanager
    def _measuring(self, module: nn.Module, prefix: str, timestep: Tensor) -> Iterator[None]:
        """Measures the linear layers of `module` that are not in blocks of their own."""
        layers = {
            prefix + name: layer
            for name, layer in module.named_modules()
            if isinstance(layer, nn.Linear) and not name.startswith("blocks.")
        }
        handles = [layer.register_forward_pre_hook(self._hook(name, timestep)) for name, layer in layers.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, name: str, timestep: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def measure(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            (x,) = arguments
            check_finite(name, x, timestep)
            if name not in self.statistics:
                self.statistics[name] = InputStatistics(*torch.zeros(2, x.shape[-1], dtype=torch.float64))
            self.statistics[name].add(x)

        return measure


def draw_conditions(model: Network, process: Process, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    """(timestep [CONDITIONS], conditions [CONDITIONS, ...]): half of them null, as under guidance."""
    generator = torch.Generator().manual_seed(seed)
    timestep = random_times(process, CONDITIONS, generator)
    conditions = draw(model.conditions, CONDITIONS, generator)
    if can_be_guided(model.conditions):
        for name, nulls in nulls_like(model.conditions, conditions).items():
            conditions[name][::2] = nulls[::2]
    return timestep, conditions


@dataclass
class Moments:
    """Sums over tokens for one linear layer with inputs x, of which the product sees xq (rotated and quantized).

    total, quantized_total: sums [K] of x (rotated) and xq; gram: xq^T xq [K, K]; cross: x^T xq [K, K] with x rotated
    too, both absent where nobody asked for products. sample [rows, K]: some of x, neither rotated nor scaled.
    """

    total: Tensor
    quantized_total: Tensor
    gram: Tensor | None
    cross: Tensor | None
    sample: Tensor
    tokens: int


class Observer:
    """Collects the Moments of one linear layer under the input transform of `target`, its quantized successor.

    products: whether gram and cross are wanted: most of the work.
    """

    def __init__(self, name: str, linear: nn.Linear, target: FP4Linear, products: bool = True):
        self.name, self.linear, self.target = name, linear, target
        k = linear.in_features
        self._sums = torch.zeros(2, k, dtype=torch.float64)
        self._products = torch.zeros(2, k, k, dtype=torch.float64) if products else None
        self._sample: list[Tensor] = []
        self._tokens = 0
        self._quantizer = input_quantizer(target)

    def add(self, x: Tensor, generator: torch.Generator) -> None:
        """x float32 [B, K] or [B, T, K]: the inputs of one call; a seeded sample of the tokens is used."""
        x = pick_tokens(x, generator)
        quantized = self._quantizer(x)
        self._sums += torch.stack([x.sum(dim=0), quantized.sum(dim=0)])
        if self._products is not None:
            gram, cross = self._products
            gram += quantized.t() @ quantized
            cross += x.t() @ quantized
        self._sample.append(x[:: -(-len(x) // SAMPLE_ROWS)].clone())
        self._tokens += len(x)

    def result(self) -> Moments:
        # Rotating is linear: one rotation of the sums serves for one of every token.
        pre = 1.0 if self.target.pre is None else self.target.pre.double()
        gram = cross = None
        if self._products is not None:
            gram, cross = self._products
            cross = by_rows(lambda rows: rotate(rows * pre, self.target.rotation), cross.t()).t().contiguous()
        total = rotate(self._sums[0] * pre, self.target.rotation)
        return Moments(total, self._sums[1], gram, cross, torch.cat(self._sample), self._tokens)


def pick_tokens(x: Tensor, generator: torch.Generator) -> Tensor:
    """x [B, K] or [B, T, K] -> [rows, K]: a seeded sample of the tokens of each of B inputs."""
    if x.dim() == 3 and x.shape[1] > TOKENS_PER_INPUT:
        count = max(TOKENS_PER_INPUT, x.shape[1] // 4)
        picked = torch.rand(x.shape[:2], generator=generator).topk(count, dim=1).indices
        x = x.gather(1, picked.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
    return x.reshape(-1, x.shape[-1])


def linear_at(model: nn.Module, name: str) -> nn.Linear:
    """The linear layer of that name. Raises TypeError if it is something else, for example quantized already."""
    module = model.get_submodule(name)
    if not isinstance(module, nn.Linear):
        raise TypeError(f"{name} is a {type(module).__name__}, not a Linear: quantize a float model, once")
    return module


def input_quantizer(layer: FP4Linear) -> FP4Linear:
    """A layer that returns what `layer`'s integer product sees of its inputs: the same transform, identity weights."""
    k = layer.in_features
    identity = FP4Linear(
        k, k, bias=False, pre=layer.pre is not None, group=layer.group, rotation=layer.rotation,
        activation=layer.activation, activation_group=layer.activation_group,
    )  # fmt: skip
    # Table 0 is E2M1 with multiplier 1, whose code 1 is the value 1.
    ids = torch.zeros(k, groups_per_row(k, layer.group), dtype=torch.uint8)
    identity.set_weight(torch.eye(k, dtype=torch.uint8), ids, torch.ones(k))
    identity.pre = layer.pre
    return identity


@contextmanager
def observing(observers: Mapping[str, Observer], seed: int, timesteps: Callable[[], Tensor]) -> Iterator[None]:
    """Within it, each forward call of an observed layer adds to its moments.

    timesteps: gives [B] of the batch at hand, to name in a CalibrationError when an input is NaN or infinite.
    """
    generator = torch.Generator().manual_seed(seed)

    def hook(observer: Observer) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def observe(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            check_finite(observer.name, arguments[0], timesteps())
            observer.add(arguments[0], generator)

        return observe

    handles = [observer.linear.register_forward_pre_hook(hook(observer)) for observer in observers.values()]
    try:
        with torch.no_grad():
            yield
    finally:
        for handle in handles:
            handle.remove()


def check_finite(layer: str, x: Tensor, timesteps: Tensor) -> None:
    """Raises CalibrationError if an input [B, ...] of `layer` is NaN or infinite."""
    if torch.isfinite(x.sum()):  # in one pass: NaN and infinity stay in a sum
        return
    finite = torch.isfinite(x).flatten(1).all(dim=1)
    if finite.all():
        return
    row = int((~finite).nonzero()[0])
    kind = "NaN" if x[row].isnan().any() else "an infinite value"
    raise CalibrationError(
        f"calibration: the input of {layer} holds {kind} at timestep {timesteps[row]:g}; "
        "the float model overflows there, so check its weights"
    )
