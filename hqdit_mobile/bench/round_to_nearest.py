# SPDX-License-Identifier: Apache-2.0
"""FP4Linear layers without calibration: for timing, where shapes and settings count and values do not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hqdit_mobile.config import HQDiTConfig
from hqdit_mobile.dit import DiT
from hqdit_mobile.formats import FORMATS, nearest_codes, round_to_grid, table_ids
from hqdit_mobile.fp4_linear import FP4Linear
from hqdit_mobile.gptq import LATTICE_MAX, candidate_multipliers
from hqdit_mobile.quantize_layer import new_layer, transformed_weight


def round_layer(linear: nn.Linear, config: HQDiTConfig, activation: str) -> FP4Linear:
    """The layer with the default recipe's group, rotation and smoothing, each weight rounded to its nearest point."""
    layer = new_layer(linear, config, activation, torch.ones(linear.in_features))
    weight = transformed_weight(linear, layer).float()
    scale = weight.abs().amax(dim=1).clamp(min=1e-30) / LATTICE_MAX
    layer.set_weight(*_nearest(weight / scale[:, None], config), scale)
    layer.bias = linear.bias.detach()
    return layer


def _nearest(weight: Tensor, config: HQDiTConfig) -> tuple[Tensor, Tensor]:
    """weight [N, K] in lattice steps -> codes uint8 [N, K] and table ids uint8 [N, groups]."""
    rows, k = weight.shape
    size = min(config.group_size(k), k)
    padded = nn.functional.pad(weight, (0, -k % size)).view(rows, -1, size)
    largest = padded.abs().amax(dim=2)
    least = torch.full_like(largest, float("inf"))
    codes = torch.zeros(padded.shape, dtype=torch.uint8)
    ids = torch.zeros(largest.shape, dtype=torch.uint8)
    for format in (FORMATS[name] for name in config.weight_formats):
        multiplier = candidate_multipliers(largest, format, (0,))
        steps = padded / multiplier
        error = (padded - multiplier * round_to_grid(steps, format)).square().sum(dim=2)
        better = error < least
        least = torch.where(better, error, least)
        ids = torch.where(better, table_ids(format, multiplier[..., 0]), ids)
        codes = torch.where(better[..., None], nearest_codes(steps, format), codes)
    return codes.view(rows, -1)[:, :k], ids


def round_model_(dit: DiT, config: HQDiTConfig) -> DiT:
    """Does to ``dit``, in place, what quantize_ does, without its calibration. Returns it."""
    tokens = "int8" if config.precision == "w4a8" else config.fp4_activation
    for name, module in list(dit.named_modules()):
        if isinstance(module, nn.Linear) and name != "final.linear":
            parent, _, child = name.rpartition(".")
            layer = round_layer(module, config, tokens if ".attn." in name or ".mlp." in name else "int8")
            setattr(dit.get_submodule(parent), child, layer)
    return dit
