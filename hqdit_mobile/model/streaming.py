# SPDX-License-Identifier: Apache-2.0
"""Blocks whose float32 weights exist only while they run, so that a model larger than memory can be calibrated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from hqdit_mobile.model.dit import DiT, DiTBlock, DiTConfig


class StreamedBlock(nn.Module):
    """A DiTBlock that is read anew for every call: ``state`` maps its parameter names to float32 tensors on demand.

    ``prepare`` changes a block after each reading; it must not write into the tensors that it was given.
    """

    def __init__(self, config: DiTConfig, state: Mapping[str, Tensor]):
        super().__init__()
        self.config, self.state = config, state
        self.prepare: Callable[[DiTBlock], None] | None = None

    def load(self) -> DiTBlock:
        """Raises RuntimeError naming the parameter if a tensor is missing or has another shape."""
        with torch.device("meta"):
            block = DiTBlock(self.config)
        block.load_state_dict({name: self.state[name] for name in block.state_dict()}, assign=True)
        block = block.eval().requires_grad_(False)
        if self.prepare:
            self.prepare(block)
        return block

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return self.load()(x, condition)


def float_block(model: DiT, index: int) -> DiTBlock:
    """Block ``index`` with its weights: read now if it is streamed, else the model's own."""
    block = model.blocks[index]
    return block.load() if isinstance(block, StreamedBlock) else cast(DiTBlock, block)


def parameter_count(model: DiT) -> int:
    """Of a float model, streamed or not."""
    blocks = len(model.blocks)
    with torch.device("meta"):
        per_block = sum(p.numel() for p in DiTBlock(model.config).parameters())
    outside = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("blocks."))
    return outside + blocks * per_block
