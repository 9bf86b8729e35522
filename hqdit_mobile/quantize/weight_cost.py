# SPDX-License-Identifier: Apache-2.0
"""What a network's weights and multiply-adds cost in bits, whether its layers are float, ours or a baseline's."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn

from hqdit_mobile.model.network import Network

FP4_ACTIVATIONS = ("fp4", "e2m1")


@runtime_checkable
class QuantizedLinear(Protocol):
    """FP4Linear, or a simulation of another format (evaluate/baselines.py)."""

    in_features: int
    out_features: int
    activation: str

    def stored_bits(self) -> int:
        """Of codes, tables and scales."""
        ...


def weight_bits(dit: Network) -> float:
    """Stored bits (codes, tables, scales) per weight of the quantized layers; of all parameters in a float model."""
    quantized = [layer for layer in dit.modules() if isinstance(layer, QuantizedLinear)]
    if not quantized:
        return 8.0 * next(dit.parameters()).element_size()
    weights = sum(layer.in_features * layer.out_features for layer in quantized)
    return sum(layer.stored_bits() for layer in quantized) / weights


def a4_share(dit: Network) -> float:
    """Part of the multiply-adds of all linear layers, the float ones too, that have 4-bit activations.

    Attention's own two products are not counted.
    """
    total = four_bit = 0
    for name, role in dit.layers().items():
        layer = dit.get_submodule(name)
        if isinstance(layer, QuantizedLinear | nn.Linear):
            rows = dit.config.tokens if role.sees == "tokens" else 1
            products = layer.in_features * layer.out_features * rows
            total += products
            if isinstance(layer, QuantizedLinear) and layer.activation in FP4_ACTIVATIONS:
                four_bit += products
    return four_bit / total
