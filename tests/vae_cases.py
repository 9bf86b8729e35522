# SPDX-License-Identifier: Apache-2.0
"""A small image decoder with random weights, whole and in tiles."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny_model
import torch
from diffusers import AutoencoderKL
from exported_bundle import sources_digest

from hqdit_mobile.export.lowering import vae_tiles as decoder_tiles
from hqdit_mobile.export.lowering.executorch import lower
from hqdit_mobile.export.lowering.vae_decoder import ImageDecoder
from hqdit_mobile.export.lowering.vae_tiles import tiled_decoder
from hqdit_mobile.model.random_model import VAE_CONFIG
from hqdit_mobile.model.vae import vae_decoder

SMALL = VAE_CONFIG | {
    "block_out_channels": [16, 32, 32],
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "layers_per_block": 1,
    "norm_num_groups": 8,
}


def random_autoencoder(config: dict) -> AutoencoderKL:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = AutoencoderKL.from_config(config).eval()
        for parameter in made.parameters():  # norms too, whose initial weights are all ones
            parameter.data += 0.1 * torch.randn(parameter.shape)
    return made


@contextmanager
def small_sizes() -> Iterator[None]:
    """Tiles of 8 pixels, and maps that are large above 16 KB: every block but the first of these decoders has one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder_tiles, "TILE", 8)
        patch.setattr(decoder_tiles, "LARGE_BYTES", 16 << 10)
        yield


def fused(made: AutoencoderKL, config: dict) -> ImageDecoder:
    return ImageDecoder(vae_decoder(config, made.state_dict()), fused=True)


def tiled_made_of() -> str:
    """What decides the files of tiled_bundle, for conftest's `kept`."""
    return "\n".join([sources_digest(), *(Path(file).read_text() for file in (__file__, tiny_model.__file__))])


def tiled_bundle(folder, tiny_files, prepare):
    """The tiny model with SMALL's decoder, whole and in tiles, for which a limit of 31,999,999 bytes asks."""
    latents = torch.zeros(1, *tiny_model.LATENT)
    decoder = fused(random_autoencoder(SMALL), SMALL)
    with small_sizes():
        tiled = tiled_decoder(decoder, latents)
        assert tiled is not None
        methods = {"decode": (prepare(decoder, (latents,)), (latents,))} | tiled.methods(latents, prepare)
        tiles = tiled.to_json()
    files = tiny_files | {"vae_decoder.pte": lower(methods, one_by_one=True).data}
    manifest = tiny_model.make_manifest(files)
    manifest["model"]["image_shape"] = [3, 32, 32]
    manifest["decoder"] = {"tiles": tiles}
    manifest["memory"] |= {"arena_bytes": 400_000, "peak_bytes": 32_000_000, "tiled_peak_bytes": 16_000_000}
    return tiny_model.write_bundle(folder, files, manifest)
