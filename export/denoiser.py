# SPDX-License-Identifier: Apache-2.0
"""What a phone runs of a model: one denoising step with or without guidance, and the image decoder.

Each is a module with static shapes and batch size one, so that the exported graph has no shape arithmetic left.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hqdit_mobile.dit import DiT
from hqdit_mobile.vae import VAEDecoder


class GuidedDenoiser(nn.Module):
    """(latents [1, C, S, S], timestep [1], label [1]) -> noise [2, C, S, S]: for the label, then for the null label.

    Both halves share the patch embedding and the timestep embedding. Guidance itself is the sampler's.
    """

    def __init__(self, dit: DiT):
        super().__init__()
        self.dit = dit
        self.register_buffer("null", torch.tensor([dit.null_label]), persistent=False)

    def forward(self, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        tokens = self.dit.embed(latents)
        condition = F.silu(self.dit.t_embedder(timestep) + self.dit.y_embedder(torch.cat([label, self.null])))
        return _noise(self.dit, torch.cat([tokens, tokens]), condition)


class Denoiser(nn.Module):
    """(latents [1, C, S, S], timestep [1], label [1]) -> noise [1, C, S, S] for the label alone."""

    def __init__(self, dit: DiT):
        super().__init__()
        self.dit = dit

    def forward(self, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        return _noise(self.dit, self.dit.embed(latents), self.dit.condition(timestep, label))


def _noise(dit: DiT, tokens: Tensor, condition: Tensor) -> Tensor:
    for block in dit.blocks:
        tokens = block(tokens, condition)
    return dit.unpatchify(dit.final(tokens, condition))[:, : dit.config.in_channels]


class ImageDecoder(nn.Module):
    """Latents [1, C, S, S], divided by the scaling factor -> image [1, 3, H, W] in about -1..1."""

    def __init__(self, vae: VAEDecoder):
        super().__init__()
        self.vae = vae

    def forward(self, latents: Tensor) -> Tensor:
        return self.vae(latents)


def example_inputs(dit: DiT) -> tuple[Tensor, Tensor, Tensor]:
    config = dit.config
    latents = torch.zeros(1, config.in_channels, config.sample_size, config.sample_size)
    return latents, torch.zeros(1), torch.zeros(1, dtype=torch.int64)
