# SPDX-License-Identifier: Apache-2.0
"""Programs of other tiny networks than the tiny bundle's, for tests of what the engine makes of them.

Lowering the first one takes a process six seconds, each other one two: conftest.py keeps them all.
"""

from collections.abc import Callable

import torch
from tiny_model import LATENT, Decoder, Denoiser, lower, step_inputs
from torch import Tensor, nn

import hqdit_mobile.ops.float_ops  # noqa: F401

SPLIT_LATENT, SPLIT_IMAGE = (4, 32, 32), (3, 64, 64)
WIDE_LATENT, WIDE_IMAGE = (32, 256, 256), (3, 256, 256)


class SplitDecoder(nn.Module):
    """Three graphs of XNNPACK, with weights of their own, since an operator of ours lies between them."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(4, 512, 3, padding=1)
        self.middle = nn.Conv2d(512, 512, 3, padding=1)
        self.last = nn.Conv2d(512, 512, 3, padding=1)
        self.out = nn.Conv2d(512, 3, 1)

    def forward(self, latents: Tensor) -> Tensor:
        hidden = torch.ops.hqdit.silu_f32(self.first(latents))
        hidden = self.last(torch.ops.hqdit.silu_f32(self.middle(hidden)))
        return self.out(torch.tanh(hidden)).repeat_interleave(2, 2).repeat_interleave(2, 3)


class WideDenoiser(nn.Module):
    """Attention over a quarter of a million tokens of 8 channels."""

    def __init__(self):
        super().__init__()
        self.label = nn.Embedding(6, 24)

    def forward(self, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        qkv = self.label(label).unsqueeze(1).expand(1, latents.numel() // 8, 24)
        return latents + torch.ops.hqdit.attention(qkv, 1).view(latents.shape) + timestep[:, None, None, None]


class WideDecoder(nn.Module):
    def forward(self, latents: Tensor) -> Tensor:
        return torch.tanh(latents[:, :3])


class FirstChannels(Decoder):
    """Takes some channels of a result, as networks do that learn a variance beside the noise."""

    def forward(self, latents: Tensor) -> Tensor:
        return super().forward(torch.cat([latents, latents], 1)[:, :4])


class Foreign(Decoder):
    """Has an operator that nobody registers with the engine."""

    def forward(self, latents: Tensor) -> Tensor:
        return super().forward(torch.ops.hqdit_test.twice(latents))


def decoder(network: Callable[[], nn.Module], latent: tuple[int, ...] = LATENT, seed: int = 0) -> bytes:
    torch.manual_seed(seed)
    return lower({"decode": (network(), (torch.zeros(1, *latent),))})


def denoiser(network: Callable[[], nn.Module], latent: tuple[int, ...]) -> bytes:
    torch.manual_seed(0)
    return lower({"denoise": (network(), step_inputs(latent))})


def foreign_decoder() -> bytes:
    library = torch.library.Library("hqdit_test", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    library.define("twice.out(Tensor x, *, Tensor(a!) out) -> Tensor(a!)")
    library.impl("twice", lambda x: 2 * x, "CompositeExplicitAutograd")
    library.impl("twice.out", lambda x, *, out: out.copy_(2 * x), "CompositeExplicitAutograd")
    torch.library.register_fake("hqdit_test::twice", lambda x: torch.empty_like(x), lib=library)
    return decoder(Foreign)


def make_programs() -> dict[str, bytes]:
    return {
        "split_decoder": decoder(SplitDecoder, SPLIT_LATENT),
        "split_transformer": denoiser(Denoiser, SPLIT_LATENT),
        "wide_decoder": decoder(WideDecoder, WIDE_LATENT),
        "wide_transformer": denoiser(WideDenoiser, WIDE_LATENT),
        "other_decoder": decoder(Decoder, seed=1),  # the tiny bundle's with other weights
        "first_channels": decoder(FirstChannels),
        "foreign_decoder": foreign_decoder(),
    }
