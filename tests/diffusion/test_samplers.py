# SPDX-License-Identifier: Apache-2.0
"""Whole trajectories of every sampler, in torch and in the engine, against diffusers' schedulers and the equations of
SiT and REPA in float64."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
)
from engine_scheduler import EngineScheduler

from hqdit_mobile.diffusion.plan import flow_point, plan
from hqdit_mobile.diffusion.process import Flow, MultistepOptions, Process, VariancePreserving
from hqdit_mobile.diffusion.scheduler_config import process_from_scheduler
from hqdit_mobile.diffusion.trajectory import solver_step

COUNT = 512
SIT = Flow(time_at_noise=0.0, time_at_data=1.0)
STEPS = (1, 2, 5, 14, 20)


def start() -> np.ndarray:
    return np.random.default_rng(3).standard_normal(COUNT).astype(np.float32)


def ideal(x: np.ndarray, alpha: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """(x0, noise) that a perfect network predicts for data that is +0.8 or -0.5, with a spread of 0.4."""
    x, spread = np.asarray(x, np.float64), alpha**2 * 0.4**2 + sigma**2
    high, low = x - alpha * 0.8, x + alpha * 0.5
    weight = 1 / (1 + np.exp(np.clip((high**2 - low**2) / (2 * spread), -60, 60)))
    noise = (weight * high + (1 - weight) * low) * sigma / spread
    # E[x0] by the same mixture, so that alpha may be 0.
    gain = alpha * 0.4**2 / spread
    clean = weight * (0.8 + gain * high) + (1 - weight) * (-0.5 + gain * low)
    return clean, noise


def predicted(kind: str, x: np.ndarray, alpha: float, sigma: float, slopes=(0.0, 0.0)) -> np.ndarray:
    clean, noise = ideal(x, alpha, sigma)
    value = {
        "epsilon": noise,
        "sample": clean,
        "v_prediction": alpha * noise - sigma * clean,
        "velocity": slopes[0] * clean + slopes[1] * noise,
        "score": -noise / sigma,
    }[kind]
    return value.astype(np.float32)


def walk(process: Process, sampler: str, steps: int, network, spacing: str | None = None) -> np.ndarray:
    """The end of a run in torch, which the engine's has to equal; network: (x, its time, step) -> prediction."""
    planned, spacing = plan(process, steps, sampler, spacing), spacing or process.spacing
    engine = EngineScheduler(sampler, spacing, steps, count=COUNT, process=process)
    np.testing.assert_allclose(engine.times, [step.time for step in planned], rtol=1e-15)
    np.testing.assert_allclose(engine.noise_levels, [step.level for step in planned], rtol=1e-15)
    x, before, own = torch.from_numpy(start()), None, start()
    for index, step in enumerate(planned):
        prediction = network(x.numpy(), step)
        following, before = solver_step(step, x, torch.from_numpy(prediction), before)
        own = engine.step(index, network(own, step), own)
        np.testing.assert_allclose(own, following.numpy(), atol=1e-5)
        x = following
    return x.numpy()


def same(got: np.ndarray, expected: np.ndarray, steps: int) -> None:
    """Within 1e-5. The first step divides what diffusers rounds to float32 by the last timestep's alpha, 0.006, and
    runs of one or two steps still show it."""
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 if steps > 2 else 1e-4)


def of_diffusers(scheduler, steps: int, network) -> np.ndarray:
    """network: (x, index of the scheduler's sigmas or its timestep) -> prediction."""
    scheduler.set_timesteps(steps)
    x = torch.from_numpy(start())
    for t in scheduler.timesteps:
        if getattr(scheduler, "step_index", 0) is None:
            scheduler._init_step_index(t)
        x = scheduler.step(torch.from_numpy(network(x.numpy(), t, scheduler)), t, x, return_dict=False)[0]
    return x.numpy()


def discrete(process: Process):
    def network(x, step):
        return predicted(process.prediction, x, step.alpha, step.sigma)

    return network


def ddim_network(kind: str):
    def network(x, t, scheduler):
        level = scheduler.alphas_cumprod[t].item()
        return predicted(kind, x, math.sqrt(level), math.sqrt(1 - level))

    return network


def multistep_network(kind: str):
    def network(x, _, scheduler):
        alpha, sigma = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[scheduler.step_index])
        slopes = (-1.0, 1.0) if scheduler.config.use_flow_sigmas else (0.0, 0.0)
        return predicted(kind, x, alpha.item(), sigma.item(), slopes)

    return network


BETAS = np.linspace(0.001, 0.03, 300).tolist()
SETTINGS = [
    {},
    {"prediction_type": "v_prediction"},
    {"prediction_type": "sample", "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    {"trained_betas": BETAS, "num_train_timesteps": 300},
    {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"},
    {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
    {"rescale_betas_zero_snr": True, "timestep_spacing": "leading"},
]


@pytest.mark.parametrize(
    "settings",
    [
        *({"clip_sample": False} | settings for settings in SETTINGS),
        {},
        {"clip_sample_range": 0.4, "prediction_type": "v_prediction"},
        {"set_alpha_to_one": False, "steps_offset": 1, "clip_sample": False},
    ],
    ids=str,
)
def test_ddim_is_diffusers(settings):
    theirs = DDIMScheduler(**settings)
    process, _ = process_from_scheduler(json.loads(theirs.to_json_string()), 4)
    for steps in STEPS:
        expected = of_diffusers(theirs, steps, ddim_network(process.prediction))
        same(walk(process, "ddim", steps, discrete(process)), expected, steps)


@pytest.mark.parametrize(
    "settings",
    [
        *SETTINGS,
        {"solver_order": 1},
        {"solver_type": "heun"},
        {"solver_type": "heun", "final_sigmas_type": "sigma_min"},
        {"final_sigmas_type": "sigma_min", "lower_order_final": False},
        {"final_sigmas_type": "sigma_min", "euler_at_final": True},
    ],
    ids=str,
)
def test_dpm_solver_is_diffusers(settings):
    theirs = DPMSolverMultistepScheduler(**settings)
    process, notes = process_from_scheduler(json.loads(theirs.to_json_string()), 4)
    assert not notes and process.spacing == settings.get("timestep_spacing", "linspace")
    for steps in STEPS:
        expected = of_diffusers(theirs, steps, multistep_network(process.prediction))
        same(walk(process, "dpm-solver++", steps, discrete(process)), expected, steps)


def flowing(process: Process):
    """In the direction of the network's time."""
    sign = 1 if process.path.time_at_noise > process.path.time_at_data else -1

    def network(x, step):
        point = flow_point(process.path, step.level)
        slopes = sign * point.alpha_slope, sign * point.sigma_slope
        return predicted(process.prediction, x, step.alpha, step.sigma, slopes)

    return network


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("solver", ["midpoint", "heun"])
def test_dpm_solver_of_a_flow_is_diffusers(shift, solver):
    theirs = DPMSolverMultistepScheduler(
        use_flow_sigmas=True, flow_shift=shift, prediction_type="flow_prediction", solver_type=solver
    )
    process, notes = process_from_scheduler(json.loads(theirs.to_json_string()), 4)
    assert not notes and process.sampler == "dpm-solver++"
    for steps in STEPS:
        expected = of_diffusers(theirs, steps, multistep_network("velocity"))
        same(walk(process, "dpm-solver++", steps, flowing(process)), expected, steps)


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("kind", [FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler])
def test_flow_matching_is_diffusers(kind, shift):
    theirs = kind(shift=shift, num_train_timesteps=500)
    process, notes = process_from_scheduler(json.loads(theirs.to_json_string()), 4)
    assert not notes and process.sampler == ("heun" if "Heun" in kind.__name__ else "euler")

    def network(x, t, _):
        s = t.item() / 500
        return predicted("velocity", x, 1 - s, s, (-1.0, 1.0))

    for steps in STEPS[1:]:
        expected = of_diffusers(theirs, steps, network)
        assert [step.time for step in plan(process, steps, process.sampler)] == pytest.approx(
            theirs.timesteps.tolist(), rel=1e-6
        )
        same(walk(process, process.sampler, steps, flowing(process)), expected, steps)


PATHS = {
    "linear": lambda t: (t, 1 - t, 1.0, -1.0),
    "gvp": lambda t: (math.sin(math.pi / 2 * t), math.cos(math.pi / 2 * t),
                      math.pi / 2 * math.cos(math.pi / 2 * t), -math.pi / 2 * math.sin(math.pi / 2 * t)),
}  # fmt: skip


def sit_velocity(x: np.ndarray, t: float, interpolation: str) -> np.ndarray:
    """SiT's: d/dt of alpha(t) data + sigma(t) noise, data at t = 1, in float64."""
    alpha, sigma, alpha_slope, sigma_slope = PATHS[interpolation](t)
    clean, noise = ideal(x, alpha, sigma)
    return alpha_slope * clean + sigma_slope * noise


def ode(interpolation: str, grid: np.ndarray, heun: bool) -> np.ndarray:
    """Euler's or Heun's method over SiT's times, the last step Euler's, as REPA's euler_sampler(heun=True)."""
    x = start().astype(np.float64)
    for index, (t, following) in enumerate(pairwise(grid)):
        slope = sit_velocity(x, t, interpolation)
        end = x + (following - t) * slope
        if heun and index < len(grid) - 2:
            slope = (slope + sit_velocity(end, following, interpolation)) / 2
            end = x + (following - t) * slope
        x = end
    return x


@pytest.mark.parametrize("interpolation", ["linear", "gvp"])
@pytest.mark.parametrize("sampler", ["euler", "heun"])
@pytest.mark.parametrize("reversed_time", [False, True])
def test_flows_by_the_equations_of_sit_and_repa(interpolation, sampler, reversed_time):
    """SiT's time runs from noise (0) to data (1); REPA's from data (0) to noise (1), its velocity is noise - data."""
    ends = (1.0, 0.0) if reversed_time else (0.0, 1.0)
    process = Process(Flow(interpolation, *ends), "velocity", spacing="trailing", sampler=sampler)

    def network(x, step):
        t = 1 - step.time if reversed_time else step.time
        return (sit_velocity(x, t, interpolation) * (-1 if reversed_time else 1)).astype(np.float32)

    for steps in STEPS:
        expected = ode(interpolation, np.linspace(0, 1, steps + 1), sampler == "heun")
        same(walk(process, sampler, steps, network), expected, steps)


@pytest.mark.parametrize("prediction", ["epsilon", "score", "sample"])
@pytest.mark.parametrize("interpolation", ["linear", "gvp"])
def test_other_predictions_of_a_flow(interpolation, prediction):
    """SiT begins and ends a thousandth inside where the network predicts noise or score."""
    process = Process(Flow(interpolation, 0.0, 1.0, start=0.999, end=0.001), prediction, spacing="trailing")
    expected = ode(interpolation, np.linspace(0.001, 0.999, 21), heun=False)
    # A prediction in single precision is divided by alpha, a thousandth at the start.
    np.testing.assert_allclose(walk(process, "euler", 20, flowing(process)), expected, atol=2e-4)


@pytest.mark.parametrize("interpolation", ["linear", "gvp"])
@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
def test_samplers_of_a_flow_meet(interpolation, spacing):
    """All solve the same equation: with many steps the ends are those of a fine integration."""
    process = Process(Flow(interpolation, 0.0, 1.0), "velocity", spacing=spacing)
    truth = ode(interpolation, np.linspace(0, 1, 4001), heun=True)
    for sampler, most in (("ddim", 0.02), ("euler", 0.02), ("heun", 2e-3), ("dpm-solver++", 2e-3)):
        assert np.abs(walk(process, sampler, 100, flowing(process)) - truth).mean() < most, sampler


def test_ddim_of_a_linear_flow_is_euler():
    process = Process(SIT, "velocity", spacing="trailing")
    ddim, euler = (walk(process, sampler, 10, flowing(process)) for sampler in ("ddim", "euler"))
    np.testing.assert_allclose(ddim, euler, atol=1e-6)


def test_options_of_dpm_solver_do_something():
    """So that the tests above cannot agree on options that neither side reads."""
    ends = {}
    for options in (MultistepOptions(), MultistepOptions(1), MultistepOptions(2, "heun")):
        process = Process(VariancePreserving(), multistep=options)
        ends[options] = walk(process, "dpm-solver++", 10, discrete(process))
    first, *others = ends.values()
    assert all(np.abs(first - other).max() > 1e-3 for other in others)
