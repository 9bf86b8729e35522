# SPDX-License-Identifier: Apache-2.0
"""How far a quantized model's noise prediction is from the float model's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hqdit_mobile.diffusion.trajectory import NoiseModel, guidance_labels
from hqdit_mobile.util.metrics import snr_db


def eps_snr_db(
    reference: NoiseModel, model: NoiseModel, inputs: Sequence[tuple[float, Tensor]], label: Tensor
) -> dict[float, float]:
    """SNR in dB of a model's noise prediction by timestep, at the same latents for both models.

    inputs: (timestep, latents [B, C, S, S]) pairs of float trajectories; label [B]. Both guidance halves count alike,
    before they are combined.
    """
    result = {}
    labels = guidance_labels(reference, label)
    halves = len(labels) // len(label)
    for timestep, latents in inputs:
        arguments = latents.repeat(halves, 1, 1, 1), torch.full((len(labels),), float(timestep)), labels
        with torch.no_grad():
            expected, got = (m(*arguments)[:, : latents.shape[1]] for m in (reference, model))
        result[timestep] = snr_db(expected, got)
    return result
