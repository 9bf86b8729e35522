# SPDX-License-Identifier: Apache-2.0
"""Moves the mean of the inputs of qkv, fc1 and proj into biases, so that four bits need not carry it.

Exact: where an input is a sum that ends in a bias of the model's own, the mean is taken out of that bias and what it
contributed to the next layer goes into the bias there. On emoji-dit 7 to 64 % of an input's power is its mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from hqdit_mobile.model.dit import DiT, DiTBlock
from hqdit_mobile.model.streaming import StreamedBlock


def centered_layers(depth: int) -> list[str]:
    """Names of the layers whose inputs fold_means_ can centre; the GELU in front of fc2 leaves no bias to use."""
    return [f"blocks.{i}.{name}" for i in range(depth) for name in ("attn.qkv", "attn.proj", "mlp.fc1")]


@torch.no_grad()
def fold_means_(model: DiT, means: Mapping[str, Tensor]) -> None:
    """Subtracts means[name] [K] from the inputs of each of centered_layers; the model's function stays the same.

    Streamed blocks get it whenever they are read.
    """
    for index, block in enumerate(model.blocks):
        if isinstance(block, StreamedBlock):
            block.prepare = partial(_fold_block_, index=index, means=means)
        else:
            _fold_block_(cast(DiTBlock, block), index=index, means=means)


@torch.no_grad()
def _fold_block_(block: DiTBlock, index: int, means: Mapping[str, Tensor]) -> None:
    qkv, proj, fc1 = block.attn.qkv, block.attn.proj, block.mlp.fc1
    width = qkv.in_features
    # adaLN gives shift, scale, gate of the attention, then of the MLP.
    _move(means[f"blocks.{index}.attn.qkv"], block.adaLN, 0, qkv)
    _move(means[f"blocks.{index}.mlp.fc1"], block.adaLN, 3 * width, fc1)
    # Attention weights sum to one: a constant taken from every value leaves every output of the attention.
    _move(means[f"blocks.{index}.attn.proj"], qkv, 2 * width, proj)


def _move(mean: Tensor, source: nn.Linear, start: int, layer: nn.Linear) -> None:
    """Takes `mean` out of the bias of `source`, from `start` on, and adds its product to layer's bias.

    New biases, not changed ones: a streamed block's tensors may be the checkpoint's own pages.
    """
    bias = source.bias.clone()
    bias[start : start + len(mean)] -= mean.to(bias.dtype)
    source.bias = nn.Parameter(bias, requires_grad=False)
    moved = layer.bias + (layer.weight.double() @ mean.double()).to(layer.bias.dtype)
    layer.bias = nn.Parameter(moved, requires_grad=False)
