# SPDX-License-Identifier: Apache-2.0
"""What a phone runs of a transformer: one denoising step with or without guidance.

Each is a module with static shapes and batch size one, so that the exported graph has no shape arithmetic left. With
``fused=True`` a denoiser is written in our own operators (docs/float-ops.md), which runtimes that have them run about
twice as fast; without, in the DiT's standard ones. Between our operators are only copies and single additions, so the
fused one has the same bits in every runtime. Quantized layers need that: a last bit that differs before one of them
moves a value over a rounding boundary, and the layers behind it amplify the step of int8 that follows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hqdit_mobile.model.dit import Attention, DiT, DiTBlock, FinalLayer, TimestepEmbedder
from hqdit_mobile.ops.fp4_linear import FP4Linear


class GuidedDenoiser(nn.Module):
    """(latents [1, C, S, S], timestep [1], label [1]) -> noise [2, C, S, S]: for the label, then for the null label.

    Both halves share the patch embedding and the timestep embedding. Guidance itself is the sampler's.
    """

    null: Tensor

    def __init__(self, dit: DiT, fused: bool = False):
        super().__init__()
        self.dit, self.fused = dit, fused
        self.register_buffer("null", torch.tensor([dit.null_label]), persistent=False)

    def forward(self, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        tokens, condition = _embeddings(self.dit, latents, timestep, torch.cat([label, self.null]), self.fused)
        return _noise(self.dit, torch.cat([tokens, tokens]), condition, self.fused)


class Denoiser(nn.Module):
    """(latents [B, C, S, S], timestep [B], label [B]) -> noise [B, C, S, S] for the labels alone. Exports have one."""

    def __init__(self, dit: DiT, fused: bool = False):
        super().__init__()
        self.dit, self.fused = dit, fused
        self.null_label = dit.null_label

    def forward(self, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        return _noise(self.dit, *_embeddings(self.dit, latents, timestep, label, self.fused), self.fused)


def _embeddings(dit: DiT, latents: Tensor, timestep: Tensor, label: Tensor, fused: bool) -> tuple[Tensor, Tensor]:
    """Tokens [images, T, D] and condition [labels, D]."""
    if fused:
        return fused_tokens(dit, latents), fused_condition(dit, timestep, label)
    return dit.embed(latents), dit.condition(timestep, label)


def _noise(dit: DiT, tokens: Tensor, condition: Tensor, fused: bool) -> Tensor:
    for block in dit.blocks:
        assert isinstance(block, DiTBlock)
        tokens = fused_block(block, tokens, condition) if fused else block(tokens, condition)
    patches = fused_final(dit.final, tokens, condition) if fused else dit.final(tokens, condition)
    return dit.unpatchify(patches)[:, : dit.config.in_channels]


def linear(layer: nn.Module, x: Tensor) -> Tensor:
    """``layer(x)`` by an operator of ours, whether the layer is quantized or not."""
    return torch.ops.hqdit.linear_f32(x, layer.weight, layer.bias) if isinstance(layer, nn.Linear) else layer(x)


def linear_gelu(layer: nn.Module, x: Tensor) -> Tensor:
    """GELU of ``linear(layer, x)``, which a quantized layer applies before its outputs leave the cache."""
    return layer(x, gelu=True) if isinstance(layer, FP4Linear) else torch.ops.hqdit.gelu_tanh(linear(layer, x))


def fused_tokens(dit: DiT, latents: Tensor) -> Tensor:
    """DiT.embed: the convolution's stride is its kernel, so it is a linear layer over patches [C, p, p]."""
    p, grid = dit.config.patch_size, dit.config.sample_size // dit.config.patch_size
    patches = latents.reshape(-1, dit.config.in_channels, grid, p, grid, p).permute(0, 2, 4, 1, 3, 5)
    patches = patches.reshape(-1, grid * grid, dit.config.in_channels * p * p)
    return torch.ops.hqdit.linear_f32(patches, dit.x_embedder.weight.flatten(1), dit.x_embedder.bias) + dit.positions


def fused_condition(dit: DiT, timestep: Tensor, label: Tensor) -> Tensor:
    return torch.ops.hqdit.silu_f32(fused_timestep(dit.t_embedder, timestep) + dit.y_embedder(label))


def fused_timestep(embedder: TimestepEmbedder, timestep: Tensor) -> Tensor:
    features = torch.ops.hqdit.timestep_embedding(timestep, embedder.frequencies)
    return linear(embedder.fc2, torch.ops.hqdit.silu_f32(linear(embedder.fc1, features)))


def fused_block(block: DiTBlock, x: Tensor, condition: Tensor) -> Tensor:
    """DiTBlock.forward in hqdit operators, which read q, k, v and the six adaLN vectors where they lie."""
    ops = torch.ops.hqdit
    modulation = linear(block.adaLN, condition)  # (B, 6 D): shift, scale, gate of the attention, then of the MLP
    qkv = linear(block.attn.qkv, ops.modulated_norm(x, modulation, 0, 1, block.norm1.eps))
    x = ops.gated_add(x, modulation, 2, linear(block.attn.proj, fused_attention(block.attn, qkv)))
    inner = linear_gelu(block.mlp.fc1, ops.modulated_norm(x, modulation, 3, 4, block.norm2.eps))
    return ops.gated_add(x, modulation, 5, linear(block.mlp.fc2, inner))


def fused_attention(attention: Attention, qkv: Tensor) -> Tensor:
    """[B, T, 3 D] -> [B, T, D]. A model with our layers multiplies in int8 here too; a simulated one, in float32."""
    ops = torch.ops.hqdit
    attend = ops.attention_int8 if isinstance(attention.qkv, FP4Linear) else ops.attention
    return attend(qkv, attention.num_heads)


def fused_final(final: FinalLayer, x: Tensor, condition: Tensor) -> Tensor:
    modulation = linear(final.adaLN, condition)
    return linear(final.linear, torch.ops.hqdit.modulated_norm(x, modulation, 0, 1, final.norm.eps))


def example_inputs(dit: DiT) -> tuple[Tensor, Tensor, Tensor]:
    config = dit.config
    latents = torch.zeros(1, config.in_channels, config.sample_size, config.sample_size)
    return latents, torch.zeros(1), torch.zeros(1, dtype=torch.int64)
