# SPDX-License-Identifier: Apache-2.0
"""The parts of a model that are compared one by one, each with its inputs on a real trajectory.

Random inputs do not find what real ones do, and a whole picture does not say where two programs part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hqdit_mobile.diffusion.conditions import Conditions, halves
from hqdit_mobile.export.lowering.denoiser import widest_denoiser
from hqdit_mobile.model.arithmetic import FUSED
from hqdit_mobile.model.dit import Attention
from hqdit_mobile.model.network import Network
from hqdit_mobile.model.streaming import Visit, walk
from hqdit_mobile.ops.fp4_linear import FP4Linear


@dataclass(frozen=True)
class Part:
    stage: str  # linear, attention or block
    name: str
    module: nn.Module
    inputs: tuple[Tensor, ...]


class FusedBlock(nn.Module):
    """A block in the operators that bundles are made of: tokens [B, T, D], context [B, D] -> tokens."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.block = block

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        output: Tensor = self.block(tokens, context, FUSED)
        return output


class AttentionOp(nn.Module):
    def __init__(self, heads: int):
        super().__init__()
        self.heads = heads

    def forward(self, qkv: Tensor) -> Tensor:
        return torch.ops.hqdit.attention_int8(qkv, self.heads)


def model_parts(dit: Network, latents: Tensor, timestep: float, conditions: Conditions) -> list[Part]:
    """Of one step, guided where the model can be: the first, middle and last block with their layers, and the layers
    outside of blocks."""
    chosen = {0, len(dit.blocks) // 2, len(dit.blocks) - 1}
    visited = [visit for visit in guided_walk(dit, latents, timestep, conditions) if visit.index in chosen]
    blocks = [part for v in visited for part in block_parts(v.prefix, v.block, v.tokens, v.context)]
    outside = {name: layer for name, layer in quantized_layers(dit).items() if not name.startswith("blocks.")}
    step = latents, torch.tensor([timestep]), *conditions.values()
    return _layer_parts("", outside, lambda: widest_denoiser(dit, fused=True)(*step)) + blocks


@torch.no_grad()
def guided_walk(dit: Network, latents: Tensor, timestep: float, conditions: Conditions) -> Iterator[Visit]:
    """Each block in turn with tokens [2, T, D] and context [2, D]: for the conditions, then for their
    null values, if any."""
    tokens = dit.embed(latents, FUSED)
    contexts = dit.contexts(torch.tensor([timestep]), halves(dit.conditions, conditions), FUSED)
    yield from walk(dit, tokens.expand(len(contexts[0]), -1, -1).contiguous(), contexts, FUSED)


def block_parts(prefix: str, block: nn.Module, tokens: Tensor, context: Tensor) -> list[Part]:
    """The block's quantized layers, its attention and the block itself; ``prefix`` goes before their names."""
    whole = FusedBlock(block)
    parts = _layer_parts(prefix, quantized_layers(block), lambda: whole(tokens, context))
    by_name = {part.name: part for part in parts}
    for name, attention in block.named_modules():
        if isinstance(attention, Attention) and (qkv := by_name.get(f"{prefix}{name}.qkv")):
            with torch.no_grad():
                attention_input = qkv.module(*qkv.inputs)
            parts.append(Part("attention", f"{prefix}{name}", AttentionOp(attention.num_heads), (attention_input,)))
    return [*parts, Part("block", f"{prefix}block", whole, (tokens, context))]


def quantized_layers(module: nn.Module) -> dict[str, FP4Linear]:
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, FP4Linear)}


def _layer_parts(prefix: str, layers: Mapping[str, FP4Linear], run: Callable[[], object]) -> list[Part]:
    """Each of ``layers`` with what it sees while ``run`` runs."""
    seen: dict[str, Tensor] = {}
    handles = [
        layer.register_forward_pre_hook(lambda _, args, name=name: seen.__setitem__(name, args[0].contiguous()))
        for name, layer in layers.items()
    ]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return [Part("linear", prefix + name, layer, (seen[name],)) for name, layer in layers.items()]
