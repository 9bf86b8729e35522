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

from hqdit_mobile.diffusion.plan import SolverStep, plan
from hqdit_mobile.diffusion.process import Flow, Process
from hqdit_mobile.diffusion.rng import normal

NO_NULL_CLASS = "the model has no null class to guide away from"


class NoiseModel(Protocol):
    """A DiT, or what computes the same: (latents [B, C, S, S], timestep [B], label [B]) -> [B, C or more, S, S]."""

    @property
    def null_label(self) -> int | None:
        """The label of no class; None for a model that was trained without one."""

    def __call__(self, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor: ...


def guidance_labels(model: NoiseModel, label: Tensor) -> Tensor:
    """[2 B]: label [B], then the null label B times; of a model without a null class ``label`` alone."""
    if model.null_label is None:
        return label
    return torch.cat([label, torch.full_like(label, model.null_label)])


def guided_prediction(
    model: NoiseModel, latents: Tensor, time: float, label: Tensor, scale: float, channels: int
) -> Tensor:
    """Prediction [B, C, S, S] with classifier-free guidance on the first ``channels`` channels.

    Raises ValueError for a ``scale`` other than 1 where the model has no null class.
    """
    labels = guidance_labels(model, label)
    if len(labels) == len(label) and scale != 1:
        raise ValueError(f"{NO_NULL_CLASS}: the guidance scale must be 1, not {scale:g}")
    t = torch.full((len(labels),), float(time), device=latents.device)
    halves = len(labels) // len(label)
    prediction = model(latents.repeat(halves, 1, 1, 1), t, labels)[:, : latents.shape[1]]
    conditional, *unconditional = prediction.chunk(halves)
    return guide(conditional, unconditional[0], scale, channels) if unconditional else conditional


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
    label: Tensor,
    steps: int,
    scale: float,
    on_step: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[float | None, Tensor, Tensor]]:
    """Walks DDIM with classifier-free guidance from noise ``latents`` [B, C, S, S] with ``label`` [B].

    Yields ``(time, latents, guided prediction)`` before each step and finally ``(None, clean latents, zeros)``.
    """
    for index, step in enumerate(plan(process, steps)):
        prediction = guided_prediction(model, latents, step.time, label, scale, process.guided_channels)
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
    label: Tensor,
    steps: int,
    scale: float,
    on_step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Clean latents [B, C, S, S] at the end of a DDIM trajectory."""
    *_, (_, clean, _) = trajectory(model, process, latents, label, steps, scale, on_step)
    return clean


def random_times(process: Process, count: int, generator: torch.Generator) -> Tensor:
    """[count] times at which the network may be asked, float32, as training draws them."""
    path = process.path
    if isinstance(path, Flow):
        level = path.end + (path.start - path.end) * torch.rand(count, generator=generator)
        return path.time_at_data + level * (path.time_at_noise - path.time_at_data)
    return torch.randint(0, path.num_train_timesteps, (count,), generator=generator).float()
