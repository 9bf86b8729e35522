# SPDX-License-Identifier: Apache-2.0
"""A DiT from a state dict under our names."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from hqdit_mobile.model.checkpoints.reading import CheckpointError, one_line
from hqdit_mobile.model.checkpoints.states import BlockState, State
from hqdit_mobile.model.dit import DiT, DiTConfig, Embedders
from hqdit_mobile.model.streaming import StreamedBlock


def dit_from_state(config: DiTConfig, state: State, streamed: bool = False) -> DiT:
    """A DiT that takes over the tensors of ``state`` (our names) without a copy; ready for inference.

    streamed: blocks read their tensors from ``state`` each time they run, and keep none.
    """
    model = DiT(replace(config, depth=0))
    model.config = config
    if config.block_embedders:
        model.block_embedders = nn.ModuleList(_embedders(model) for _ in range(config.depth - 1))
    try:
        model.load_state_dict({name: state[name] for name in model.state_dict()}, assign=True)
        blocks = [StreamedBlock(config, BlockState(state, f"blocks.{i}.")) for i in range(config.depth)]
        model.blocks = nn.ModuleList(block if streamed else block.load() for block in blocks)
    except KeyError as error:
        raise CheckpointError(f"the checkpoint has no tensor {error}; it does not fit its config") from error
    except RuntimeError as error:
        raise CheckpointError(f"the checkpoint does not fit its config: {one_line(error)}") from error
    return model.eval().requires_grad_(False)


def _embedders(model: DiT) -> Embedders:
    """Without weights yet: of a large model they are hundreds of megabytes."""
    with torch.device("meta"):
        embedders = Embedders(model.config)
    embedders.t_embedder.frequencies = model.t_embedder.frequencies
    return embedders
