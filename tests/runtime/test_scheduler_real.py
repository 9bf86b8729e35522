# SPDX-License-Identifier: Apache-2.0
"""The engine's schedulers along diffusers' trajectories of the reference model, with guidance."""

import numpy as np
import pytest
import torch
from engine_scheduler import EngineScheduler, diffusers_scheduler, reference_step

from hqdit_mobile.diffusion import rng
from hqdit_mobile.diffusion.trajectory import guided_prediction
from hqdit_mobile.model.loading import load_model


@pytest.fixture(scope="module")
def emoji():
    return load_model("builtin:emoji-dit")


@pytest.mark.parametrize(
    ("kind", "spacing", "steps", "scale", "eta"),
    [
        pytest.param("ddim", "leading", 50, 4.0, 0.0, marks=pytest.mark.slow),
        ("ddim", "trailing", 7, 7.5, 0.0),
        pytest.param("ddim", "linspace", 10, 1.5, 1.0, marks=pytest.mark.slow),
        ("dpm-solver++", "leading", 4, 4.0, 0.0),
        pytest.param("dpm-solver++", "trailing", 20, 4.0, 0.0, marks=pytest.mark.slow),
        pytest.param("dpm-solver++", "linspace", 12, 7.5, 0.0, marks=pytest.mark.slow),
    ],
)
def test_steps_equal_diffusers_on_the_reference_model(emoji, kind, spacing, steps, scale, eta):
    label = torch.tensor([emoji.labels.index("heart fluent-emoji")])
    shape = emoji.latent_shape
    engine = EngineScheduler(kind, spacing, steps, eta, count=int(np.prod(shape)))
    diffusers = diffusers_scheduler(kind, spacing)
    diffusers.set_timesteps(steps)
    sample = rng.normal(7, 0, int(np.prod(shape)))
    for index, timestep in enumerate(engine.timesteps):
        with torch.no_grad():
            latents = torch.from_numpy(sample).reshape(1, *shape)
            noise = guided_prediction(emoji.dit, latents, timestep, label, scale, shape[0]).numpy().reshape(-1)
        random = rng.normal(7, index + 1, sample.size) if eta else None
        got = engine.step(index, noise, sample, random)
        sample = reference_step(diffusers, noise, timestep, sample, eta, random)
        np.testing.assert_allclose(got, sample, rtol=0, atol=1e-5)
    assert np.abs(sample).mean() < 2  # it arrived at latents of an image
