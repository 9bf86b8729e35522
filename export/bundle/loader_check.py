# SPDX-License-Identifier: Apache-2.0
"""Our float network against diffusers' own for the same folder, before anything is quantized.

Every other check compares with what our loader made, so none of them can see a fault of the loader.
"""

from __future__ import annotations

import torch

from hqdit_mobile.diffusion.conditions import halves
from hqdit_mobile.diffusion.trajectory import initial_noise, trajectory
from hqdit_mobile.export.bundle.agreement import Agreement, agreement, needed
from hqdit_mobile.model.loading import LoadedModel

STEPS = 2  # of the run whose latents are compared


def check_loader(model: LoadedModel, guidance_scale: float) -> list[Agreement]:
    """The loader stage, at the latents of a short guided run; empty where the source is no folder of diffusers."""
    if model.diffusers is None:
        return []
    network, checks = model.diffusers.network(), []
    label = torch.tensor([0])
    (both,) = halves(model.dit.conditions, label).values()
    theirs = torch.tensor([0, model.diffusers.null_label])
    run = trajectory(model.dit, model.process, initial_noise(model.latent_shape, 0), label, STEPS, guidance_scale)
    for t, latents, _ in run:
        if t is None:
            break
        timestep, pair = torch.full((2,), t), latents.expand(2, -1, -1, -1)
        with torch.no_grad():
            got = model.dit(pair, timestep, both)[:, : latents.shape[1]]
        expected = model.diffusers.predict(network, pair, timestep, theirs)
        checks.append(agreement("loader", f"t={t:g} diffusers", expected, got, needed("loader")))
    return checks
