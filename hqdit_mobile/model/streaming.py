# SPDX-License-Identifier: Apache-2.0
"""Blocks whose float32 weights exist only while they run, so that a model larger than memory can be calibrated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from hqdit_mobile.model.arithmetic import PLAIN, Arithmetic
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

    def forward(self, x: Tensor, condition: Tensor, ops: Arithmetic = PLAIN) -> Tensor:
        return self.load()(x, condition, ops)


def float_block(model: DiT, index: int) -> DiTBlock:
    """Block ``index`` with its weights: read now if it is streamed, else the model's own."""
    block = model.blocks[index]
    return block.load() if isinstance(block, StreamedBlock) else cast(DiTBlock, block)


@dataclass
class Visit:
    """A block with its inputs: tokens [B, T, D] and condition [B, D]."""

    index: int
    block: DiTBlock
    tokens: Tensor
    condition: Tensor
    ops: Arithmetic
    output: Tensor | None = None

    def run(self) -> Tensor:
        """The block's output, made once."""
        if self.output is None:
            self.output = self.block(self.tokens, self.condition, self.ops)
        return self.output


def walk(model: DiT, tokens: Tensor, conditions: list[Tensor], ops: Arithmetic = PLAIN) -> Iterator[Visit]:
    """Every block in turn, read now if it is streamed, for whoever wants to look at it before or while it runs.

    tokens, conditions: of ``embed`` and ``conditions``. The last visit's output goes into ``model.end``.
    """
    for index, condition in enumerate(conditions):
        visit = Visit(index, float_block(model, index), tokens, condition, ops)
        yield visit
        tokens = visit.run()


def parameter_count(model: DiT) -> int:
    """Of a float model, streamed or not."""
    blocks = len(model.blocks)
    with torch.device("meta"):
        per_block = sum(p.numel() for p in DiTBlock(model.config).parameters())
    outside = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("blocks."))
    return outside + blocks * per_block
