# SPDX-License-Identifier: Apache-2.0
"""What calibration, quantization, comparison and lowering know of a network; they know no layer by its name.

A network is a patch embedding, blocks that all have one class, and an end. Its class says which conditions it takes and
what each of its linear layers is, and computes the parts, each with the operators of an ``Arithmetic``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from hqdit_mobile.diffusion.conditions import Conditions, Declared, can_be_guided
from hqdit_mobile.model.arithmetic import PLAIN, Arithmetic


@dataclass(frozen=True)
class Layer:
    """The role of a linear layer, or of a patch embedding.

    name: in its block, or in the network for those outside of blocks.
    sees: what its inputs are. "tokens" [B, T, K]; "context": the [B, K] that its block is given, as it is, or the first
        block's for a layer outside; "conditions" [B, K]: it runs while a context is made.
    precision: "recipe": FP4 weights, activations as the recipe has them, for layers of blocks that see tokens; "int8":
        FP4 weights, INT8 activations; "float": left alone.
    mean: (source, n) where the mean of its inputs can be taken out of the bias of ``source``, a layer of the same
        block, from element n times the inputs' width on, without a change of the function apart from what this layer
        makes of the mean (quantize/mean_folding.py).
    context: the number of the context that a layer which sees conditions helps to make.
    """

    name: str
    sees: Literal["tokens", "context", "conditions"]
    precision: Literal["recipe", "int8", "float"]
    mean: tuple[str, int] | None = None
    context: int = 0

    def __post_init__(self) -> None:
        if self.precision == "recipe" and self.sees != "tokens":
            raise ValueError(f"layer {self.name}: a recipe is for layers that see tokens; use int8")


class Network(nn.Module, ABC):
    """``forward(latents, timestep, *conditions)``: latents [B, C, S, S] float32, timestep [B] float32 and the declared
    conditions in their order -> [B, C or more, S, S], of which the first C channels are the prediction.

    ``config``: a frozen dataclass with at least ``depth``, ``hidden_size``, ``num_heads``, ``in_channels``,
    ``out_channels``, ``sample_size`` (height and width of the latents), ``tokens`` and ``num_classes``.
    ``block_layers``: of every block.
    """

    config: Any
    blocks: nn.ModuleList
    block_layers: ClassVar[tuple[Layer, ...]]

    @staticmethod
    @abstractmethod
    def new_block(config: Any) -> nn.Module:
        """A block, to be called with (tokens [B, T, D], context [B, D], ops) -> tokens."""

    @property
    @abstractmethod
    def conditions(self) -> Declared:
        """What the network takes beside latents and time, by name."""

    @property
    def null_label(self) -> int | None:
        """The label of no class, which bundles and engines know; None for a network that cannot be guided."""
        null = self.conditions["label"].null
        return None if null is None or not can_be_guided(self.conditions) else int(null)

    @property
    @abstractmethod
    def outer_layers(self) -> tuple[Layer, ...]:
        """The linear layers outside of blocks, and the patch embedding, in the order in which they are quantized."""

    @property
    def own_contexts(self) -> int:
        """How many different contexts there are: one, or one for each block."""
        return 1

    @abstractmethod
    def embed(self, latents: Tensor, ops: Arithmetic = PLAIN) -> Tensor:
        """Latents [B, C, S, S] -> tokens [B, T, D]."""

    @abstractmethod
    def context(self, timestep: Tensor, conditions: Conditions, index: int = 0, ops: Arithmetic = PLAIN) -> Tensor:
        """What block ``index`` is given beside tokens, [B, D]; one timestep [1] serves for any number of conditions."""

    @abstractmethod
    def end(self, tokens: Tensor, context: Tensor, ops: Arithmetic = PLAIN) -> Tensor:
        """What is left to do after the blocks: [B, T, D] and the first block's context -> [B, out_channels, S, S]."""

    @abstractmethod
    def drop_learned_sigma_(self) -> None:
        """Removes what predicts a variance, which no sampler here uses: out_channels becomes in_channels in ``end``."""

    @classmethod
    def without_blocks(cls, config: Any) -> Network:
        """A network whose ``blocks`` are empty, for a loader to fill; its other weights have their shapes."""
        network = cls(replace(config, depth=0))
        network.config = config
        return network

    def contexts(self, timestep: Tensor, conditions: Conditions, ops: Arithmetic = PLAIN) -> list[Tensor]:
        """``context`` of every block; the same tensor for all where there is one."""
        different = [self.context(timestep, conditions, index, ops) for index in range(self.own_contexts)]
        return different if len(different) > 1 else different * self.config.depth

    def forward(self, latents: Tensor, timestep: Tensor, *conditions: Tensor) -> Tensor:
        given = dict(zip(self.conditions, conditions, strict=True))
        return self.finish(self.embed(latents), self.contexts(timestep, given))

    def finish(self, tokens: Tensor, contexts: list[Tensor], ops: Arithmetic = PLAIN) -> Tensor:
        """The blocks and the end, with what ``embed`` and ``contexts`` give."""
        for block, context in zip(self.blocks, contexts, strict=True):
            tokens = block(tokens, context, ops)
        return self.end(tokens, contexts[0], ops)

    def layers(self) -> Mapping[str, Layer]:
        """All of them by their names in the network: block after block, then those outside."""
        found = {f"blocks.{i}.{layer.name}": layer for i in range(self.config.depth) for layer in self.block_layers}
        return found | {layer.name: layer for layer in self.outer_layers}

    def recipe_layers(self) -> list[str]:
        """The layers that a recipe is about."""
        return [name for name, layer in self.layers().items() if layer.precision == "recipe"]
