# SPDX-License-Identifier: Apache-2.0
"""DiTs of the published sizes with seeded random weights: what a real one costs in time, memory and bytes.

They draw noise. Weights have the scale of a trained net: adaLN is not zero, so that every block matters, and the first
and last layer are made so that the noise prediction lies mostly along the latents, as a trained net's does at the
noisy end; sampling then stays bounded.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from functools import cached_property

import torch
from torch import Tensor

from hqdit_mobile.model.dit import DiT, DiTConfig

RANDOM = "random:"
SIZES = {"S": (12, 384, 6), "B": (12, 768, 12), "L": (24, 1024, 16), "XL": (28, 1152, 16)}  # depth, width, heads
FORMS = "random:DiT-SIZE/PATCH-PIXELS with SIZE S, B, L or XL, PATCH 2, 4 or 8 and PIXELS 256 or 512"
MODULATION = 0.3  # standard deviation of the shifts, scales and gates
SKIP = 0.9  # of the latents in the noise prediction

VAE_CONFIG = {
    "_class_name": "AutoencoderKL",
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "sample_size": 256,
    "scaling_factor": 0.18215,
}
"""The sizes of stabilityai/sd-vae-ft-mse and -ema."""


def random_config(spec: str) -> DiTConfig:
    """The architecture of facebookresearch's DiT of that name. Raises ValueError for another form of `spec`."""
    match = re.fullmatch(r"random:DiT-(S|B|L|XL)/([248])-(256|512)", spec)
    if match is None:
        raise ValueError(f"{spec!r} is no random model: {FORMS}, such as random:DiT-XL/2-256")
    depth, width, heads = SIZES[match[1]]
    return DiTConfig(width, depth, heads, patch_size=int(match[2]), sample_size=int(match[3]) // 8)


class RandomState(Mapping[str, Tensor]):
    """The state dict of a random DiT: each tensor is drawn, always alike, when it is first asked for, and kept in
    float16."""

    def __init__(self, config: DiTConfig, seed: int = 0):
        self.config, self.seed = config, seed
        self._kept: dict[str, Tensor] = {}

    @cached_property
    def _shapes(self) -> dict[str, torch.Size]:
        with torch.device("meta"):
            return {name: tensor.shape for name, tensor in DiT(self.config).state_dict().items()}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._kept:
            self._kept[name] = self._draw(name).half()
        return self._kept[name].float()

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def _draw(self, name: str) -> Tensor:
        shape = self._shapes[name]
        if name.startswith(("x_embedder.weight", "final.linear.weight")):
            return self._patches(name)
        return self._normal(name, shape) * self._deviation(name, shape)

    def _normal(self, name: str, shape: torch.Size) -> Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {name}".encode()))
        return torch.randn(shape, generator=generator)

    def _deviation(self, name: str, shape: torch.Size) -> float:
        if ".adaLN." in name:
            # The condition, a SiLU of standard normals, has a mean square of 0.36.
            return MODULATION / 2 if name.endswith("bias") else MODULATION * (0.75 / 0.36 / shape[1]) ** 0.5
        if name == "t_embedder.fc2.weight":
            return (1.5 / shape[1]) ** 0.5
        if name == "y_embedder.weight":
            return 0.7
        if name == "t_embedder.fc1.weight":
            return (2.0 / shape[1]) ** 0.5
        return 0.02 if name.endswith("bias") else (2.0 / sum(shape)) ** 0.5  # Glorot's, as in the original

    def _patches(self, name: str) -> Tensor:
        """Orthonormal columns that write a patch into the tokens, and their transpose that reads the noise."""
        config = self.config
        values = config.in_channels * config.patch_size**2
        columns, _ = torch.linalg.qr(self._normal("patches", torch.Size([config.hidden_size, values])))
        if name == "x_embedder.weight":
            return (columns * (config.hidden_size / values) ** 0.5).reshape(self._shapes[name])
        # The embedder makes tokens of variance one out of latents of variance one; the norm keeps that.
        read = columns * (SKIP * (values / config.hidden_size) ** 0.5)
        read = read.view(-1, config.in_channels, config.patch_size**2).permute(2, 1, 0)  # (p * p, C, D)
        weight = self._normal(name, self._shapes[name]).view(config.patch_size**2, config.out_channels, -1)
        weight *= 0.1 / config.hidden_size**0.5
        weight[:, : config.in_channels] += read
        return weight.flatten(0, 1)
