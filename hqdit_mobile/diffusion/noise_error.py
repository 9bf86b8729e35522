# SPDX-License-Identifier: Apache-2.0
"""How far a quantized model's noise prediction is from the float model's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hqdit_mobile.diffusion.conditions import Conditions, can_be_guided, halves
from hqdit_mobile.diffusion.trajectory import NoiseModel
from hqdit_mobile.util.metrics import snr_db


def eps_snr_db(
    reference: NoiseModel,
    model: NoiseModel,
    inputs: Sequence[tuple[float, Tensor]],
    conditions: Tensor | Conditions,
) -> dict[float, float]:
    """SNR in dB of a model's noise prediction by timestep, at the same latents for both models.

    inputs: (timestep, latents [B, C, S, S]) pairs of float trajectories; conditions: of them. Both guidance halves
    count alike, before they are combined.
    """
    result = {}
    given, guided = halves(reference.conditions, conditions), can_be_guided(reference.conditions)
    for timestep, latents in inputs:
        samples = torch.cat([latents, latents]) if guided else latents
        arguments = samples, torch.full((len(samples),), float(timestep)), *given.values()
        with torch.no_grad():
            expected, got = (m(*arguments)[:, : latents.shape[1]] for m in (reference, model))
        result[timestep] = snr_db(expected, got)
    return result
