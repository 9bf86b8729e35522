# SPDX-License-Identifier: Apache-2.0
"""What a phone runs of a transformer: one denoising step with or without guidance.

Each is a module with static shapes and batch size one, so that the exported graph has no shape arithmetic left. With
``fused=True`` a denoiser is computed in our own operators (arithmetic.py), which runtimes that have them run about
twice as fast; without, in torch's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hqdit_mobile.diffusion.conditions import Condition, Declared, can_be_guided
from hqdit_mobile.model.arithmetic import FUSED, PLAIN
from hqdit_mobile.model.network import Network


class Denoiser(nn.Module):
    """(latents [B, C, S, S], timestep [B], conditions [B, ...] each) -> noise [B, C, S, S] for these alone."""

    def __init__(self, dit: Network, fused: bool = False):
        super().__init__()
        self.dit, self.ops = dit, FUSED if fused else PLAIN

    @property
    def conditions(self) -> Declared:
        return self.dit.conditions

    def forward(self, latents: Tensor, timestep: Tensor, *conditions: Tensor) -> Tensor:
        return self.predict(self.dit.embed(latents, self.ops), timestep, conditions)

    def predict(self, tokens: Tensor, timestep: Tensor, conditions: tuple[Tensor, ...]) -> Tensor:
        """tokens [B, T, D], conditions [B, ...] each; one timestep serves for any number of them."""
        given = dict(zip(self.dit.conditions, conditions, strict=True))
        contexts = self.dit.contexts(timestep, given, self.ops)
        return self.dit.finish(tokens, contexts, self.ops)[:, : self.dit.config.in_channels]


class GuidedDenoiser(Denoiser):
    """(latents [1, C, S, S], timestep [1], conditions [1, ...] each) -> noise [2, C, S, S]: for the conditions, then
    for their null values.

    Both halves share the patch embedding and the timestep embedding. Guidance itself is the sampler's. Raises
    ValueError for a network that cannot be guided.
    """

    def __init__(self, dit: Network, fused: bool = False):
        super().__init__(dit, fused)
        self.nulls = tuple(f"null_{name}" for name in dit.conditions)
        for name, (condition, example) in zip(self.nulls, _examples(dit), strict=True):
            self.register_buffer(name, condition.nulls_like(example), persistent=False)

    def forward(self, latents: Tensor, timestep: Tensor, *conditions: Tensor) -> Tensor:
        tokens = self.dit.embed(latents, self.ops)
        nulls = (self.get_buffer(name) for name in self.nulls)
        both = tuple(torch.cat(pair) for pair in zip(conditions, nulls, strict=True))
        return self.predict(torch.cat([tokens, tokens]), timestep, both)


def widest_denoiser(dit: Network, fused: bool = False) -> Denoiser:
    """Of the denoisers that ``dit`` has, the one with most outputs: the guided one, or else the plain one."""
    return GuidedDenoiser(dit, fused) if can_be_guided(dit.conditions) else Denoiser(dit, fused)


def example_inputs(dit: Network) -> tuple[Tensor, ...]:
    config = dit.config
    latents = torch.zeros(1, config.in_channels, config.sample_size, config.sample_size)
    return latents, torch.zeros(1), *(example for _, example in _examples(dit))


def _examples(dit: Network) -> list[tuple[Condition, Tensor]]:
    return [(c, torch.zeros(1, *c.shape, dtype=c.dtype)) for c in dit.conditions.values()]
