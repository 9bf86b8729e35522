# SPDX-License-Identifier: Apache-2.0
"""The image decoder in tiles: the sections in torch against diffusers, and the engine that runs them."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import tiny_model
import torch
from float_cases import normal
from torch import Tensor
from vae_cases import SMALL, fused, random_autoencoder, small_sizes, tiled_bundle, tiled_made_of

from hqdit_mobile.export.lowering import vae_tiles as decoder_tiles
from hqdit_mobile.export.lowering.vae_tiles import Section, TiledDecoder, tile_side, tiled_decoder
from hqdit_mobile.runtime.engine import InvalidBundleError, MemoryLimitError, Pipeline, estimate
from hqdit_mobile.util.metrics import psnr_db, snr_db
from hqdit_mobile.util.pictures import to_rgb


@torch.no_grad()
def decode_in_tiles(tiled: TiledDecoder, latents: Tensor, image_shape: tuple[int, int, int]) -> Tensor:
    """What the engine does, in torch: latents [1, C, S, S] -> image [1, 3, H, W]; maps stay float32."""
    maps = [torch.zeros(1, m.channels, m.height, m.width) for m in tiled.maps]
    maps[0], image = tiled.head(latents), torch.zeros(1, *image_shape)
    for section in tiled.sections:
        statistics = [] if section.statistics is None else [_statistics(maps[section.statistics], tiled.groups)]
        targets = [maps[i] for i in section.to] or [image]
        for rows in _tiles(tiled, section, 0):
            for columns in _tiles(tiled, section, 1):
                tile = maps[section.source][..., rows.read, columns.read]
                added = [] if section.add is None else [maps[section.add][..., rows.result, columns.result]]
                result = section.module(tile, *added, *statistics)
                for target, part in zip(targets, result.split([t.shape[1] for t in targets], dim=1), strict=True):
                    target[..., rows.target, columns.target] = part[..., rows.core, columns.core]
    return image


@dataclass(frozen=True)
class _Span:
    """Of one tile along one axis: what it reads of its source, where its result would lie in the output, what of the
    result counts, and where that goes."""

    read: slice
    result: slice
    core: slice
    target: slice


def _tiles(tiled: TiledDecoder, section: Section, axis: int) -> Iterator[_Span]:
    side, window, k = tiled.sides(section)[axis], tiled.window(section)[axis], section.scale
    tile = tile_side(side * k)
    for target in range(0, side * k, tile):
        read = min(max(target // k - section.halo, 0), side - window)
        core = target - k * read
        yield _Span(
            slice(read, read + window),
            slice(k * read, k * (read + window)),
            slice(core, core + tile),
            slice(target, target + tile),
        )


def _statistics(x: Tensor, groups: int) -> Tensor:
    values = x.reshape(groups, -1).double()
    return torch.stack([values.mean(dim=1), values.var(dim=1, unbiased=False)], dim=1).float()


TWO_LAYERS = SMALL | {"layers_per_block": 2}


@pytest.fixture(autouse=True)
def small_tiles() -> Iterator[None]:
    with small_sizes():
        yield


@pytest.mark.parametrize("config", [SMALL, TWO_LAYERS])
def test_sections_compute_what_diffusers_computes(config):
    made, latents = random_autoencoder(config), normal(2, 1, 4, 8, 12)
    tiled = tiled_decoder(fused(made, config), latents)
    assert tiled is not None and len(tiled.sections) == 2 * (3 + 2 * config["layers_per_block"]) + 1
    with torch.no_grad():
        expected = made.decode(latents).sample
    torch.testing.assert_close(decode_in_tiles(tiled, latents, (3, 32, 48)), expected, rtol=1e-4, atol=1e-4)


def test_a_decoder_without_large_maps_has_no_tiles(monkeypatch):
    monkeypatch.setattr(decoder_tiles, "LARGE_BYTES", 1 << 20)
    assert tiled_decoder(fused(random_autoencoder(SMALL), SMALL), normal(2, 1, 4, 8, 8)) is None


def test_the_head_keeps_the_blocks_whose_maps_are_small(monkeypatch):
    decoder, latents = fused(random_autoencoder(SMALL), SMALL), normal(2, 1, 4, 8, 8)
    monkeypatch.setattr(decoder_tiles, "LARGE_BYTES", 4 * 32 * 16 * 16)  # exactly the input of the second block
    tiled = tiled_decoder(decoder, latents)
    assert tiled is not None and tiled.maps[0].height == 16 and len(tiled.sections) == 6


@pytest.mark.parametrize(("side", "tile"), [(8, 8), (5, 5), (24, 8), (20, 4), (34, 2), (9, 3)])
def test_tiles_divide_their_map(side, tile):
    assert tile_side(side) == tile


@pytest.fixture(scope="module")
def bundle(tiny_files, kept):
    """In float32; to be left unchanged."""
    return kept("tiles", tiled_made_of(), lambda folder: tiled_bundle(folder, tiny_files, lambda module, _: module))


def decoded(latents: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return random_autoencoder(SMALL).decode(latents[None] / tiny_model.SCALE).sample[0]


@pytest.mark.slow
def test_the_engine_decodes_in_tiles(bundle):
    latents = normal(3, *tiny_model.LATENT)
    expected = decoded(latents).numpy()
    with Pipeline(bundle) as whole, Pipeline(bundle, memory_limit_bytes=31_999_999) as under_limit:
        assert not whole.decodes_tiled and under_limit.decodes_tiled
        np.testing.assert_allclose(whole.decode(latents.numpy()), expected, rtol=1e-4, atol=1e-4)
        got = under_limit.decode(latents.numpy())
        # Maps wait in 16 bits: 90 dB each, and some ten of them in a row.
        assert snr_db(expected, got) > 75
        assert np.array_equal(got, under_limit.decode(latents.numpy()))  # nothing is left of the picture before
        pictures = [pipeline.generate(1, seed=4, steps=4) for pipeline in (whole, under_limit)]
    assert psnr_db(*pictures) > 60


@pytest.mark.slow
def test_int8_in_tiles_is_as_near_as_in_one(int8_tiled_bundle):
    latents = normal(3, *tiny_model.LATENT)
    expected = to_rgb(decoded(latents))
    with (
        Pipeline(int8_tiled_bundle) as whole,
        Pipeline(int8_tiled_bundle, memory_limit_bytes=31_999_999) as under_limit,
    ):
        one, tiles = (psnr_db(expected, to_rgb(p.decode(latents.numpy()))) for p in (whole, under_limit))
    assert one > 25 and tiles > one - 2


@pytest.mark.slow
def test_the_memory_limit_chooses(bundle):
    assert estimate(bundle).tiled_peak_bytes == 16_000_000
    for limit, tiles in ((0, False), (32_000_000, False), (31_999_999, True), (16_000_000, True)):
        with Pipeline(bundle, memory_limit_bytes=limit) as pipeline:
            assert pipeline.decodes_tiled == tiles
    with pytest.raises(MemoryLimitError, match="about 16000000 bytes of memory with its pictures decoded in tiles"):
        Pipeline(bundle, memory_limit_bytes=15_999_999)


@pytest.mark.slow
def test_sections_that_do_not_fit_their_program_are_refused(bundle, tmp_path):
    changed = shutil.copytree(bundle, tmp_path / "changed")
    manifest = json.loads((changed / "manifest.json").read_text())
    manifest["decoder"]["tiles"]["sections"][2]["halo"] = 0
    (changed / "manifest.json").write_text(json.dumps(manifest))
    Pipeline(changed).close()  # whole, it does not need them
    with pytest.raises(InvalidBundleError, match='"decode_section_2": input 0 is .*, the manifest asks for'):
        Pipeline(changed, memory_limit_bytes=31_999_999)


def test_section_inputs_follow_the_maps():
    tiled = tiled_decoder(fused(random_autoencoder(SMALL), SMALL), torch.zeros(1, *tiny_model.LATENT))
    section = Section(torch.nn.Identity(), source=2, to=[3], add=3, statistics=2)
    shapes = [tuple(x.shape) for x in tiled.inputs(section)]
    assert shapes == [(1, 32, 10, 10), (1, 32, 10, 10), (8, 2)]
