# SPDX-License-Identifier: Apache-2.0
"""The Diffusion Transformer (Peebles and Xie, arXiv 2212.09748) with adaLN-Zero blocks.

One module for every checkpoint we load. It computes what diffusers' ``DiTTransformer2DModel`` and facebookresearch's
``DiT`` compute; the two differ in ``block_norm_eps`` and ``time_freq_shift`` only. Every embedder exists once, and q, k
and v are one product, because that is what a phone should run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TIME_FREQUENCIES = 256


@dataclass(frozen=True)
class DiTConfig:
    """Sizes of a DiT. ``sample_size``: height and width of the latent; ``num_classes`` excludes the null label."""

    hidden_size: int
    depth: int
    num_heads: int
    patch_size: int = 2
    in_channels: int = 4
    out_channels: int = 8
    sample_size: int = 32
    num_classes: int = 1000
    mlp_ratio: float = 4.0
    block_norm_eps: float = 1e-6
    """Epsilon of the norm before the MLP: diffusers' ``norm_eps``."""
    time_freq_shift: int = 0
    """diffusers spaces the 128 frequencies over 127 intervals (1), the original over 128 (0)."""

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}")
        if self.hidden_size % 4:
            raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of 4, which sin-cos positions need")
        if self.sample_size % self.patch_size:
            raise ValueError(f"sample_size {self.sample_size} is not a multiple of patch_size {self.patch_size}")

    @property
    def tokens(self) -> int:
        return (self.sample_size // self.patch_size) ** 2


def sincos_positions(dim: int, grid: int) -> Tensor:
    """Fixed 2-D positions [grid * grid, dim], columns first (MAE, He et al.; DiT appendix)."""
    omega = 1.0 / 10000 ** (torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    angle = torch.outer(torch.arange(grid, dtype=torch.float64), omega)
    line = torch.cat([angle.sin(), angle.cos()], dim=1)  # (grid, dim / 2)
    column = line[None, :, :].expand(grid, grid, -1)
    row = line[:, None, :].expand(grid, grid, -1)
    return torch.cat([column, row], dim=-1).reshape(grid * grid, dim).float()


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale[:, None]) + shift[:, None]


class TimestepEmbedder(nn.Module):
    """[B] float timesteps -> [B, D]: cosines and sines of 128 frequencies, then two linear layers."""

    frequencies: Tensor

    def __init__(self, config: DiTConfig):
        super().__init__()
        half = TIME_FREQUENCIES // 2
        exponent = -math.log(10000) * torch.arange(half, dtype=torch.float32) / (half - config.time_freq_shift)
        self.register_buffer("frequencies", exponent.exp(), persistent=False)
        self.fc1 = nn.Linear(TIME_FREQUENCIES, config.hidden_size)
        self.fc2 = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, timestep: Tensor) -> Tensor:
        angle = timestep[:, None] * self.frequencies[None]
        return self.fc2(F.silu(self.fc1(torch.cat([angle.cos(), angle.sin()], dim=1))))


class Attention(nn.Module):
    """Multi-head self-attention over [B, T, D]; the rows of ``qkv`` are q, then k, then v."""

    def __init__(self, config: DiTConfig):
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        qkv = self.qkv(x).view(b, t, 3, self.num_heads, d // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, T, head_dim)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(b, t, d))


class Mlp(nn.Module):
    def __init__(self, config: DiTConfig):
        super().__init__()
        inner = int(config.hidden_size * config.mlp_ratio)
        self.fc1 = nn.Linear(config.hidden_size, inner)
        self.fc2 = nn.Linear(inner, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class DiTBlock(nn.Module):
    """adaLN-Zero block: the condition gives shift, scale and gate for the attention and for the MLP."""

    def __init__(self, config: DiTConfig):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=1e-6, elementwise_affine=False)
        self.attn = Attention(config)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.block_norm_eps, elementwise_affine=False)
        self.mlp = Mlp(config)
        self.adaLN = nn.Linear(config.hidden_size, 6 * config.hidden_size)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.adaLN(condition).chunk(6, dim=1)
        x = x + gate_a[:, None] * self.attn(modulate(self.norm1(x), shift_a, scale_a))
        return x + gate_m[:, None] * self.mlp(modulate(self.norm2(x), shift_m, scale_m))


class FinalLayer(nn.Module):
    def __init__(self, config: DiTConfig):
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size, eps=1e-6, elementwise_affine=False)
        self.adaLN = nn.Linear(config.hidden_size, 2 * config.hidden_size)
        self.linear = nn.Linear(config.hidden_size, config.patch_size**2 * config.out_channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.adaLN(condition).chunk(2, dim=1)
        return self.linear(modulate(self.norm(x), shift, scale))


class DiT(nn.Module):
    """Predicts noise (and, with learned sigma, the variance half) for latents.

    ``forward(latents, timestep, label)``: latents [B, in_channels, S, S] float32, timestep [B] float32, label [B]
    int64 in 0..num_classes, where ``null_label`` (= num_classes) is the unconditional one. Returns
    [B, out_channels, S, S]; the first ``in_channels`` channels are the noise.
    """

    def __init__(self, config: DiTConfig):
        super().__init__()
        self.config = config
        self.x_embedder = nn.Conv2d(config.in_channels, config.hidden_size, config.patch_size, config.patch_size)
        positions = sincos_positions(config.hidden_size, config.sample_size // config.patch_size)
        self.register_buffer("positions", positions[None], persistent=False)
        self.t_embedder = TimestepEmbedder(config)
        self.y_embedder = nn.Embedding(config.num_classes + 1, config.hidden_size)
        self.blocks = nn.ModuleList(DiTBlock(config) for _ in range(config.depth))
        self.final = FinalLayer(config)

    @property
    def null_label(self) -> int:
        return self.config.num_classes

    def embed(self, latents: Tensor) -> Tensor:
        """Latents [B, C, S, S] -> tokens [B, T, D]."""
        return self.x_embedder(latents).flatten(2).transpose(1, 2) + self.positions

    def condition(self, timestep: Tensor, label: Tensor) -> Tensor:
        """silu(t + y) [B, D]: every adaLN applies the same SiLU, so it is done once."""
        return F.silu(self.t_embedder(timestep) + self.y_embedder(label))

    def unpatchify(self, x: Tensor) -> Tensor:
        """[B, T, p * p * C] -> [B, C, S, S]."""
        p, grid = self.config.patch_size, self.config.sample_size // self.config.patch_size
        x = x.reshape(x.shape[0], grid, grid, p, p, -1)
        return x.permute(0, 5, 1, 3, 2, 4).reshape(x.shape[0], -1, grid * p, grid * p)

    def forward(self, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        x = self.embed(latents)
        condition = self.condition(timestep, label)
        for block in self.blocks:
            x = block(x, condition)
        return self.unpatchify(self.final(x, condition))
