# SPDX-License-Identifier: Apache-2.0
"""The Diffusion Transformer (Peebles and Xie, arXiv 2212.09748) with adaLN-Zero blocks.

One module for every checkpoint we load. It computes what diffusers' ``DiTTransformer2DModel`` and facebookresearch's
``DiT`` compute; the two differ in ``block_norm_eps`` and ``time_freq_shift``, and in that diffusers has embedders of
timestep and class in every block, which are alike until they are trained there. q, k and v are one product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from hqdit_mobile.diffusion.conditions import Conditions, Declared, class_label
from hqdit_mobile.model.arithmetic import PLAIN, Arithmetic
from hqdit_mobile.model.network import Layer, Network
from hqdit_mobile.ops.fp4_linear import FP4Linear

TIME_FREQUENCIES = 256


@dataclass(frozen=True)
class DiTConfig:
    """Sizes of a DiT. ``sample_size``: height and width of the latent; ``num_classes`` excludes the null class."""

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
    block_embedders: bool = False
    """Every block has embedders of timestep and class of its own; the final layer uses the first block's."""
    learned_positions: bool = False
    """Positions are weights, not the fixed sines and cosines."""
    null_class: bool = True
    """The label table ends with a row for no class; a model that was trained without it cannot be guided."""

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

    @property
    def label_rows(self) -> int:
        return self.num_classes + self.null_class


def sincos_positions(dim: int, grid: int) -> Tensor:
    """Fixed 2-D positions [grid * grid, dim], columns first (MAE, He et al.; DiT appendix)."""
    omega = 1.0 / 10000 ** (torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    angle = torch.outer(torch.arange(grid, dtype=torch.float64), omega)
    line = torch.cat([angle.sin(), angle.cos()], dim=1)  # (grid, dim / 2)
    column = line[None, :, :].expand(grid, grid, -1)
    row = line[:, None, :].expand(grid, grid, -1)
    return torch.cat([column, row], dim=-1).reshape(grid * grid, dim).float()


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

    def forward(self, timestep: Tensor, ops: Arithmetic = PLAIN) -> Tensor:
        features = ops.timestep_features(timestep, self.frequencies)
        return ops.linear(self.fc2, ops.silu(ops.linear(self.fc1, features)))


class Embedders(nn.Module):
    """Those of one block."""

    def __init__(self, config: DiTConfig):
        super().__init__()
        self.t_embedder = TimestepEmbedder(config)
        self.y_embedder = nn.Embedding(config.label_rows, config.hidden_size)


class Attention(nn.Module):
    """Multi-head self-attention over [B, T, D]; the rows of ``qkv`` are q, then k, then v."""

    def __init__(self, config: DiTConfig):
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, ops: Arithmetic = PLAIN) -> Tensor:
        # A layer that simulates a format leaves attention in float32 (docs/quality.md).
        quantized = isinstance(self.qkv, FP4Linear)
        return ops.linear(self.proj, ops.attention(ops.linear(self.qkv, x), self.num_heads, quantized))


class Mlp(nn.Module):
    def __init__(self, config: DiTConfig):
        super().__init__()
        inner = int(config.hidden_size * config.mlp_ratio)
        self.fc1 = nn.Linear(config.hidden_size, inner)
        self.fc2 = nn.Linear(inner, config.hidden_size)

    def forward(self, x: Tensor, ops: Arithmetic = PLAIN) -> Tensor:
        return ops.linear(self.fc2, ops.linear_gelu(self.fc1, x))


class DiTBlock(nn.Module):
    """adaLN-Zero block: the context gives shift, scale and gate for the attention and for the MLP."""

    def __init__(self, config: DiTConfig):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=1e-6, elementwise_affine=False)
        self.attn = Attention(config)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.block_norm_eps, elementwise_affine=False)
        self.mlp = Mlp(config)
        self.adaLN = nn.Linear(config.hidden_size, 6 * config.hidden_size)

    def forward(self, x: Tensor, context: Tensor, ops: Arithmetic = PLAIN) -> Tensor:
        modulation = ops.linear(self.adaLN, context)  # shift, scale, gate of the attention, then of the MLP
        x = ops.gated_add(x, modulation, 2, self.attn(ops.modulated_norm(x, modulation, 0, 1, self.norm1), ops))
        return ops.gated_add(x, modulation, 5, self.mlp(ops.modulated_norm(x, modulation, 3, 4, self.norm2), ops))


class FinalLayer(nn.Module):
    def __init__(self, config: DiTConfig):
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size, eps=1e-6, elementwise_affine=False)
        self.adaLN = nn.Linear(config.hidden_size, 2 * config.hidden_size)
        self.linear = nn.Linear(config.hidden_size, config.patch_size**2 * config.out_channels)

    def forward(self, x: Tensor, context: Tensor, ops: Arithmetic = PLAIN) -> Tensor:
        modulation = ops.linear(self.adaLN, context)
        return ops.linear(self.linear, ops.modulated_norm(x, modulation, 0, 1, self.norm))


class DiT(Network):
    """Predicts noise (and, with learned sigma, the variance half) for latents.

    ``forward(latents, timestep, label)``: latents [B, in_channels, S, S] float32, timestep [B] float32, label [B]
    int64, a class or ``null_label``. Returns
    [B, out_channels, S, S]; the first ``in_channels`` channels are the noise.
    """

    config: DiTConfig
    positions: Tensor
    block_layers = (
        # adaLN gives shift, scale and gate of the attention, then of the MLP. Attention weights sum to one: a constant
        # taken from every value leaves every output of the attention.
        Layer("attn.qkv", "tokens", "recipe", mean=("adaLN", 0)),
        Layer("attn.proj", "tokens", "recipe", mean=("attn.qkv", 2)),
        Layer("mlp.fc1", "tokens", "recipe", mean=("adaLN", 3)),
        # The GELU in front of it leaves no bias that holds the mean.
        Layer("mlp.fc2", "tokens", "recipe"),
        Layer("adaLN", "context", "int8"),
    )

    def __init__(self, config: DiTConfig):
        super().__init__()
        self.config = config
        self.x_embedder = nn.Conv2d(config.in_channels, config.hidden_size, config.patch_size, config.patch_size)
        positions = sincos_positions(config.hidden_size, config.sample_size // config.patch_size)
        self.register_buffer("positions", positions[None], persistent=config.learned_positions)
        self.t_embedder = TimestepEmbedder(config)
        self.y_embedder = nn.Embedding(config.label_rows, config.hidden_size)
        others = config.depth - 1 if config.block_embedders else 0
        self.block_embedders = nn.ModuleList(Embedders(config) for _ in range(others))
        self.blocks = nn.ModuleList(self.new_block(config) for _ in range(config.depth))
        self.final = FinalLayer(config)

    @staticmethod
    def new_block(config: DiTConfig) -> DiTBlock:
        return DiTBlock(config)

    @classmethod
    def without_blocks(cls, config: DiTConfig) -> DiT:
        network = cast(DiT, super().without_blocks(config))
        if config.block_embedders:
            network.block_embedders = nn.ModuleList(network._no_embedders() for _ in range(config.depth - 1))
        return network

    def _no_embedders(self) -> Embedders:
        """Without weights yet: of a large model they are hundreds of megabytes."""
        with torch.device("meta"):
            embedders = Embedders(self.config)
        embedders.t_embedder.frequencies = self.t_embedder.frequencies
        return embedders

    @property
    def conditions(self) -> Declared:
        classes = self.config.num_classes
        return {"label": class_label(classes, null=classes if self.config.null_class else None)}

    @property
    def outer_layers(self) -> tuple[Layer, ...]:
        layers = [
            Layer("x_embedder", "tokens", "float"),
            Layer("final.adaLN", "context", "int8"),
            Layer("final.linear", "tokens", "float"),
        ]
        for index in range(self.own_contexts):
            name = f"block_embedders.{index - 1}.t_embedder" if index else "t_embedder"
            # Every layer depends on fc1's sines and cosines; four bits there cost 3 dB at the noisiest steps.
            layers.append(Layer(f"{name}.fc1", "conditions", "float", context=index))
            layers.append(Layer(f"{name}.fc2", "conditions", "int8", context=index))
        return tuple(layers)

    @property
    def own_contexts(self) -> int:
        return self.config.depth if self.config.block_embedders else 1

    def embed(self, latents: Tensor, ops: Arithmetic = PLAIN) -> Tensor:
        return ops.patches(self.x_embedder, latents) + self.positions

    def embedders(self, index: int) -> tuple[nn.Module, nn.Module]:
        """(of timesteps, of labels) for block ``index``; the final layer's are those of block 0."""
        if index == 0 or not self.config.block_embedders:
            return self.t_embedder, self.y_embedder
        own = self.block_embedders[index - 1]
        return cast(nn.Module, own.t_embedder), cast(nn.Module, own.y_embedder)

    def context(self, timestep: Tensor, conditions: Conditions, index: int = 0, ops: Arithmetic = PLAIN) -> Tensor:
        """silu(t + y): every adaLN applies the same SiLU, so it is done once."""
        of_timestep, of_label = self.embedders(index)
        embedded: Tensor = of_timestep(timestep, ops) + of_label(conditions["label"])
        return ops.silu(embedded)

    def unpatchify(self, x: Tensor) -> Tensor:
        """[B, T, p * p * C] -> [B, C, S, S]."""
        p, grid = self.config.patch_size, self.config.sample_size // self.config.patch_size
        x = x.reshape(x.shape[0], grid, grid, p, p, -1)
        return x.permute(0, 5, 1, 3, 2, 4).reshape(x.shape[0], -1, grid * p, grid * p)

    def end(self, tokens: Tensor, context: Tensor, ops: Arithmetic = PLAIN) -> Tensor:
        return self.unpatchify(self.final(tokens, context, ops))

    def drop_learned_sigma_(self) -> None:
        config = self.config
        if config.out_channels == config.in_channels:
            return
        linear, keep = self.final.linear, config.in_channels
        noise = nn.Linear(linear.in_features, config.patch_size**2 * keep)
        with torch.no_grad():
            for name, parameter in noise.named_parameters():
                rows = getattr(linear, name).unflatten(0, (-1, config.out_channels))[:, :keep]
                parameter.copy_(rows.flatten(0, 1))
        self.final.linear = noise.requires_grad_(False)
