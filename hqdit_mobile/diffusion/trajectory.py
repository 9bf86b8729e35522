# SPDX-License-Identifier: Apache-2.0
"""The reference sampler: DDIM with classifier-free guidance, in torch and float64 coefficients.

Calibration, parity and evaluation walk the same trajectories with it; the C++ engine is what users sample with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from hqdit_mobile.diffusion.rng import normal


@dataclass(frozen=True)
class SchedulerConfig:
    """The noise schedule of a model, in the terms of diffusers' scheduler_config.json."""

    num_train_timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    beta_schedule: str = "linear"
    prediction_type: str = "epsilon"
    timestep_spacing: str = "leading"
    steps_offset: int = 0
    set_alpha_to_one: bool = True

    def __post_init__(self) -> None:
        if self.beta_schedule not in ("linear", "scaled_linear"):
            raise ValueError(f"beta_schedule {self.beta_schedule!r} is not supported: use linear or scaled_linear")
        if self.prediction_type != "epsilon":
            raise ValueError(f"prediction_type {self.prediction_type!r} is not supported: it must be epsilon")
        if self.timestep_spacing not in ("leading", "trailing", "linspace"):
            raise ValueError(f"timestep_spacing {self.timestep_spacing!r} is not one of leading, trailing, linspace")

    def alphas_cumprod(self) -> Tensor:
        """[num_train_timesteps] float64: rounded to float32 on the way as diffusers', bit for bit the engine's."""
        n, scaled = self.num_train_timesteps, self.beta_schedule == "scaled_linear"
        ends = torch.tensor([self.beta_start, self.beta_end], dtype=torch.float64)
        start, end = (ends.sqrt() if scaled else ends).float()
        step = (end - start) / max(n - 1, 1)
        i = torch.arange(n, dtype=torch.float32)
        betas = torch.where(i < n // 2, start + step * i, end - step * (n - 1 - i))
        alphas = 1 - (betas * betas if scaled else betas)
        return torch.cumprod(alphas.double(), dim=0).float().double()

    def timesteps(self, steps: int) -> list[int]:
        """The timesteps of a run, noisiest first (diffusers' DDIMScheduler.set_timesteps)."""
        total = self.num_train_timesteps
        if not 1 <= steps <= total:
            raise ValueError(f"steps must be 1..{total}, not {steps}")
        if self.timestep_spacing == "leading":
            return [i * (total // steps) + self.steps_offset for i in reversed(range(steps))]
        if self.timestep_spacing == "trailing":
            return [round(total - i * total / steps) - 1 for i in range(steps)]
        grid = torch.linspace(0, total - 1, steps, dtype=torch.float64).round().long()
        return grid.flip(0).tolist()


class NoiseModel(Protocol):
    """A DiT, or what computes the same: (latents [B, C, S, S], timestep [B], label [B]) -> [B, C or more, S, S]."""

    @property
    def null_label(self) -> int: ...

    def __call__(self, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor: ...


def guided_noise(
    model: NoiseModel, latents: Tensor, timestep: int, label: Tensor, scale: float, channels: int
) -> Tensor:
    """Noise prediction [B, C, S, S] with classifier-free guidance on the first ``channels`` channels.

    diffusers guides all latent channels, the original DiT code the first three.
    """
    t = torch.full((2 * len(latents),), float(timestep), device=latents.device)
    labels = torch.cat([label, torch.full_like(label, model.null_label)])
    noise = model(torch.cat([latents, latents]), t, labels)[:, : latents.shape[1]]
    conditional, unconditional = noise.chunk(2)
    return guide(conditional, unconditional, scale, channels)


def guide(conditional: Tensor, unconditional: Tensor, scale: float, channels: int) -> Tensor:
    """Classifier-free guidance of two predictions [B, C, S, S], or of their errors."""
    guided = unconditional + scale * (conditional - unconditional)
    return torch.cat([guided[:, :channels], conditional[:, channels:]], dim=1)


def ddim_step(config: SchedulerConfig, alphas: Tensor, latents: Tensor, noise: Tensor, t: int, steps: int) -> Tensor:
    """One deterministic DDIM step (Song et al., arXiv 2010.02502, equation 12 with eta = 0).

    In float64 and in the engine's order: a last bit that differs would grow in the next step's quantized layers.
    """
    previous = t - config.num_train_timesteps // steps
    final = 1.0 if config.set_alpha_to_one else alphas[0].item()
    alpha, sigma = _level(alphas[t].item())
    alpha_previous, sigma_previous = _level(alphas[previous].item() if previous >= 0 else final)
    x = latents.double()
    clean = (x - sigma * noise.double()) / alpha
    kept = sigma_previous / sigma  # the noise is (x - alpha clean) / sigma
    return (kept * x + (alpha_previous - kept * alpha) * clean).to(latents.dtype)


def _level(alpha_cumprod: float) -> tuple[float, float]:
    return math.sqrt(alpha_cumprod), math.sqrt(1 - alpha_cumprod)


@dataclass(frozen=True)
class Guidance:
    scale: float = 4.0
    channels: int = 4


# The settings of an engine that walks the same trajectory, whatever its bundle's defaults are.
IN_ENGINE = {"scheduler": "ddim", "guidance_interval": (0.0, 1.0)}


@torch.no_grad()
def trajectory(
    model: NoiseModel,
    config: SchedulerConfig,
    latents: Tensor,
    label: Tensor,
    steps: int,
    guidance: Guidance,
    on_step: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Walks DDIM from noise ``latents`` [B, C, S, S] with ``label`` [B].

    Yields ``(timestep, latents, guided noise)`` before each step and finally ``(-1, clean latents, zeros)``.
    """
    alphas = config.alphas_cumprod()
    for index, t in enumerate(config.timesteps(steps)):
        noise = guided_noise(model, latents, t, label, guidance.scale, guidance.channels)
        yield t, latents, noise
        latents = ddim_step(config, alphas, latents, noise, t, steps)
        if on_step:
            on_step(index + 1, steps)
    yield -1, latents, torch.zeros_like(latents)


def initial_noise(latent_shape: Sequence[int], seed: int) -> Tensor:
    """The engine's starting noise for ``seed``: float32 [1, C, S, S] for a latent_shape [C, S, S]."""
    return torch.from_numpy(normal(seed, 0, math.prod(latent_shape))).reshape(1, *latent_shape)


def sample_latents(
    model: NoiseModel, config: SchedulerConfig, latents: Tensor, label: Tensor, steps: int, guidance: Guidance
) -> Tensor:
    """Clean latents [B, C, S, S] at the end of a DDIM trajectory."""
    *_, (_, clean, _) = trajectory(model, config, latents, label, steps, guidance)
    return clean
