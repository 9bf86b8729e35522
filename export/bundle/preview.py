# SPDX-License-Identifier: Apache-2.0
"""A cheap preview of latents: the linear map from a latent to the mean colour of the pixels under it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hqdit_mobile.model.loading import LoadedModel
from hqdit_mobile.runtime.manifest import Preview


def fit_preview(model: LoadedModel, latents: Tensor) -> Preview:
    """Least squares over clean latents [B, C, S, S] and their decoded images: 3 x C matrix, 3 biases, RGB -1..1."""
    images = F.avg_pool2d(model.decode(latents).clamp(-1, 1), model.vae.upscale)
    pixels = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    design = torch.cat([pixels, torch.ones(len(pixels), 1)], dim=1).double()
    colours = images.permute(0, 2, 3, 1).reshape(-1, 3).double()
    solution = torch.linalg.lstsq(design, colours).solution.float()  # (C + 1, 3)
    red, green, blue = solution[:-1].T.tolist()
    return Preview(matrix=(red, green, blue), bias=tuple(solution[-1].tolist()))
