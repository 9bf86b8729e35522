# SPDX-License-Identifier: Apache-2.0
"""Blocks whose float32 weights exist only while they run, so that a model larger than memory can be calibrated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hqdit_mobile.model.arithmetic import PLAIN, Arithmetic
from hqdit_mobile.model.network import Network


class StreamedBlock(nn.Module):
    """A block that is read anew for every call: ``state`` maps its parameter names to float32 tensors on demand.

    ``build`` makes the block, on whatever device is the default. ``prepare`` changes it after each reading; it must not
    write into the tensors that it was given.
    """

    def __init__(self, build: Callable[[], nn.Module], state: Mapping[str, Tensor]):
        super().__init__()
        self.build, self.state = build, state
        self.prepare: Callable[[nn.Module], None] | None = None

    def load(self) -> nn.Module:
        """Raises RuntimeError naming the parameter if a tensor is missing or has another shape."""
        with torch.device("meta"):
            block = self.build()
        block.load_state_dict({name: self.state[name] for name in block.state_dict()}, assign=True)
        block = block.eval().requires_grad_(False)
        if self.prepare:
            self.prepare(block)
        return block

    def forward(self, x: Tensor, context: Tensor, ops: Arithmetic = PLAIN) -> Tensor:
        output: Tensor = self.load()(x, context, ops)
        return output


def float_block(model: Network, index: int) -> nn.Module:
    """Block ``index`` with its weights: read now if it is streamed, else the model's own."""
    block = model.blocks[index]
    return block.load() if isinstance(block, StreamedBlock) else block


@dataclass
class Visit:
    """A block with its inputs: tokens [B, T, D] and context [B, D]. Who computes the output otherwise, such as in
    batches, sets it."""

    index: int
    block: nn.Module
    tokens: Tensor
    context: Tensor
    ops: Arithmetic
    output: Tensor | None = None

    @property
    def prefix(self) -> str:
        """What goes before the names of the block's layers."""
        return f"blocks.{self.index}."

    def run(self) -> Tensor:
        """The block's output, made once."""
        if self.output is None:
            self.output = self.block(self.tokens, self.context, self.ops)
        return self.output


def walk(
    model: Network, tokens: Tensor, contexts: list[Tensor], ops: Arithmetic = PLAIN, first: int = 0
) -> Iterator[Visit]:
    """Every block from ``first`` on, read now if it is streamed, for whoever wants to look at it before or while it
    runs.

    tokens: of ``embed``, or what block ``first`` is given; contexts: of all blocks. The last visit's output goes into
    ``model.end``.
    """
    for index in range(first, len(contexts)):
        visit = Visit(index, float_block(model, index), tokens, contexts[index], ops)
        yield visit
        tokens = visit.run()


def parameter_count(model: Network) -> int:
    """Of a float model, streamed or not."""
    blocks = len(model.blocks)
    with torch.device("meta"):
        per_block = sum(p.numel() for p in model.new_block(model.config).parameters())
    outside = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("blocks."))
    return outside + blocks * per_block
