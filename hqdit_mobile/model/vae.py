# SPDX-License-Identifier: Apache-2.0
"""What turns latents into images: the decoder of diffusers' AutoencoderKL or AutoencoderTiny, or nothing at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hqdit_mobile.model.checkpoints.fields import Fields
from hqdit_mobile.model.checkpoints.reading import CheckpointError, named, one_line

WHERE = "vae/config.json"
DEPTH, WIDTH = 12, 8192  # more levels, layers of a level or channels than any decoder for a picture has
OLD_ATTENTION = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
"""Checkpoints older than diffusers 0.18 name the attention projections query, key, value and proj_attn."""


@dataclass(frozen=True)
class Latents:
    """What a decoder takes: ``channels``, and what it divides by, multiplies with and adds, as diffusers' pipelines do:
    x / scaling_factor * std + mean; std and mean are per channel or absent."""

    channels: int
    scaling_factor: float = 1.0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


class VAEDecoder(nn.Module):
    """Latents [B, C, S, S], already divided by ``scaling_factor``, to images [B, 3, f S, f S] in about -1..1.

    ``kind``: "kl" (AutoencoderKL), "tiny" (AutoencoderTiny) or "pixels": latents are the image.
    """

    mean: Tensor | None
    std: Tensor | None
    decoder: Any  # of diffusers

    def __init__(
        self, kind: str, latents: Latents, upscale: int, decoder: nn.Module, post_quant_conv: nn.Module | None
    ):
        super().__init__()
        self.kind, self.latent_channels, self.upscale = kind, latents.channels, upscale
        self.scaling_factor = latents.scaling_factor
        for name in ("mean", "std"):
            values = getattr(latents, name)
            buffer = None if values is None else torch.tensor(values).view(1, -1, 1, 1)
            self.register_buffer(name, buffer, persistent=False)
        self.post_quant_conv = post_quant_conv if post_quant_conv is not None else nn.Identity()
        self.decoder = decoder

    def forward(self, latents: Tensor) -> Tensor:
        if self.std is not None:
            latents = latents * self.std
        if self.mean is not None:
            latents = latents + self.mean
        return self.decoder(self.post_quant_conv(latents))


def pixel_decoder(channels: int) -> VAEDecoder:
    """For models that draw images without a VAE."""
    return VAEDecoder("pixels", Latents(channels), 1, nn.Identity(), None)


def vae_decoder(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> VAEDecoder:
    """Builds the decoder from ``vae/config.json`` and its state dict, of which the encoder may be absent.

    Raises CheckpointError naming the field or tensor that is not understood or does not fit.
    """
    decoder = _build(config, state)
    state = {_current_name(key): value for key, value in state.items()}
    wanted = {k: v.float() for k, v in state.items() if k.startswith(("decoder.", "post_quant_conv."))}
    # The encoder draws nothing.
    if unused := [k for k in state if k not in wanted and not k.startswith(("encoder.", "quant_conv."))]:
        raise CheckpointError(f"the VAE weights have {named(unused)}, which no {config.get('_class_name')} has")
    try:
        decoder.load_state_dict(wanted)
    except RuntimeError as error:
        raise CheckpointError(f"the VAE weights do not fit {WHERE}: {one_line(error)}") from error
    return decoder.eval().requires_grad_(False)


def random_vae_decoder(config: Mapping[str, Any], seed: int = 0) -> VAEDecoder:
    """A decoder with its initial, seeded weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _build(config, None).eval().requires_grad_(False)


def _build(config: Mapping[str, Any], state: Mapping[str, Tensor] | None) -> VAEDecoder:
    kind = config.get("_class_name", "AutoencoderKL")
    if kind == "AutoencoderKL":
        return _autoencoder_kl(Fields(WHERE, config), state)
    if kind == "AutoencoderTiny":
        return _autoencoder_tiny(Fields(WHERE, config))
    raise CheckpointError(
        f"{WHERE} describes a {one_line(kind, 80)}; supported are AutoencoderKL, AutoencoderTiny and, for models that "
        "draw pixels, --vae none"
    )


def _autoencoder_kl(fields: Fields, state: Mapping[str, Tensor] | None) -> VAEDecoder:
    from diffusers import AutoencoderKL

    channels = fields.integer("latent_channels", 1, 256, 4)
    widths = fields.integers("block_out_channels", 1, WIDTH, DEPTH, (64,))
    fields.integer("layers_per_block", 1, DEPTH, 1)
    for name, block in (("up_block_types", "UpDecoderBlock2D"), ("down_block_types", "DownEncoderBlock2D")):
        kinds = fields.get(name, (block,))
        allowed = {block, f"Attn{block}"}
        if not isinstance(kinds, list | tuple) or len(kinds) != len(widths) or not set(kinds) <= allowed:
            raise fields.error(name, f"{len(widths)} of {', '.join(sorted(allowed))}", kinds)
    fields.must_be("act_fn", "silu", default="silu")
    fields.must_be("out_channels", 3, default=3)
    fields.integer("in_channels", 1, 64, 3)
    groups = fields.integer("norm_num_groups", 1, WIDTH, 32)
    if any(width % groups for width in widths):
        raise fields.error("norm_num_groups", f"a divisor of block_out_channels {widths}", groups)
    for name in ("use_quant_conv", "use_post_quant_conv", "mid_block_add_attention"):
        fields.flag(name, True)
    fields.ignore("sample_size", "force_upcast")  # the decoder takes any size and is float32 here
    latents = _latents(fields, channels, 0.18215)
    fields.finish()
    if state is not None:
        first = state.get("decoder.conv_in.weight")
        if first is None or tuple(first.shape[:2]) != (widths[-1], channels):
            raise CheckpointError(
                f"the VAE weights do not fit {WHERE}: decoder.conv_in.weight is missing or of other size"
            )
    vae = AutoencoderKL.from_config({k: v for k, v in fields.values.items() if not k.startswith("_")})
    return VAEDecoder("kl", latents, 2 ** (len(widths) - 1), vae.decoder, vae.post_quant_conv)


def _autoencoder_tiny(fields: Fields) -> VAEDecoder:
    from diffusers import AutoencoderTiny

    channels = fields.integer("latent_channels", 1, 256, 4)
    widths = fields.integers("decoder_block_out_channels", 1, WIDTH, DEPTH, (64, 64, 64, 64))
    blocks = fields.integers("num_decoder_blocks", 0, DEPTH, DEPTH, (3, 3, 3, 1))
    if len(blocks) != len(widths):
        raise fields.error("num_decoder_blocks", f"as long as decoder_block_out_channels {widths}", blocks)
    fields.integers("encoder_block_out_channels", 1, WIDTH, DEPTH, (64, 64, 64, 64))
    fields.integers("num_encoder_blocks", 0, DEPTH, DEPTH, (1, 3, 3, 3))
    fields.must_be("act_fn", "relu", "silu", "gelu", default="relu")  # mish has operators that no engine has
    fields.must_be("upsample_fn", "nearest", default="nearest")
    fields.must_be("out_channels", 3, default=3)
    fields.integer("in_channels", 1, 64, 3)
    factor = fields.must_be("upsampling_scaling_factor", 2, default=2)
    # latent_magnitude and latent_shift are for storing latents as bytes, which the decoder does not do.
    fields.ignore("latent_magnitude", "latent_shift", "force_upcast", "block_out_channels")
    latents = _latents(fields, channels, 1.0)
    fields.finish()
    vae = AutoencoderTiny.from_config({k: v for k, v in fields.values.items() if not k.startswith("_")})
    return VAEDecoder("tiny", latents, factor ** (len(widths) - 1), vae.decoder, None)


def _latents(fields: Fields, channels: int, scaling_factor: float) -> Latents:
    scale = fields.number("scaling_factor", scaling_factor)
    if scale <= 0:
        raise fields.error("scaling_factor", "above 0", scale)
    shift = fields.get("shift_factor", None)
    values = {name: fields.get(name, None) for name in ("latents_mean", "latents_std")}
    for name, value in values.items():
        if value is None:
            continue
        numbers = isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value)
        if not numbers or len(value) != channels:
            raise fields.error(name, f"{channels} numbers, one for each latent channel", value)
    mean, std = values["latents_mean"], values["latents_std"]
    if (mean is None) != (std is None):
        raise CheckpointError(f"{fields.where}: latents_mean and latents_std must come together")
    if shift:
        if mean is not None:
            raise CheckpointError(f"{fields.where}: shift_factor and latents_mean exclude each other")
        mean = [fields.number("shift_factor")] * channels
    return Latents(channels, scale, None if mean is None else tuple(mean), None if std is None else tuple(std))


def _current_name(key: str) -> str:
    if "attentions" in key:
        for old, new in OLD_ATTENTION.items():
            key = key.replace(old, new)
    return key
