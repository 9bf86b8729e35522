# SPDX-License-Identifier: Apache-2.0
"""The engine's DDIM and DPM-Solver++ against diffusers' schedulers."""

import ctypes
import re
from ctypes import byref, c_size_t, c_void_p, sizeof

import numpy as np
import pytest
from engine_scheduler import EngineScheduler, diffusers_scheduler, reference_step

from hqdit_mobile.diffusion.plan import plan
from hqdit_mobile.diffusion.process import SAMPLERS as KINDS
from hqdit_mobile.diffusion.process import SPACINGS, Process, ProcessError, VariancePreserving
from hqdit_mobile.runtime.scheduler import SchedulerOptions as Options

COUNT = 4 * 32 * 32
STEPS = [*range(4, 26), 28, 30, 33, 36, 40, 45, 49, 50]
SCHEDULES = [
    {},
    {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    {"steps_offset": 1, "num_train_timesteps": 700},
]


def predicted_noise(sample: np.ndarray, alpha_cumprod: float) -> np.ndarray:
    """The exact noise prediction for data that is +0.8 or -0.5, with a spread of 0.4, in every entry."""
    alpha, variance = alpha_cumprod**0.5, 1 - alpha_cumprod
    spread = alpha_cumprod * 0.4**2 + variance
    x = sample.astype(np.float64)
    high, low = x - alpha * 0.8, x + alpha * 0.5
    weight = 1 / (1 + np.exp(np.clip((high**2 - low**2) / (2 * spread), -60, 60)))
    return ((weight * high + (1 - weight) * low) * variance**0.5 / spread).astype(np.float32)


def noise_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(COUNT).astype(np.float32)


def check_trajectory(kind: str, spacing: str, steps: int, eta: float = 0.0, **schedule) -> None:
    engine = EngineScheduler(kind, spacing, steps, eta, **schedule)
    diffusers = diffusers_scheduler(kind, spacing, **schedule)
    diffusers.set_timesteps(steps)
    assert engine.timesteps == diffusers.timesteps.tolist()
    # One engine steps along diffusers' samples: each step alone. The other walks by itself: errors add up.
    follower = EngineScheduler(kind, spacing, steps, eta, **schedule)
    expected = own = noise_of(0)
    for index, timestep in enumerate(engine.timesteps):
        alpha = diffusers.alphas_cumprod[timestep].item()
        random = noise_of(index + 1) if eta else None
        noise = predicted_noise(expected, alpha)
        stepped = follower.step(index, noise, expected, random)
        own = engine.step(index, predicted_noise(own, alpha), own, random)
        expected = reference_step(diffusers, noise, timestep, expected, eta, random)
        assert np.abs(stepped - expected).max() <= 1e-5, (steps, index)
        assert np.abs(own - expected).max() <= 1e-5, (steps, index)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("kind", KINDS[:2])
def test_every_step_equals_diffusers(kind, spacing):
    for steps in STEPS:
        check_trajectory(kind, spacing, steps)


@pytest.mark.parametrize("eta", [0.3, 1.0])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_ddim_with_fresh_noise(spacing, eta):
    for steps in (4, 7, 20, 50):
        check_trajectory("ddim", spacing, steps, eta)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_other_noise_schedules(kind, spacing, schedule):
    for steps in (2, 3, 10, 27):
        check_trajectory(kind, spacing, steps, **schedule)


def test_ddim_ends_at_the_first_timestep_if_told():
    check_trajectory("ddim", "leading", 20, set_alpha_to_one=False)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("kind", KINDS[:2])
def test_timesteps_for_every_number_of_steps(kind, spacing):
    """Equal to diffusers', or refused where diffusers would visit a timestep twice.

    diffusers' trailing spacing has a flaw for some numbers (61 is the first): numpy.arange gives it one element more, a
    timestep of -1. The engine does not repeat it.
    """
    refused = []
    reference = diffusers_scheduler(kind, spacing)
    for steps in range(1, 1001):
        reference.set_timesteps(steps)
        expected = reference.timesteps.tolist()
        if len(expected) == steps + 1:
            assert spacing == "trailing" and expected.pop() == -1
        assert len(expected) == steps
        if len(set(expected)) == steps:
            assert EngineScheduler(kind, spacing, steps, count=1).timesteps == expected
        else:
            refused.append(steps)
            with pytest.raises(ValueError, match="do not fit"):
                EngineScheduler(kind, spacing, steps, count=1)
    assert refused == ([1000] if kind == "dpm-solver++" and spacing != "trailing" else [])


def refuse(message: str, **fields) -> None:
    """These options, each beside valid others, are refused by the engine itself."""
    library = EngineScheduler("ddim", "leading", 4, count=1).library
    options, handle = Options(), c_void_p()
    library.hqdit_scheduler_options_init(byref(options), sizeof(options))
    for name, value in fields.items():
        setattr(options, name, value)
    assert library.hqdit_scheduler_create(options, 4, byref(handle)) == 3
    assert not handle.value and re.search(message, library.hqdit_last_error().decode())


VELOCITY = {"path": 1, "prediction": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be in"),
        ({"steps": 1001}, "steps must be in"),
        ({"kind": 4}, "has the schedulers ddim, dpm-solver\\+\\+, not \\? \\(4\\)"),
        ({"kind": 2}, "has the schedulers ddim, dpm-solver\\+\\+, not euler"),
        ({"kind": -1}, "has the schedulers"),
        ({"spacing": 3}, "unknown timestep spacing 3"),
        ({"eta": 1.5}, "eta must be in"),
        ({"eta": float("nan")}, "eta must be in"),
        ({"kind": 1, "eta": 0.5}, "eta belongs to DDIM"),
        ({"beta_start": 0.0}, "betas must satisfy"),
        ({"beta_end": 1.0}, "betas must satisfy"),
        ({"beta_start": 0.9, "beta_end": 0.99}, "betas are too large"),
        ({"num_train_timesteps": 0}, "num_train_timesteps must be in"),
        ({"steps_offset": 1000}, "steps_offset must be in"),
        ({"steps": 1000, "steps_offset": 1}, "do not fit"),
        ({"path": 3}, "unknown path 3"),
        ({"prediction": 5}, "unknown prediction 5"),
        ({"prediction": 2}, "velocity belongs to a flow"),
        ({"clip_sample_range": -1.0}, "clip_sample_range must be in"),
        ({"solver_order": 3}, "solver_order must be 1 or 2"),
        (VELOCITY | {"eta": 0.5}, "eta belongs to DDIM on a process with betas"),
        (VELOCITY | {"spacing": 3}, "unknown timestep spacing 3"),
        (VELOCITY | {"kind": 4}, "ddim, dpm-solver\\+\\+, euler, heun, not"),
        (VELOCITY | {"shift": 0.0}, "shift must be in"),
        (VELOCITY | {"shift": float("nan")}, "shift must be in"),
        (VELOCITY | {"end": 1.0}, "start and end must satisfy"),
        (VELOCITY | {"time_at_noise": 0.0}, "must differ"),
        (VELOCITY | {"time_at_noise": float("inf")}, "time_at_noise and time_at_data must be in"),
        (VELOCITY | {"clip_sample_range": 1.0}, "clip_sample_range belongs"),
        ({"path": 2, "prediction": 0}, "say nothing at level 1"),
        ({"path": 1, "prediction": 1}, "v_prediction belongs to a process with betas"),
    ],
    ids=str,
)
def test_bad_options(change, message):
    refuse(message, **{"steps": 10} | change)


@pytest.mark.parametrize("kind", KINDS[2:])
def test_euler_and_heun_are_for_flows(kind):
    with pytest.raises(ValueError, match="has the schedulers ddim"):
        EngineScheduler(kind, "leading", 4)


def test_a_noise_prediction_where_no_signal_is_left():
    """diffusers' DDIM gives NaN."""
    zero = VariancePreserving().with_zero_terminal_snr()
    with pytest.raises(ValueError, match="says nothing at time 999.*leading spacing"):
        EngineScheduler("ddim", "trailing", 10, process=Process(zero))
    with pytest.raises(ProcessError, match="says nothing at time 999.*leading spacing"):
        plan(Process(zero), 10, "ddim", "trailing")


def test_steps_that_do_not_exist():
    scheduler = EngineScheduler("ddim", "leading", 4, 1.0, count=4)
    x = np.zeros(4, dtype=np.float32)
    step = scheduler.library.hqdit_scheduler_step
    assert step(scheduler.handle, 4, x.ctypes.data, x.ctypes.data, x.ctypes.data) == 3
    assert step(scheduler.handle, 0, x.ctypes.data, None, x.ctypes.data) == 3
    assert b"random numbers" in scheduler.library.hqdit_last_error()
    assert step(None, 0, x.ctypes.data, None, x.ctypes.data) == 3


def test_option_struct_of_another_size():
    """A shorter struct takes defaults for what it lacks; a longer one must not ask for more."""
    scheduler = EngineScheduler("ddim", "leading", 4, count=1)
    buffer = (ctypes.c_uint8 * (sizeof(Options) + 8))()
    options = Options.from_buffer(buffer)
    scheduler.library.hqdit_scheduler_options_init(byref(options), c_size_t(sizeof(Options) + 8))
    handle = c_void_p()
    create = scheduler.library.hqdit_scheduler_create
    assert create(options, 1, byref(handle)) == 0
    scheduler.library.hqdit_scheduler_destroy(handle)
    buffer[sizeof(Options) + 3] = 1
    assert create(options, 1, byref(handle)) == 3
    assert b"does not have" in scheduler.library.hqdit_last_error()
    options.struct_size = Options.eta.offset
    options.steps = 5
    assert create(options, 1, byref(handle)) == 0
    assert scheduler.library.hqdit_scheduler_timesteps(handle, None, 0) == 5
    scheduler.library.hqdit_scheduler_destroy(handle)
    options.struct_size = 0
    assert create(options, 1, byref(handle)) == 3
