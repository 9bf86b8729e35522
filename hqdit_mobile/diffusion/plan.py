# SPDX-License-Identifier: Apache-2.0
"""The steps of a run: when the network is asked, and how a sample follows from its answers.

Every solver is a list of steps of one form, the engine's (export/sampler/src/scheduler.h). In float64 and in the
engine's order: a last bit that differs would grow in the next step's quantized layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from hqdit_mobile.diffusion.process import SPACINGS, Flow, Process, ProcessError, VariancePreserving

# What diffusers' DPM-Solver++ takes for a signal of zero, whose logarithm it needs.
LEAST_ALPHA_CUMPROD = 2.0**-24
LONG_RUN = 15  # steps from which lower_order_final has no effect, as in diffusers


@dataclass(frozen=True)
class SolverStep:
    """One evaluation of the network at ``time``, and what follows. With the predicted clean sample
    x0 = (from_sample x - from_prediction prediction) / divisor, the next sample is

        sample x + clean x0 + previous (x0 of the step before) + random z

    with z standard normal. clip_range above 0 clips x0, which moves the next sample by clip_gain (clipped - x0).
    level: of noise, 0 to 1, by which guidance intervals go. alpha, sigma: of the sample x.
    """

    time: float
    level: float
    alpha: float
    sigma: float
    from_sample: float
    from_prediction: float
    divisor: float
    sample: float
    clean: float
    previous: float = 0.0
    random: float = 0.0
    clip_range: float = 0.0
    clip_gain: float = 0.0


@dataclass(frozen=True)
class Point:
    """A place on a path: x = alpha x0 + sigma noise. The slopes are derivatives by the noise level of a flow."""

    time: float
    level: float
    alpha: float
    sigma: float
    alpha_slope: float = 0.0
    sigma_slope: float = 0.0

    @property
    def log_snr(self) -> float:
        """Half of it: log(alpha / sigma)."""
        return math.log(self.alpha / self.sigma)


def plan(
    process: Process, steps: int, sampler: str = "ddim", spacing: str | None = None, eta: float = 0.0
) -> list[SolverStep]:
    """The steps of a run, noisiest first: ``steps`` of them, 2 steps - 1 for Heun's method, which asks twice a step.

    eta: DDIM's share of fresh noise, of a process with betas. Raises ProcessError for what the process cannot have.
    """
    spacing = process.spacing if spacing is None else spacing
    if sampler not in process.samplers:
        raise ProcessError(f"this process has the schedulers {', '.join(process.samplers)}, not {sampler!r}")
    if spacing not in SPACINGS:
        raise ProcessError(f"spacing must be one of {', '.join(SPACINGS)}, not {spacing!r}")
    if not 1 <= steps <= process.num_train_timesteps:
        raise ProcessError(f"steps must be 1..{process.num_train_timesteps}, not {steps}")
    if not 0 <= eta <= 1 or (eta > 0 and (sampler != "ddim" or isinstance(process.path, Flow))):
        raise ProcessError(f"eta must be in 0 .. 1, and above 0 for ddim on a process with betas only, not {eta}")
    path = process.path
    if isinstance(path, Flow):
        points = _flow_points(path, steps, spacing)
    else:
        points = _discrete_points(process, path, steps, sampler, spacing)
    try:
        solved = _solve(process, points, steps, sampler, eta)
    except ZeroDivisionError as error:
        raise ProcessError("noise levels are too near to each other: take fewer steps, or ddim") from error
    return [_with_prediction(process, step) for step in solved]


def _solve(process: Process, points: list[Point], steps: int, sampler: str, eta: float) -> list[SolverStep]:
    path = process.path
    if sampler == "ddim":
        ends = points[1:] if isinstance(path, Flow) else _ddim_ends(path, points[:-1], steps)
        return [_ddim(point, end, eta) for point, end in zip(points, ends, strict=False)]
    if sampler == "dpm-solver++":
        return list(_dpm_solver(process, points))
    if sampler == "euler":
        return [_euler(point, end) for point, end in pairwise(points)]
    return list(_heun(points))


def flow_point(path: Flow, level: float) -> Point:
    """The point of a flow at a noise level in 0 .. 1."""
    time = path.time_at_data + level * (path.time_at_noise - path.time_at_data)
    if path.interpolation == "linear":
        return Point(time, level, 1 - level, level, -1.0, 1.0)
    # Sine and cosine of at most an eighth of a turn: exact at both ends.
    low = level <= 0.5
    angle = (level if low else 1 - level) * (math.pi / 2)
    small, large = math.sin(angle), math.cos(angle)
    alpha, sigma = (large, small) if low else (small, large)
    return Point(time, level, alpha, sigma, -(math.pi / 2) * sigma, (math.pi / 2) * alpha)


def timesteps(path: VariancePreserving, steps: int, spacing: str, points: int | None = None) -> list[int]:
    """The timesteps of a run, noisiest first (diffusers' set_timesteps).

    points: in the whole range, of which the last are left out; DPM-Solver++ places one more than it visits.
    """
    total, points = path.num_train_timesteps, points or steps
    if spacing == "leading":
        visited = [(points - 1 - i) * (total // points) + path.steps_offset for i in range(steps)]
    elif spacing == "trailing":
        stride = (total - total / steps) - total  # numpy.arange's, the rounded difference of its first two numbers
        visited = [round(total + i * stride) - 1 for i in range(steps)]
    else:
        stride = (total - 1) / (points - 1) if points > 1 else 0.0
        visited = [round((points - 1 - i) * stride) for i in range(steps)]
        visited[0] = total - 1 if points > 1 else 0
    if visited[0] >= total or visited[-1] < 0 or any(a <= b for a, b in pairwise(visited)):
        raise ProcessError(
            f"{steps} steps do not fit this scheduler and spacing with steps_offset {path.steps_offset}: "
            "take fewer, or another spacing"
        )
    return visited


def _discrete_points(process: Process, path: VariancePreserving, steps: int, sampler: str, spacing: str) -> list[Point]:
    """Those visited and the end of the run."""
    multistep = sampler == "dpm-solver++"
    visited = timesteps(path, steps, spacing, steps + 1 if multistep else steps)
    least = LEAST_ALPHA_CUMPROD if multistep else 0.0
    points = [_discrete_point(path, t, least) for t in visited]
    clean = not multistep or process.multistep.final_sigmas_type == "zero"
    return [*points, Point(0.0, 0.0, 1.0, 0.0) if clean else _discrete_point(path, 0)]


def _discrete_point(path: VariancePreserving, timestep: int, least: float = 0.0) -> Point:
    squared = float(path.levels[timestep]) or least
    level = float(np.float32(timestep) / np.float32(path.num_train_timesteps))
    return Point(float(timestep), level, math.sqrt(squared), math.sqrt(1 - squared))


def _ddim_ends(path: VariancePreserving, points: list[Point], steps: int) -> Iterator[Point]:
    """num_train_timesteps / steps below, as in diffusers, which is not always the next timestep of the list."""
    last = Point(0.0, 0.0, 1.0, 0.0) if path.set_alpha_to_one else _discrete_point(path, 0)
    for point in points:
        end = int(point.time) - path.num_train_timesteps // steps
        yield _discrete_point(path, end) if end >= 0 else last


def _flow_points(path: Flow, steps: int, spacing: str) -> list[Point]:
    """Those visited and the end of the run. trailing: even from 1 to 0. linspace: from 1 to the last level of training,
    as FlowMatchEulerDiscreteScheduler. leading: even from the first but one, as DPM-Solver++ with use_flow_sigmas."""
    total = path.num_train_timesteps
    if spacing == "trailing":
        grid = [(steps - i) / steps for i in range(steps)]
    elif spacing == "leading":
        grid = [(1 - 1 / total) * ((steps - i) / steps) for i in range(steps)]
    else:
        stride = (_shifted(path, 1 / total) - 1) / (steps - 1) if steps > 1 else 0.0
        grid = [1 + i * stride for i in range(steps)]
    levels = [path.end + (path.start - path.end) * _shifted(path, s) for s in grid]
    return [flow_point(path, s) for s in [*levels, path.end]]


def _shifted(path: Flow, level: float) -> float:
    return path.shift * level / (1 + (path.shift - 1) * level)


def _step(point: Point, sample: float, clean: float, **more: float) -> SolverStep:
    return SolverStep(point.time, point.level, point.alpha, point.sigma, 0.0, 0.0, 1.0, sample, clean, **more)


def _ddim(point: Point, end: Point, eta: float) -> SolverStep:
    """Song et al., arXiv 2010.02502, equations 12 and 16, with the noise written as (x - alpha x0) / sigma."""
    deviation = 0.0
    if eta > 0:
        kept = 1.0 - (point.alpha * point.alpha) / (end.alpha * end.alpha)
        variance = (end.sigma * end.sigma) / (point.sigma * point.sigma) * kept
        deviation = eta * math.sqrt(max(0.0, variance))
    direction = math.sqrt(max(0.0, end.sigma * end.sigma - deviation * deviation))
    sample = direction / point.sigma
    return _step(point, sample, end.alpha - sample * point.alpha, random=deviation, clip_gain=end.alpha)


def _dpm_solver(process: Process, points: list[Point]) -> Iterator[SolverStep]:
    """Algorithm 2 of Lu et al., arXiv 2211.01095. alpha_t (1 - exp(-h)) is written without exp: exp(-h) is a ratio of
    signal-to-noise ratios."""
    options, last = process.multistep, len(points) - 2
    for index, (point, end) in enumerate(pairwise(points)):
        sample = end.sigma / point.sigma
        gain = end.alpha - point.alpha * sample
        lower = options.solver_order == 1 or index == 0 or end.sigma == 0 or points[index - 1].alpha == 0
        short = options.euler_at_final or (options.lower_order_final and last + 1 < LONG_RUN)
        extrapolation = 0.0
        if not lower and not (index == last and short):
            h = end.log_snr - point.log_snr
            ratio = h / (point.log_snr - points[index - 1].log_snr)
            midpoint = options.solver_type == "midpoint"
            extrapolation = (0.5 * gain if midpoint else end.alpha - gain / h if h > 0 else 0.0) * ratio
        clean = gain + extrapolation
        yield _step(point, sample, clean, previous=-extrapolation, clip_gain=clean)


def _slope(point: Point) -> tuple[float, float]:
    """dx/ds = first x + second x0, of a flow at this point."""
    growth = point.sigma_slope / point.sigma
    return growth, point.alpha_slope - point.alpha * growth


def _euler(point: Point, end: Point) -> SolverStep:
    growth, drift = _slope(point)
    width = end.level - point.level
    return _step(point, 1 + width * growth, width * drift)


def _heun(points: list[Point]) -> Iterator[SolverStep]:
    """An Euler step, then half of it taken back and the slope at its end in its place; the last step is Euler's, as in
    EDM, REPA and diffusers. The sample before comes back as (x - clean x0 of the step before) / sample."""
    for index, (point, end) in enumerate(pairwise(points)):
        euler = _euler(point, end)
        yield euler
        if index == len(points) - 2:
            return
        half = 0.5 / euler.sample
        growth, drift = _slope(end)
        width = 0.5 * (end.level - point.level)
        yield _step(end, half + 0.5 + width * growth, width * drift, previous=-half * euler.clean)


def _with_prediction(process: Process, step: SolverStep) -> SolverStep:
    """The one place that says how the clean sample follows from what the network predicts."""
    from_sample, from_prediction, divisor = 1.0, step.sigma, step.alpha  # epsilon: x0 = (x - sigma noise) / alpha
    if process.prediction == "score":  # noise = -sigma score
        from_prediction = -step.sigma * step.sigma
    elif process.prediction == "sample":
        from_sample, from_prediction, divisor = 0.0, -1.0, 1.0
    elif process.prediction == "v_prediction":
        from_sample, divisor = step.alpha, 1.0
    elif isinstance(process.path, Flow) and process.prediction == "velocity":
        point = flow_point(process.path, step.level)
        forward = process.path.time_at_noise > process.path.time_at_data
        from_sample, from_prediction = point.sigma_slope, point.sigma if forward else -point.sigma
        divisor = point.alpha * point.sigma_slope - point.alpha_slope * point.sigma
    if divisor == 0:
        raise ProcessError(
            f"the network predicts {process.prediction}, which says nothing at time {step.time:g}, where no signal is "
            "left: take the leading spacing"
        )
    if not math.isfinite(step.sample + step.clean + step.previous + step.random):
        raise ProcessError(
            f"the noise levels around time {step.time:g} are too near to each other: take fewer steps, or ddim"
        )
    clip = process.clip_sample_range
    return replace(
        step,
        from_sample=from_sample,
        from_prediction=from_prediction,
        divisor=divisor,
        clip_range=clip or 0.0,
        clip_gain=step.clip_gain if clip else 0.0,
    )
