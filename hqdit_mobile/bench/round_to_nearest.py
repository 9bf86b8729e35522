# SPDX-License-Identifier: Apache-2.0
"""FP4Linear layers without calibration: for timing, where shapes and settings count and values do not."""

from __future__ import annotations

import torch
from torch import nn

from hqdit_mobile.model.network import Network
from hqdit_mobile.ops.formats import FORMATS
from hqdit_mobile.ops.fp4_linear import FP4Linear
from hqdit_mobile.quantize.calibration import linear_at
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.quantize.gptq import LATTICE_MAX, codes_of, nearest_points
from hqdit_mobile.quantize.layer import new_layer, transformed_weight


def round_layer(linear: nn.Linear, config: HQDiTConfig, activation: str) -> FP4Linear:
    """The layer with the default recipe's group, rotation and smoothing, each weight rounded to its nearest point."""
    layer = new_layer(linear, config, activation, torch.ones(linear.in_features))
    weight = transformed_weight(linear, layer).float()
    scale = weight.abs().amax(dim=1).clamp(min=1e-30) / LATTICE_MAX
    size = min(layer.group, linear.in_features)
    padded = nn.functional.pad(weight, (0, -linear.in_features % size))
    points, tables = nearest_points(padded, scale, [FORMATS[name] for name in config.weight_formats], size)
    layer.set_weight(codes_of(points[:, : linear.in_features], tables, size), tables, scale)
    layer.bias = linear.bias.detach()
    return layer


def round_model_(dit: Network, config: HQDiTConfig) -> Network:
    """Does to ``dit``, in place, what quantize_ does, without its calibration. Returns it."""
    tokens = "int8" if config.precision == "w4a8" else config.fp4_activation
    for name, role in dit.layers().items():
        if role.precision != "float":
            activation = tokens if role.precision == "recipe" else "int8"
            dit.set_submodule(name, round_layer(linear_at(dit, name), config, activation))
    return dit
