# SPDX-License-Identifier: Apache-2.0
"""The decoder half of diffusers' AutoencoderKL, which is all that a sampler needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hqdit_mobile.model.checkpoints import CheckpointError


class VAEDecoder(nn.Module):
    """Latents [B, 4, S, S], already divided by ``scaling_factor``, to images [B, 3, f S, f S] in about -1..1."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        from diffusers import AutoencoderKL

        self.config = {k: v for k, v in config.items() if not k.startswith("_")}
        if self.config.get("latents_mean") is not None or self.config.get("shift_factor"):
            raise CheckpointError("vae/config.json: only scaling_factor is supported, no latents_mean or shift_factor")
        if self.config.get("act_fn", "silu") != "silu":
            raise CheckpointError(f"vae/config.json: act_fn must be silu, not {self.config['act_fn']!r}")
        vae = AutoencoderKL.from_config(self.config)
        self.post_quant_conv = vae.post_quant_conv if vae.post_quant_conv is not None else nn.Identity()
        self.decoder = vae.decoder

    @property
    def scaling_factor(self) -> float:
        return float(self.config.get("scaling_factor", 0.18215))

    @property
    def upscale(self) -> int:
        return 2 ** (len(self.config["block_out_channels"]) - 1)

    def forward(self, latents: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(latents))


def vae_decoder(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> VAEDecoder:
    """Builds the decoder from ``vae/config.json`` and the AutoencoderKL state dict; encoder tensors are ignored."""
    decoder = VAEDecoder(config)
    wanted = {k: v.float() for k, v in state.items() if k.startswith(("decoder.", "post_quant_conv."))}
    try:
        decoder.load_state_dict(_current_attention_names(wanted))
    except RuntimeError as error:
        raise CheckpointError(f"the VAE weights do not fit vae/config.json: {error}") from error
    return decoder.eval().requires_grad_(False)


def random_vae_decoder(config: Mapping[str, Any], seed: int = 0) -> VAEDecoder:
    """A decoder with its initial, seeded weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VAEDecoder(config).eval().requires_grad_(False)


def _current_attention_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Checkpoints older than diffusers 0.18 name the attention projections query, key, value and proj_attn."""
    names = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
    out = {}
    for key, value in state.items():
        for old, new in names.items():
            if "attentions" in key:
                key = key.replace(old, new)
        out[key] = value
    return out
