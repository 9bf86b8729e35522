# SPDX-License-Identifier: Apache-2.0
"""A diffusion process: what a network was trained to undo, apart from the network and from the solver.

A noisy sample is alpha x0 + sigma noise along a path, either that of a table of betas (``VariancePreserving``) or a
flow between data and noise (``Flow``). A Process adds what the network predicts and what a run needs besides. The same
description is in Python, in a bundle's manifest and in the engine (docs/engine.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

BETA_SCHEDULES = ("linear", "scaled_linear", "tabulated")
INTERPOLATIONS = ("linear", "gvp")
PREDICTIONS = ("epsilon", "v_prediction", "velocity", "sample", "score")
SPACINGS = ("leading", "trailing", "linspace")
SAMPLERS = ("ddim", "dpm-solver++", "euler", "heun")


class ProcessError(ValueError):
    """A process, or a run of one, that cannot be; the message names the field and the fix."""


@dataclass(frozen=True)
class VariancePreserving:
    """Discrete timesteps 0 (almost clean) to num_train_timesteps - 1, alpha^2 + sigma^2 = 1, as in DDPM and diffusers.

    alphas_cumprod: alpha^2 of each timestep, of the beta_schedule "tabulated" alone.
    set_alpha_to_one, steps_offset: where a run ends and what its leading spacing adds, as diffusers' DDIMScheduler.
    """

    num_train_timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    beta_schedule: str = "linear"
    steps_offset: int = 0
    set_alpha_to_one: bool = True
    alphas_cumprod: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _choice("beta_schedule", self.beta_schedule, BETA_SCHEDULES)
        _whole("num_train_timesteps", self.num_train_timesteps, 1, 1_000_000)
        _whole("steps_offset", self.steps_offset, 0, self.num_train_timesteps - 1)
        if self.beta_schedule == "tabulated":
            levels = np.array(self.alphas_cumprod)
            if levels.shape != (self.num_train_timesteps,):
                raise ProcessError(f"alphas_cumprod must hold {self.num_train_timesteps} numbers, not {levels.size}")
            if not (levels[0] < 1 and levels[-1] >= 0 and (np.diff(levels) < 0).all()):
                raise ProcessError("alphas_cumprod must fall from below 1 to 0 or above: every beta must be in 0 .. 1")
        elif not 0 < self.beta_start <= self.beta_end < 1:
            raise ProcessError("betas must satisfy 0 < beta_start <= beta_end < 1")
        elif not self.levels[-1] > 0:
            raise ProcessError("betas are too large: no signal is left at the last training timestep")

    @classmethod
    def of_betas(cls, betas: np.ndarray, **settings: Any) -> VariancePreserving:
        """The path of any betas [num_train_timesteps], such as diffusers' trained_betas."""
        alphas = (1 - np.asarray(betas, dtype=np.float32)).astype(np.float64)
        levels = np.cumprod(alphas).astype(np.float32)
        return cls(len(levels), beta_schedule="tabulated", alphas_cumprod=tuple(levels.tolist()), **settings)

    @classmethod
    def cosine(cls, num_train_timesteps: int = 1000, **settings: Any) -> VariancePreserving:
        """squaredcos_cap_v2 (Nichol and Dhariwal, arXiv 2102.09672, equation 17, betas at most 0.999)."""
        time = np.arange(num_train_timesteps + 1, dtype=np.float64) / num_train_timesteps
        bar = np.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
        return cls.of_betas(np.minimum(1 - bar[1:] / bar[:-1], 0.999), **settings)

    def with_zero_terminal_snr(self) -> VariancePreserving:
        """No signal at the last timestep (Lin et al., arXiv 2305.08891, algorithm 1)."""
        root = np.sqrt(self.levels)
        shifted = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
        levels = np.square(shifted).astype(np.float32).tolist()
        return replace(self, beta_schedule="tabulated", alphas_cumprod=tuple(levels))

    @cached_property
    def levels(self) -> np.ndarray:
        """alphas_cumprod, float64 [num_train_timesteps]: rounded to float32 on the way as diffusers', bit for bit the
        engine's."""
        if self.beta_schedule == "tabulated":
            return np.array(self.alphas_cumprod, dtype=np.float64)
        n, scaled = self.num_train_timesteps, self.beta_schedule == "scaled_linear"
        ends = np.array([self.beta_start, self.beta_end])
        start, end = (np.sqrt(ends) if scaled else ends).astype(np.float32)
        step = (end - start) / np.float32(max(n - 1, 1))
        i = np.arange(n, dtype=np.float32)
        betas = np.where(i < n // 2, start + step * i, end - step * (np.float32(n - 1) - i))
        alphas = np.float32(1) - (betas * betas if scaled else betas)
        return np.cumprod(alphas.astype(np.float64)).astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class Flow:
    """Data and noise joined over a noise level s, 0 (data) to 1 (noise).

    interpolation: "linear", alpha = 1 - s and sigma = s; or "gvp", alpha = cos(pi s / 2) and sigma = sin(pi s / 2).
    time_at_noise, time_at_data: the network's time at both ends; in between it is linear in s.
    shift: a run's levels s become shift s / (1 + (shift - 1) s) (Esser et al., arXiv 2403.03206, equation 23).
    start, end: the levels at which a run begins and ends; a network that predicts noise has to begin below 1.
    num_train_timesteps: the number of levels in training, for the spacings that leave out the last of them.
    """

    interpolation: str = "linear"
    time_at_noise: float = 1.0
    time_at_data: float = 0.0
    shift: float = 1.0
    start: float = 1.0
    end: float = 0.0
    num_train_timesteps: int = 1000

    def __post_init__(self) -> None:
        _choice("interpolation", self.interpolation, INTERPOLATIONS)
        _whole("num_train_timesteps", self.num_train_timesteps, 1, 1_000_000)
        for name in ("time_at_noise", "time_at_data"):
            if not abs(getattr(self, name)) <= 1e6:
                raise ProcessError(f"{name} must be in -1000000 .. 1000000, not {getattr(self, name)}")
        if self.time_at_noise == self.time_at_data:
            raise ProcessError("time_at_noise and time_at_data must differ")
        if not 1e-3 <= self.shift <= 1e3:
            raise ProcessError(f"shift must be in 0.001 .. 1000, not {self.shift}")
        if not 0 <= self.end < self.start <= 1:
            raise ProcessError(f"start and end must satisfy 0 <= end < start <= 1, not {self.start} and {self.end}")


@dataclass(frozen=True)
class MultistepOptions:
    """DPM-Solver++'s, in the terms of diffusers' DPMSolverMultistepScheduler; all but order and solver_type say how a
    run ends."""

    solver_order: int = 2
    solver_type: str = "midpoint"
    lower_order_final: bool = True
    euler_at_final: bool = False
    final_sigmas_type: str = "zero"

    def __post_init__(self) -> None:
        _whole("solver_order", self.solver_order, 1, 2)
        _choice("solver_type", self.solver_type, ("midpoint", "heun"))
        _choice("final_sigmas_type", self.final_sigmas_type, ("zero", "sigma_min"))


@dataclass(frozen=True)
class Process:
    """A path, what the network predicts along it, and how a run goes by default.

    Attributes:
        path: how signal and noise mix, from data to noise.
        prediction: "epsilon" (the noise), "v_prediction" (alpha noise - sigma x0, Salimans and Ho, arXiv 2202.00512),
            "velocity" (the derivative of the sample in the direction in which the network's time runs from noise to
            data or from data to noise, per unit of s), "sample" (x0) or "score".
        guided_channels: classifier-free guidance changes the first so many channels; diffusers guides all of them, the
            original DiT and SiT three.
        clip_sample_range: the predicted x0 is clipped to +- this; None for no clipping.
        spacing: default of a run: "leading", "trailing" or "linspace".
        sampler: default of a run, one of ``samplers``.
        multistep: how DPM-Solver++ runs.

    Raises:
        ProcessError: a field, or two of them together, make no sense; the message names it.
    """

    path: VariancePreserving | Flow = field(default_factory=VariancePreserving)
    prediction: str = "epsilon"
    guided_channels: int = 4
    clip_sample_range: float | None = None
    spacing: str = "leading"
    sampler: str = "dpm-solver++"
    multistep: MultistepOptions = field(default_factory=MultistepOptions)

    def __post_init__(self) -> None:
        _choice("prediction", self.prediction, PREDICTIONS)
        _choice("spacing", self.spacing, SPACINGS)
        _whole("guided_channels", self.guided_channels, 1, 65536)
        if self.sampler not in self.samplers:
            raise ProcessError(f"sampler must be one of {', '.join(self.samplers)}, not {self.sampler!r}")
        flow = isinstance(self.path, Flow)
        if self.prediction == ("v_prediction" if flow else "velocity"):
            other = "betas: the flow's own is velocity" if flow else "a flow: that of betas is v_prediction"
            raise ProcessError(f"prediction {self.prediction!r} belongs to a process with {other}")
        if self.clip_sample_range is not None and (flow or not 0 < self.clip_sample_range <= 1e6):
            raise ProcessError("clip_sample_range must be above 0, and belongs to a process with betas")
        if isinstance(self.path, Flow) and self.path.start == 1 and self.prediction in ("epsilon", "score"):
            raise ProcessError(
                f"prediction {self.prediction!r} says nothing at level 1: let the flow start below, at 0.999"
            )

    @property
    def samplers(self) -> tuple[str, ...]:
        """The solvers that this process can be drawn with."""
        return SAMPLERS if isinstance(self.path, Flow) else SAMPLERS[:2]

    @property
    def num_train_timesteps(self) -> int:
        """Timesteps, or levels of a flow, in training."""
        return self.path.num_train_timesteps

    def differences(self, other: Process) -> list[str]:
        """Tells processes apart that differ even when both are drawn with the same solver.

        Args:
            other: what this one is compared with.

        Returns:
            The names of the fields that differ, ``sampler`` and ``multistep`` left out.
        """
        names = [field.name for field in fields(self) if field.name not in ("sampler", "multistep")]
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    def to_json(self) -> dict[str, Any]:
        """Describes the process.

        Returns:
            The manifest's "process" object.
        """
        kind = "flow" if isinstance(self.path, Flow) else "variance_preserving"
        parts = {"path": {"kind": kind} | _values(self.path), "multistep": _values(self.multistep)}
        return _values(self) | parts

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Process:
        """The inverse of to_json.

        Args:
            value: the manifest's "process" object.

        Returns:
            The process.

        Raises:
            ProcessError: a field is missing, unknown or out of range; the message names it.
        """
        path = dict(_members("path", value.get("path")))
        kinds: dict[str, type[VariancePreserving | Flow]] = {"variance_preserving": VariancePreserving, "flow": Flow}
        kind = path.pop("kind", None)
        if kind not in kinds:
            raise ProcessError(f"path.kind must be one of {', '.join(kinds)}, not {kind!r}")
        if "alphas_cumprod" in path:
            path["alphas_cumprod"] = tuple(path["alphas_cumprod"])
        parts = {"path": _build(kinds[kind], "path.", path)}
        parts |= {"multistep": _build(MultistepOptions, "multistep.", _members("multistep", value.get("multistep")))}
        made: Process = _build(cls, "", dict(value) | parts)
        return made


# Fields that a JSON object leaves out where they are empty.
OPTIONAL = ("clip_sample_range", "alphas_cumprod")


def _values(settings: Any) -> dict[str, Any]:
    values = {f.name: getattr(settings, f.name) for f in fields(settings)}
    return {name: value for name, value in values.items() if name not in OPTIONAL or value not in (None, ())}


def _members(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ProcessError(f"{name} must be an object")
    return value


def _build(kind: type, prefix: str, values: Mapping[str, Any]) -> Any:
    names = {f.name for f in fields(kind)}
    for name in values:
        if name not in names:
            raise ProcessError(f"{prefix}{name} is not known; known are {', '.join(sorted(names))}")
    for name in sorted(names - values.keys()):
        if name not in OPTIONAL:
            raise ProcessError(f"{prefix}{name} is missing")
    try:
        return kind(**values)
    except TypeError as error:
        raise ProcessError(f"{prefix.rstrip('.') or 'process'}: a value has the wrong type ({error})") from error


def _choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ProcessError(f"{name} {value!r} is not one of {', '.join(known)}")


def _whole(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ProcessError(f"{name} must be a whole number in {low} .. {high}, not {value!r}")
