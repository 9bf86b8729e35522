# SPDX-License-Identifier: Apache-2.0
"""The reference sampler: DDIM with classifier-free guidance, in torch and float64 coefficients.

Calibration, parity and evaluation walk the same trajectories with it; the C++ engine is what users sample with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from hqdit_mobile.diffusion.conditions import NO_NULL_CLASS, Conditions, Declared, can_be_guided, halves
from hqdit_mobile.diffusion.plan import SolverStep, plan
from hqdit_mobile.diffusion.process import Flow, Process
from hqdit_mobile.diffusion.rng import normal


class NoiseModel(Protocol):
    """A network, or what computes the same: latents [B, C, S, S], timestep [B] and the declared conditions in their
    order -> [B, C or more, S, S]."""

    @property
    def conditions(self) -> Declared: ...

    def __call__(self, latents: Tensor, timestep: Tensor, *conditions: Tensor) -> Tensor: ...


def guided_prediction(
    model: NoiseModel, latents: Tensor, time: float, conditions: Tensor | Conditions, scale: float, channels: int
) -> Tensor:
    """Prediction [B, C, S, S] with classifier-free guidance on the first ``channels`` channels.

    conditions: by name, or the only one. Raises ValueError for a ``scale`` other than 1 where one has no null value.
    """
    guided = can_be_guided(model.conditions)
    if not guided and scale != 1:
        raise ValueError(f"{NO_NULL_CLASS}: the guidance scale must be 1, not {scale:g}")
    samples = torch.cat([latents, latents]) if guided else latents
    t = torch.full((len(samples),), float(time), device=latents.device)
    prediction = model(samples, t, *halves(model.conditions, conditions).values())[:, : latents.shape[1]]
    if not guided:
        return prediction
    conditional, unconditional = prediction.chunk(2)
    return guide(conditional, unconditional, scale, channels)


def guide(conditional: Tensor, unconditional: Tensor, scale: float, channels: int) -> Tensor:
    """Classifier-free guidance of two predictions [B, C, S, S], or of their errors."""
    guided = unconditional + scale * (conditional - unconditional)
    return torch.cat([guided[:, :channels], conditional[:, channels:]], dim=1)


def clean_sample(step: SolverStep, latents: Tensor, prediction: Tensor) -> Tensor:
    """The x0 that a prediction implies, float64 and not clipped."""
    return (step.from_sample * latents.double() - step.from_prediction * prediction.double()) / step.divisor


def solver_step(
    step: SolverStep, latents: Tensor, prediction: Tensor, before: Tensor | None = None, random: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """(next latents, x0 of this step in float64), in the engine's order of operations.

    before: x0 of the step before, read where step.previous is not 0. random: standard normal numbers, read where
    step.random is not 0.
    """
    clean = clean_sample(step, latents, prediction)
    following = step.sample * latents.double() + step.clean * clean
    if step.clip_range:
        clipped = clean.clamp(-step.clip_range, step.clip_range)
        following = following + step.clip_gain * (clipped - clean)
        clean = clipped
    if step.previous:
        assert before is not None
        # The engine keeps x0 in single precision.
        following = following + step.previous * before.float().double()
    if step.random:
        assert random is not None
        following = following + step.random * random.double()
    return following.to(latents.dtype), clean


# The settings of an engine that walks the same trajectory, whatever its bundle's defaults are.
IN_ENGINE = {"scheduler": "ddim", "guidance_interval": (0.0, 1.0)}


@torch.no_grad()
def trajectory(
    model: NoiseModel,
    process: Process,
    latents: Tensor,
    conditions: Tensor | Conditions,
    steps: int,
    scale: float,
    on_step: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[float | None, Tensor, Tensor]]:
    """Walks DDIM with classifier-free guidance from noise ``latents`` [B, C, S, S] with ``conditions``.

    Yields ``(time, latents, guided prediction)`` before each step and finally ``(None, clean latents, zeros)``.
    """
    for index, step in enumerate(plan(process, steps)):
        prediction = guided_prediction(model, latents, step.time, conditions, scale, process.guided_channels)
        yield step.time, latents, prediction
        latents, _ = solver_step(step, latents, prediction)
        if on_step:
            on_step(index + 1, steps)
    yield None, latents, torch.zeros_like(latents)


def initial_noise(latent_shape: Sequence[int], seed: int) -> Tensor:
    """The engine's starting noise for ``seed``: float32 [1, C, S, S] for a latent_shape [C, S, S]."""
    return torch.from_numpy(normal(seed, 0, math.prod(latent_shape))).reshape(1, *latent_shape)


def sample_latents(
    model: NoiseModel,
    process: Process,
    latents: Tensor,
    conditions: Tensor | Conditions,
    steps: int,
    scale: float,
    on_step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Clean latents [B, C, S, S] at the end of a DDIM trajectory."""
    *_, (_, clean, _) = trajectory(model, process, latents, conditions, steps, scale, on_step)
    return clean


def random_times(process: Process, count: int, generator: torch.Generator) -> Tensor:
    """[count] times at which the network may be asked, float32, as training draws them."""
    path = process.path
    if isinstance(path, Flow):
        level = path.end + (path.start - path.end) * torch.rand(count, generator=generator)
        return path.time_at_data + level * (path.time_at_noise - path.time_at_data)
    return torch.randint(0, path.num_train_timesteps, (count,), generator=generator).float()
