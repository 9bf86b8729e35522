# SPDX-License-Identifier: Apache-2.0
"""A quantized block as plain data, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hqdit_mobile.ops.fp4_linear import FP4Linear

SETTINGS = ("in_features", "out_features", "group", "rotation", "activation", "activation_group")


def layer_settings(module: nn.Module) -> dict[str, dict[str, Any]]:
    """The arguments of FP4Linear, by name, for each of those in `module`."""
    return {
        name: {key: getattr(layer, key) for key in SETTINGS}
        | {"bias": layer.bias is not None, "pre": layer.pre is not None}
        for name, layer in module.named_modules()
        if isinstance(layer, FP4Linear)
    }


def quantized_block(
    build: Callable[[], nn.Module], settings: Mapping[str, dict[str, Any]], state: Mapping[str, Tensor]
) -> nn.Module:
    """What ``build`` makes, with these layer_settings and this state dict."""
    with torch.device("meta"):
        block = build()
    for name, arguments in settings.items():
        block.set_submodule(name, FP4Linear(**arguments))
    block.load_state_dict(dict(state), assign=True)
    return block.eval().requires_grad_(False)
