# SPDX-License-Identifier: Apache-2.0
"""The quantized blocks of a run and the tokens behind the last of them, kept so that a killed run goes on there."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

from torch import Tensor, nn

from hqdit_mobile.model.network import Network
from hqdit_mobile.quantize.layer import LayerReport
from hqdit_mobile.quantize.quantized_block import layer_settings, quantized_block
from hqdit_mobile.util.resume_store import WorkFolder

TOKENS = ("tokens-even", "tokens-odd")  # the inputs of blocks with even and with odd numbers


class FinishedBlocks:
    """inputs: how many model inputs the tokens belong to."""

    def __init__(self, model: Network, inputs: int, work: WorkFolder) -> None:
        self.model, self.work = model, work
        self.shape = inputs, model.config.tokens, model.config.hidden_size

    def restore_(self) -> list[list[LayerReport]]:
        """Puts the blocks that were finished before into the model; gives the reports of each one's layers."""
        found: list[list[LayerReport]] = []
        while len(found) < len(self.model.blocks) and (stored := self.work.get(_name(len(found)))) is not None:
            state, about = stored
            block = quantized_block(partial(self.model.new_block, self.model.config), about["layers"], state)
            self.model.blocks[len(found)] = block
            found.append([LayerReport(**report) for report in about["reports"]])
        return found

    def tokens(self, index: int, new: bool) -> Tensor:
        """What block ``index`` is given, float32 [inputs, T, D] in a file; those of the block before it are another,
        because a run that is killed in a block needs its inputs again."""
        return self.work.array(TOKENS[index % 2], self.shape, new)

    def put(self, index: int, block: nn.Module, reports: list[LayerReport]) -> None:
        """Keeps a quantized block, once the tokens behind it are on the disk."""
        self.model.blocks[index] = block
        self.work.sync(TOKENS[(index + 1) % 2])
        about = {"layers": layer_settings(block), "reports": [asdict(report) for report in reports]}
        self.work.put(_name(index), block.state_dict(), about)


def _name(index: int) -> str:
    return f"block-{index}"
