# SPDX-License-Identifier: Apache-2.0
"""diffusers' own network for a checkpoint, to compare ours with: it shares nothing with our loader but the reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hqdit_mobile.model.checkpoints.states import FloatState, State


@dataclass(frozen=True)
class DiffusersSource:
    """``transformer/config.json`` and the tensors in diffusers' names, as they were read."""

    config: Mapping[str, Any]
    state: State

    @property
    def null_label(self) -> int:
        """The last row of the table, of which ours may leave out classes without a name."""
        return self.config.get("num_embeds_ada_norm", 1000)

    def network(self) -> nn.Module:
        """A ``DiTTransformer2DModel``. Raises RuntimeError naming a tensor that it misses or does not know."""
        from diffusers import DiTTransformer2DModel

        with torch.device("meta"):  # its initial weights would take as long as a step
            network = DiTTransformer2DModel.from_config(self.config)
        # Positions are no weights: those of a network with one block are the same.
        network.pos_embed = DiTTransformer2DModel.from_config({**self.config, "num_layers": 1}).pos_embed
        state = dict(FloatState(self.state).items())
        if "pos_embed.pos_embed" in state:
            network.pos_embed.pos_embed = state.pop("pos_embed.pos_embed")
        network.load_state_dict(state, assign=True)
        return network.eval().requires_grad_(False)

    def predict(self, network: nn.Module, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        """[B, C, S, S] of latents [B, C, S, S], timestep [B] and label [B]: without a learned sigma."""
        with torch.no_grad():
            return network(latents, timestep=timestep, class_labels=label).sample[:, : latents.shape[1]]
