# SPDX-License-Identifier: Apache-2.0
"""What a phone runs of a transformer: one denoising step with or without guidance.

Each is a module with static shapes and batch size one, so that the exported graph has no shape arithmetic left. With
``fused=True`` a denoiser is computed in our own operators (arithmetic.py), which runtimes that have them run about
twice as fast; without, in torch's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hqdit_mobile.diffusion.trajectory import NO_NULL_CLASS
from hqdit_mobile.model.arithmetic import FUSED, PLAIN
from hqdit_mobile.model.dit import DiT


class Denoiser(nn.Module):
    """(latents [B, C, S, S], timestep [B], label [B]) -> noise [B, C, S, S] for the labels alone. Exports have one."""

    def __init__(self, dit: DiT, fused: bool = False):
        super().__init__()
        self.dit, self.ops = dit, FUSED if fused else PLAIN
        self.null_label = dit.null_label

    def forward(self, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        return self.predict(self.dit.embed(latents, self.ops), timestep, label)

    def predict(self, tokens: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        """tokens [B, T, D], label [B]; one timestep serves for any number of labels."""
        conditions = self.dit.conditions(timestep, label, self.ops)
        return self.dit.finish(tokens, conditions, self.ops)[:, : self.dit.config.in_channels]


class GuidedDenoiser(Denoiser):
    """(latents [1, C, S, S], timestep [1], label [1]) -> noise [2, C, S, S]: for the label, then for the null label.

    Both halves share the patch embedding and the timestep embedding. Guidance itself is the sampler's.
    """

    null: Tensor

    def __init__(self, dit: DiT, fused: bool = False):
        super().__init__(dit, fused)
        if dit.null_label is None:
            raise ValueError(NO_NULL_CLASS)
        self.register_buffer("null", torch.tensor([dit.null_label]), persistent=False)

    def forward(self, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        tokens = self.dit.embed(latents, self.ops)
        return self.predict(torch.cat([tokens, tokens]), timestep, torch.cat([label, self.null]))


def widest_denoiser(dit: DiT, fused: bool = False) -> Denoiser:
    """Of the denoisers that ``dit`` has, the one with most outputs: the guided one, or else the plain one."""
    return Denoiser(dit, fused) if dit.null_label is None else GuidedDenoiser(dit, fused)


def example_inputs(dit: DiT) -> tuple[Tensor, Tensor, Tensor]:
    config = dit.config
    latents = torch.zeros(1, config.in_channels, config.sample_size, config.sample_size)
    return latents, torch.zeros(1), torch.zeros(1, dtype=torch.int64)
