# SPDX-License-Identifier: Apache-2.0
"""Moves the mean of the inputs of qkv, fc1 and proj into biases, so that four bits need not carry it.

Exact: where an input is a sum that ends in a bias of the model's own, the mean is taken out of that bias and what it
contributed to the next layer goes into the bias there. On emoji-dit 7 to 64 % of an input's power is its mean.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hqdit_mobile.dit import DiT, DiTBlock


def centered_layers(depth: int) -> list[str]:
    """Names of the layers whose inputs fold_means_ can centre; the GELU in front of fc2 leaves no bias to use."""
    return [f"blocks.{i}.{name}" for i in range(depth) for name in ("attn.qkv", "attn.proj", "mlp.fc1")]


@torch.no_grad()
def fold_means_(model: DiT, means: Mapping[str, Tensor]) -> None:
    """Subtracts means[name] [K] from the inputs of each of centered_layers; the model's function stays the same."""
    for index, block in enumerate(model.blocks):
        assert isinstance(block, DiTBlock)
        qkv, proj, fc1 = block.attn.qkv, block.attn.proj, block.mlp.fc1
        width = qkv.in_features
        # adaLN gives shift, scale, gate of the attention, then of the MLP.
        _move(means[f"blocks.{index}.attn.qkv"], block.adaLN.bias[:width], qkv)
        _move(means[f"blocks.{index}.mlp.fc1"], block.adaLN.bias[3 * width : 4 * width], fc1)
        # Attention weights sum to one: a constant taken from every value leaves every output of the attention.
        _move(means[f"blocks.{index}.attn.proj"], qkv.bias[2 * width :], proj)


def _move(mean: Tensor, source: Tensor, layer: nn.Linear) -> None:
    """Takes `mean` out of the bias `source` [K] that ends layer's input, and adds its product to layer's bias."""
    source -= mean.to(source.dtype)
    layer.bias.add_((layer.weight.double() @ mean.double()).to(layer.bias.dtype))
