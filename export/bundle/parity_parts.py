# SPDX-License-Identifier: Apache-2.0
"""The parts of a model that are compared one by one, each with its inputs on a real trajectory.

Random inputs do not find what real ones do, and a whole picture does not say where two programs part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from hqdit_mobile.diffusion.trajectory import guidance_labels
from hqdit_mobile.export.lowering.denoiser import widest_denoiser
from hqdit_mobile.model.arithmetic import FUSED
from hqdit_mobile.model.dit import DiT, DiTBlock
from hqdit_mobile.model.streaming import walk
from hqdit_mobile.ops.fp4_linear import FP4Linear


@dataclass(frozen=True)
class Part:
    stage: str  # linear, attention or block
    name: str
    module: nn.Module
    inputs: tuple[Tensor, ...]


class FusedBlock(nn.Module):
    """A block in the operators that bundles are made of: tokens [B, T, D], condition [B, D] -> tokens."""

    def __init__(self, block: DiTBlock):
        super().__init__()
        self.block = block

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        return self.block(tokens, condition, FUSED)


class AttentionOp(nn.Module):
    def __init__(self, heads: int):
        super().__init__()
        self.heads = heads

    def forward(self, qkv: Tensor) -> Tensor:
        return torch.ops.hqdit.attention_int8(qkv, self.heads)


def model_parts(dit: DiT, latents: Tensor, timestep: float, label: int) -> list[Part]:
    """Of one step, guided where the model can be: the first, middle and last block with their layers, and the layers
    outside of blocks."""
    chosen = {0, len(dit.blocks) // 2, len(dit.blocks) - 1}
    walk = enumerate(block_inputs(dit, latents, timestep, label))
    blocks = [
        part
        for i, inputs in walk
        if i in chosen
        for part in block_parts(f"blocks.{i}.", cast(DiTBlock, dit.blocks[i]), *inputs)
    ]
    outside = {name: layer for name, layer in quantized_layers(dit).items() if not name.startswith("blocks.")}
    step = latents, torch.tensor([timestep]), torch.tensor([label])
    return _layer_parts("", outside, lambda: widest_denoiser(dit, fused=True)(*step)) + blocks


@torch.no_grad()
def block_inputs(dit: DiT, latents: Tensor, timestep: float, label: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(tokens [2, T, D], condition [2, D]) of each block in turn: for the label, then for the null label, if any."""
    tokens = dit.embed(latents, FUSED)
    labels = guidance_labels(dit, torch.tensor([label]))
    conditions = dit.conditions(torch.tensor([timestep]), labels, FUSED)
    for visit in walk(dit, tokens.repeat(len(labels), 1, 1), conditions, FUSED):
        yield visit.tokens, visit.condition


def block_parts(prefix: str, block: DiTBlock, tokens: Tensor, condition: Tensor) -> list[Part]:
    """The block's quantized layers, its attention and the block itself; ``prefix`` goes before their names."""
    whole = FusedBlock(block)
    parts = _layer_parts(prefix, quantized_layers(block), lambda: whole(tokens, condition))
    by_name = {part.name: part for part in parts}
    if qkv := by_name.get(f"{prefix}attn.qkv"):
        with torch.no_grad():
            attention_input = qkv.module(*qkv.inputs)
        parts.append(Part("attention", f"{prefix}attn", AttentionOp(block.attn.num_heads), (attention_input,)))
    return [*parts, Part("block", f"{prefix}block", whole, (tokens, condition))]


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
