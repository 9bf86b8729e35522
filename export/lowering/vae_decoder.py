# SPDX-License-Identifier: Apache-2.0
"""The image decoder as a phone runs it: group norm and SiLU in one operator of ours, upsampling inside convolutions.

Both take memory and time from the largest activations, and change nothing but the rounding. The int8 convolutions are
XNNPACK's: weights with a scale per output channel, inputs quantized when they come (a scale and zero point per tensor),
which needs no calibration and cannot clip.
"""

from __future__ import annotations

import copy
import itertools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import hqdit_mobile.ops.float_ops  # noqa: F401  (registers the operators)
from hqdit_mobile.model.vae import VAEDecoder
from hqdit_mobile.runtime.manifest import Decoder
from hqdit_mobile.util.garbage import collecting_new_objects_only
from hqdit_mobile.util.metrics import psnr_db
from hqdit_mobile.util.pictures import to_rgb

NEEDED_DB = 40.0  # PSNR of the phone's decode to the float one
LARGE_BYTES = 16 << 20  # of one activation; larger ones are worth avoiding
PART_BYTES = 4 << 20  # of the weights of attention that are in memory together


class ImageDecoder(nn.Module):
    """Latents [1, C, S, S], divided by the scaling factor -> image [1, 3, H, W] in about -1..1.

    fused: with the operators that ExecuTorch bundles have; without, in the decoder's standard ones.
    """

    def __init__(self, vae: VAEDecoder, fused: bool = False):
        super().__init__()
        self.vae = FUSED_DECODERS[vae.kind](vae) if fused and vae.kind in FUSED_DECODERS else vae

    def forward(self, latents: Tensor) -> Tensor:
        return self.vae(latents)


class GroupNorm(nn.Module):
    """x [B, C, ...] -> the same shape, by our operator. ``part`` i of n: of the i-th of n equal runs of channels.

    ``statistics`` [groups of all parts, 2], mean and variance, stand in for those of x, a tile.
    """

    def __init__(self, norm: nn.GroupNorm, silu: bool, part: tuple[int, int] = (0, 1)):
        super().__init__()
        self.index, self.parts = part
        self.weight, self.bias = (
            nn.Parameter(values.chunk(self.parts)[self.index].clone(), requires_grad=False)
            for values in (norm.weight, norm.bias)
        )
        self.groups, self.eps, self.silu = norm.num_groups // self.parts, norm.eps, silu

    def forward(self, x: Tensor, statistics: Tensor | None = None) -> Tensor:
        if statistics is None:
            return torch.ops.hqdit.group_norm_f32(x, self.weight, self.bias, self.groups, self.eps, self.silu)
        own = statistics if self.parts == 1 else statistics.chunk(self.parts)[self.index]
        return torch.ops.hqdit.group_norm_given_f32(x, self.weight, self.bias, own, self.groups, self.eps, self.silu)


class ResidualBlock(nn.Module, ABC):
    """diffusers' ResnetBlock2D as decoders have it, without a time embedding, in two halves: what comes before the
    statistics of the second norm are known, and what comes after."""

    def __init__(self, block: Any):
        super().__init__()
        self.norm2, self.conv2 = GroupNorm(block.norm2, True), block.conv2

    @abstractmethod
    def enter(self, x: Any, statistics: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(input of the second norm, what is added to the result), both [B, C, H, W]."""

    def leave(self, inner: Tensor, shortcut: Tensor, statistics: Tensor | None = None) -> Tensor:
        return shortcut + self.conv2(self.norm2(inner, statistics))

    def forward(self, x: Any, temb: None = None) -> Tensor:
        return self.leave(*self.enter(x))


class Residual(ResidualBlock):
    """Of x [B, C, H, W]."""

    def __init__(self, block: Any):
        super().__init__(block)
        self.norm1, self.conv1 = GroupNorm(block.norm1, True), block.conv1
        self.shortcut = block.conv_shortcut if block.conv_shortcut is not None else nn.Identity()

    def enter(self, x: Any, statistics: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.conv1(self.norm1(x, statistics)), self.shortcut(x)


class HalvedResidual(ResidualBlock):
    """Of an input in two halves of its channels, (x [B, C / 2, H, W], the same), so that what is made of one can go
    before the other is touched: the largest activations of a decoder are here."""

    def __init__(self, block: Any):
        super().__init__(block)
        self.norm1 = nn.ModuleList(GroupNorm(block.norm1, True, (i, 2)) for i in range(2))
        self.conv1 = nn.ModuleList(_input_half(block.conv1, i) for i in range(2))
        self.shortcut = nn.ModuleList(_input_half(block.conv_shortcut, i) for i in range(2))

    def enter(self, x: Any, statistics: Tensor | None = None) -> tuple[Tensor, Tensor]:
        first, second = x
        shortcut, inner = self.shortcut[0](first), self.conv1[0](self.norm1[0](first, statistics))
        shortcut = shortcut + self.shortcut[1](second)
        inner = inner + self.conv1[1](self.norm1[1](second, statistics))
        return inner, shortcut


def _input_half(conv: nn.Conv2d, index: int) -> nn.Conv2d:
    """The part of a convolution that reads one half of its input's channels; the first half has the bias."""
    has_bias = index == 0 and conv.bias is not None
    half = nn.Conv2d(
        conv.in_channels // 2, conv.out_channels, cast(Any, conv.kernel_size), padding=cast(Any, conv.padding),
        bias=has_bias,
    ).requires_grad_(False)  # fmt: skip
    half.weight.copy_(conv.weight.chunk(2, dim=1)[index])
    if has_bias:
        cast(Tensor, half.bias).copy_(cast(Tensor, conv.bias))
    return half


class SelfAttention(nn.Module):
    """diffusers' Attention as decoders have it: one head, over pixels, with a residual.

    Queries go in as many parts as keep the weights of each within PART_BYTES.
    """

    def __init__(self, attention: Any):
        super().__init__()
        self.norm = GroupNorm(attention.group_norm, False)
        self.q, self.k, self.v, self.out = attention.to_q, attention.to_k, attention.to_v, attention.to_out[0]
        self.scale = attention.scale

    def forward(self, x: Tensor, temb: None = None) -> Tensor:
        pixels = self.norm(x).flatten(2).transpose(1, 2)
        queries, keys, values = self.scale * self.q(pixels), self.k(pixels).transpose(1, 2), self.v(pixels)
        parts = -(-4 * pixels.shape[1] ** 2 // PART_BYTES)
        several = [queries] if parts == 1 else queries.chunk(parts, dim=1)
        mixed = [torch.bmm(torch.softmax(torch.bmm(part, keys), dim=-1), values) for part in several]
        return x + self.out(mixed[0] if parts == 1 else torch.cat(mixed, dim=1)).transpose(1, 2).reshape(x.shape)


class Upsample(nn.Module):
    """Twice the size by nearest neighbours, then a 3 x 3 convolution: a transposed convolution of 4 x 4 with stride 2.

    Each output pixel sees 2 x 2 different inputs, so this takes 4 / 9 of the products and never makes the large input.
    """

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        weight: Tensor = conv.weight.detach()
        # Tap (y, x) of the 3 x 3 kernel meets input rows y and y + 1, columns x and x + 1 of the larger kernel.
        spread = torch.stack([F.pad(weight, (x, 1 - x, y, 1 - y)) for y in range(2) for x in range(2)])
        self.weight = nn.Parameter(spread.sum(dim=0).flip(2, 3).transpose(0, 1).contiguous(), requires_grad=False)
        self.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=1)


class HalvedUpsample(nn.Module):
    """An Upsample that gives the two halves of its channels one after the other."""

    def __init__(self, upsample: Any):
        super().__init__()
        whole = Upsample(upsample.conv)
        self.weight = nn.ParameterList(half.contiguous() for half in whole.weight.detach().chunk(2, dim=1))
        self.bias = nn.ParameterList(half.clone() for half in cast(Tensor, whole.bias).detach().chunk(2))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        pairs = zip(self.weight, self.bias, strict=True)
        return tuple(F.conv_transpose2d(x, weight, bias, stride=2, padding=1) for weight, bias in pairs)


def fused_decoder(vae: VAEDecoder) -> VAEDecoder:
    """A copy of ``vae`` in these modules."""
    from diffusers.models.attention_processor import Attention
    from diffusers.models.resnet import ResnetBlock2D
    from diffusers.models.upsampling import Upsample2D

    vae = copy.deepcopy(vae).requires_grad_(False)
    blocks = vae.decoder.up_blocks
    for block, following in itertools.pairwise(blocks):
        resnet = following.resnets[0]
        if block.upsamplers and resnet.conv_shortcut is not None and resnet.norm1.num_groups % 2 == 0:
            block.upsamplers[0] = HalvedUpsample(block.upsamplers[0])
            following.resnets[0] = HalvedResidual(resnet)
    stand_ins: dict[type, Callable[[Any], nn.Module]] = {ResnetBlock2D: Residual, Attention: SelfAttention}
    stand_ins[Upsample2D] = lambda upsample: Upsample(upsample.conv)
    for module in list(vae.modules()):
        for name, child in list(module.named_children()):
            if type(child) in stand_ins:
                setattr(module, name, stand_ins[type(child)](child))
    vae.decoder.conv_norm_out = GroupNorm(vae.decoder.conv_norm_out, True)
    vae.decoder.conv_act = nn.Identity()
    return vae


def fused_tiny_decoder(vae: VAEDecoder) -> VAEDecoder:
    """A copy of ``vae``, of an AutoencoderTiny: each of its upsamplings is part of the convolution behind it."""
    vae = copy.deepcopy(vae).requires_grad_(False)
    layers = list(vae.decoder.layers)
    pairs = itertools.pairwise([nn.Identity(), *layers])
    joined = [Upsample(layer) if isinstance(before, nn.Upsample) else layer for before, layer in pairs]
    vae.decoder.layers = nn.Sequential(*(layer for layer in joined if not isinstance(layer, nn.Upsample)))
    return vae


FUSED_DECODERS = {"kl": fused_decoder, "tiny": fused_tiny_decoder}


@dataclass(frozen=True)
class ChosenDecoder:
    """``about``: what the manifest says of it. To be lowered operator by operator.

    ``module`` is ``fused`` as ``prepare`` makes it for inputs of those shapes; the same makes its parts.
    """

    module: nn.Module
    about: Decoder
    fused: ImageDecoder
    prepare: Callable[[nn.Module, tuple[Tensor, ...]], nn.Module]


def choose_decoder(vae: VAEDecoder, latents: Tensor) -> ChosenDecoder:
    """int8 where it is near enough to ``vae`` on latents [B, C, S, S], divided by the scaling factor, else float32."""
    decoder = ImageDecoder(vae, fused=True)
    if vae.kind == "pixels":
        return ChosenDecoder(decoder, Decoder(precision="float32"), decoder, lambda module, _: module)
    quantized = with_int8_convolutions(decoder, (latents[:1],))
    db = decode_psnr_db(quantized, vae, latents)
    if db < NEEDED_DB:
        stays = Decoder(precision="float32", int8_psnr_db=round(db, 1))
        return ChosenDecoder(decoder, stays, decoder, lambda module, _: module)
    return ChosenDecoder(quantized, Decoder(precision="int8", psnr_db=round(db, 1)), decoder, with_int8_convolutions)


def with_int8_convolutions(module: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
    """``module`` with int8 convolutions and linear layers, as a graph that XNNPACK knows; inputs of these shapes."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True))
    quantizer.set_filter_function(lambda node: not _stays_float(node))
    with torch.no_grad(), warnings.catch_warnings(), collecting_new_objects_only():
        warnings.filterwarnings("ignore", category=FutureWarning)
        prepared = prepare_pt2e(torch.export.export(module, inputs).module(), quantizer)
        prepared(*inputs)  # the observers see the weights
        return convert_pt2e(prepared)


FLOAT_LAYERS = (".post_quant_conv", ".conv_in", ".conv_out", ".shortcut", ".shortcut.0", ".shortcut.1")
"""Those next to latents and pixels and the 1 x 1 convolutions: a fortieth of the products, and half of the error."""


def _stays_float(node: torch.fx.Node) -> bool:
    return any(path.endswith(FLOAT_LAYERS) for path, _ in node.meta.get("nn_module_stack", {}).values())


def decode_psnr_db(decoder: nn.Module, vae: VAEDecoder, latents: Tensor) -> float:
    """The worst of latents [B, C, S, S], divided by the scaling factor: 8-bit pictures against those of ``vae``."""
    with torch.no_grad():
        return min(psnr_db(to_rgb(vae(one)), to_rgb(decoder(one))) for one in latents.split(1))
