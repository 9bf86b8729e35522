# SPDX-License-Identifier: Apache-2.0
"""The reference sampler in torch against the engine's DDIM."""

import numpy as np
import pytest
import torch
from engine_scheduler import EngineScheduler

from hqdit_mobile.diffusion.plan import plan
from hqdit_mobile.diffusion.process import Process, VariancePreserving
from hqdit_mobile.diffusion.trajectory import solver_step

SCHEDULES = [
    {},
    {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    {"steps_offset": 1, "num_train_timesteps": 700, "set_alpha_to_one": False},
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_steps_have_the_engines_bits(schedule, spacing):
    """So that a seed gives one picture in torch and on a phone, although quantized layers amplify every difference."""
    process, rng = Process(VariancePreserving(**schedule), spacing=spacing), np.random.default_rng(0)
    for steps in (1, 4, 20):
        engine = EngineScheduler("ddim", spacing, steps, **schedule)
        planned = plan(process, steps)
        assert engine.timesteps == [step.time for step in planned]
        for index, step in enumerate(planned):
            x, noise = rng.standard_normal((2, 4096)).astype(np.float32)
            got, _ = solver_step(step, torch.from_numpy(x), torch.from_numpy(noise))
            assert np.array_equal(got.numpy(), engine.step(index, noise, x, None))
