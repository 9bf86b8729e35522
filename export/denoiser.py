# SPDX-License-Identifier: Apache-2.0
"""What a phone runs of a model: one denoising step with or without guidance, and the image decoder.

Each is a module with static shapes and batch size one, so that the exported graph has no shape arithmetic left. With
``fused=True`` a denoiser is written in our own operators (docs/step-ops.md), which runtimes that have them run about
twice as fast; without, in the DiT's standard ones.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import hqdit_mobile.step_ops  # noqa: F401  (registers the operators)
from hqdit_mobile.dit import DiT, DiTBlock, FinalLayer
from hqdit_mobile.vae import VAEDecoder


class GuidedDenoiser(nn.Module):
    """(latents [1, C, S, S], timestep [1], label [1]) -> noise [2, C, S, S]: for the label, then for the null label.

    Both halves share the patch embedding and the timestep embedding. Guidance itself is the sampler's.
    """

    def __init__(self, dit: DiT, fused: bool = False):
        super().__init__()
        self.dit, self.fused = dit, fused
        self.register_buffer("null", torch.tensor([dit.null_label]), persistent=False)

    def forward(self, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        tokens = self.dit.embed(latents)
        condition = F.silu(self.dit.t_embedder(timestep) + self.dit.y_embedder(torch.cat([label, self.null])))
        return _noise(self.dit, torch.cat([tokens, tokens]), condition, self.fused)


class Denoiser(nn.Module):
    """(latents [1, C, S, S], timestep [1], label [1]) -> noise [1, C, S, S] for the label alone."""

    def __init__(self, dit: DiT, fused: bool = False):
        super().__init__()
        self.dit, self.fused = dit, fused

    def forward(self, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        condition = self.dit.condition(timestep, label)
        return _noise(self.dit, self.dit.embed(latents), condition, self.fused)


def _noise(dit: DiT, tokens: Tensor, condition: Tensor, fused: bool) -> Tensor:
    for block in dit.blocks:
        tokens = fused_block(block, tokens, condition) if fused else block(tokens, condition)
    patches = fused_final(dit.final, tokens, condition) if fused else dit.final(tokens, condition)
    return dit.unpatchify(patches)[:, : dit.config.in_channels]


def fused_block(block: DiTBlock, x: Tensor, condition: Tensor) -> Tensor:
    """DiTBlock.forward in hqdit operators, which read q, k, v and the six adaLN vectors where they lie."""
    ops = torch.ops.hqdit
    modulation = block.adaLN(condition)  # (B, 6 D): shift, scale, gate of the attention, then of the MLP
    qkv = block.attn.qkv(ops.modulated_norm(x, modulation, 0, 1, block.norm1.eps))
    x = ops.gated_add(x, modulation, 2, block.attn.proj(ops.attention(qkv, block.attn.num_heads)))
    inner = block.mlp.fc1(ops.modulated_norm(x, modulation, 3, 4, block.norm2.eps))
    return ops.gated_add(x, modulation, 5, block.mlp.fc2(ops.gelu_tanh(inner)))


def fused_final(final: FinalLayer, x: Tensor, condition: Tensor) -> Tensor:
    modulation = final.adaLN(condition)
    return final.linear(torch.ops.hqdit.modulated_norm(x, modulation, 0, 1, final.norm.eps))


class ImageDecoder(nn.Module):
    """Latents [1, C, S, S], divided by the scaling factor -> image [1, 3, H, W] in about -1..1."""

    def __init__(self, vae: VAEDecoder):
        super().__init__()
        self.vae = vae

    def forward(self, latents: Tensor) -> Tensor:
        return self.vae(latents)


def example_inputs(dit: DiT) -> tuple[Tensor, Tensor, Tensor]:
    config = dit.config
    latents = torch.zeros(1, config.in_channels, config.sample_size, config.sample_size)
    return latents, torch.zeros(1), torch.zeros(1, dtype=torch.int64)
