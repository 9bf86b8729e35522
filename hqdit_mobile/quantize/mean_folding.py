# SPDX-License-Identifier: Apache-2.0
"""Moves the mean of the inputs of layers into biases, so that four bits need not carry it.

Exact: where an input is a sum that ends in a bias of the model's own, the mean is taken out of that bias and what it
contributed to the next layer goes into the bias there. On emoji-dit 7 to 64 % of an input's power is its mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from hqdit_mobile.model.network import Layer, Network
from hqdit_mobile.model.streaming import StreamedBlock


def centered_layers(model: Network) -> list[str]:
    """Names of the layers whose inputs fold_means_ can centre."""
    return [name for name, layer in model.layers().items() if layer.mean is not None]


@torch.no_grad()
def fold_means_(model: Network, means: Mapping[str, Tensor]) -> None:
    """Subtracts means[name] [K] from the inputs of each of centered_layers; the model's function stays the same.

    Streamed blocks get it whenever they are read.
    """
    for index, block in enumerate(model.blocks):
        fold = partial(_fold_block_, layers=model.block_layers, prefix=f"blocks.{index}.", means=means)
        if isinstance(block, StreamedBlock):
            block.prepare = fold
        else:
            fold(block)


@torch.no_grad()
def _fold_block_(block: nn.Module, layers: tuple[Layer, ...], prefix: str, means: Mapping[str, Tensor]) -> None:
    for layer in layers:
        if layer.mean is not None:
            source, place = layer.mean
            mean = means[prefix + layer.name]
            _move(mean, block.get_submodule(source), place * len(mean), block.get_submodule(layer.name))


def _move(mean: Tensor, source: nn.Module, start: int, layer: nn.Module) -> None:
    """Takes `mean` out of the bias of `source`, from `start` on, and adds its product to layer's bias.

    New biases, not changed ones: a streamed block's tensors may be the checkpoint's own pages.
    """
    assert isinstance(source, nn.Linear) and isinstance(layer, nn.Linear)
    bias = source.bias.clone()
    bias[start : start + len(mean)] -= mean.to(bias.dtype)
    source.bias = nn.Parameter(bias, requires_grad=False)
    moved = layer.bias + (layer.weight.double() @ mean.double()).to(layer.bias.dtype)
    layer.bias = nn.Parameter(moved, requires_grad=False)
