# SPDX-License-Identifier: Apache-2.0
"""The reference sampler in torch against the engine's DDIM and diffusers'."""

import numpy as np
import pytest
import torch
from engine_scheduler import EngineScheduler, diffusers_scheduler

from hqdit_mobile.diffusion.trajectory import SchedulerConfig, ddim_step

SCHEDULES = [
    {},
    {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    {"steps_offset": 1, "num_train_timesteps": 700, "set_alpha_to_one": False},
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_steps_have_the_engines_bits(schedule, spacing):
    """So that a seed gives one picture in torch and on a phone, although quantized layers amplify every difference."""
    config = SchedulerConfig(timestep_spacing=spacing, **schedule)
    alphas, rng = config.alphas_cumprod(), np.random.default_rng(0)
    for steps in (1, 4, 20):
        engine = EngineScheduler("ddim", spacing, steps, **schedule)
        assert engine.timesteps == config.timesteps(steps)
        for index, t in enumerate(engine.timesteps):
            x, noise = rng.standard_normal((2, 4096)).astype(np.float32)
            got = ddim_step(config, alphas, torch.from_numpy(x), torch.from_numpy(noise), t, steps)
            assert np.array_equal(got.numpy(), engine.step(index, noise, x, None))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_noise_levels_are_those_of_diffusers(schedule):
    expected = diffusers_scheduler("ddim", "leading", **schedule).alphas_cumprod
    torch.testing.assert_close(SchedulerConfig(**schedule).alphas_cumprod().float(), expected, rtol=1e-5, atol=1e-7)
