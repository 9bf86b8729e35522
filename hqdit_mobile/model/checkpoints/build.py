# SPDX-License-Identifier: Apache-2.0
"""A network from a state dict under our names."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar, cast

from torch import nn

from hqdit_mobile.model.checkpoints.reading import CheckpointError, one_line
from hqdit_mobile.model.checkpoints.states import BlockState, State
from hqdit_mobile.model.dit import DiT, DiTConfig
from hqdit_mobile.model.network import Network
from hqdit_mobile.model.streaming import StreamedBlock

AnyNetwork = TypeVar("AnyNetwork", bound=Network)


def dit_from_state(config: DiTConfig, state: State, streamed: bool = False) -> DiT:
    return network_from_state(DiT, config, state, streamed)


def network_from_state(kind: type[AnyNetwork], config: Any, state: State, streamed: bool = False) -> AnyNetwork:
    """A network that takes over the tensors of ``state`` (our names) without a copy; ready for inference.

    streamed: blocks read their tensors from ``state`` each time they run, and keep none.
    """
    model, build = cast(AnyNetwork, kind.without_blocks(config)), partial(kind.new_block, config)
    try:
        model.load_state_dict({name: state[name] for name in model.state_dict()}, assign=True)
        blocks = [StreamedBlock(build, BlockState(state, f"blocks.{i}.")) for i in range(config.depth)]
        model.blocks = nn.ModuleList(block if streamed else block.load() for block in blocks)
    except KeyError as error:
        raise CheckpointError(f"the checkpoint has no tensor {error}; it does not fit its config") from error
    except RuntimeError as error:
        raise CheckpointError(f"the checkpoint does not fit its config: {one_line(error)}") from error
    return model.eval().requires_grad_(False)
