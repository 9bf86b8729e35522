# SPDX-License-Identifier: Apache-2.0
"""The phone's image decoder against diffusers' AutoencoderKL: fused in float, int8, and lowered to ExecuTorch."""

import pytest
import torch
from diffusers import AutoencoderKL
from float_cases import normal
from vae_cases import SMALL, random_autoencoder

from hqdit_mobile.diffusion.trajectory import initial_noise, sample_latents
from hqdit_mobile.export.lowering import vae_decoder as image_decoder
from hqdit_mobile.export.lowering.executorch import lower
from hqdit_mobile.export.lowering.vae_decoder import (
    ImageDecoder,
    Upsample,
    choose_decoder,
    with_int8_convolutions,
)
from hqdit_mobile.model.checkpoints import CheckpointError
from hqdit_mobile.model.loading import load_model
from hqdit_mobile.model.vae import VAEDecoder, random_vae_decoder, vae_decoder
from hqdit_mobile.ops.native import library_path
from hqdit_mobile.util.metrics import psnr_db
from hqdit_mobile.util.pictures import to_rgb


@pytest.fixture(scope="module")
def autoencoder() -> AutoencoderKL:
    return random_autoencoder(SMALL)


@pytest.fixture(scope="module")
def vae(autoencoder) -> VAEDecoder:
    return vae_decoder(SMALL, autoencoder.state_dict())


def test_fused_decoder_equals_diffusers(autoencoder, vae):
    latents = normal(1, 1, 4, 12, 12)
    with torch.no_grad():
        expected = autoencoder.decode(latents).sample
        torch.testing.assert_close(ImageDecoder(vae, fused=True)(latents), expected, rtol=1e-4, atol=1e-4)
        assert torch.equal(ImageDecoder(vae)(latents), expected)


@pytest.mark.parametrize("size", [(1, 1), (5, 7)])
def test_upsampling_inside_a_convolution(size):
    conv = torch.nn.Conv2d(3, 5, 3, padding=1)
    x = normal(2, 2, 3, *size)
    stand_in = Upsample(conv)
    expected = conv(torch.nn.functional.interpolate(x, scale_factor=2.0, mode="nearest"))
    torch.testing.assert_close(stand_in(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_int8_program_computes_what_was_measured(vae):
    from executorch.runtime import Runtime

    torch.ops.load_library(str(library_path("hqdit_ops")))
    latents = normal(3, 1, 4, 8, 8)
    graph = with_int8_convolutions(ImageDecoder(vae, fused=True), (latents,))
    lowered = lower({"decode": (graph, (latents,))}, one_by_one=True)
    assert set(lowered.operators) <= {
        "executorch_call_delegate", "getitem", "hqdit::group_norm_f32", "aten::expand_copy",
    }  # fmt: skip
    got = Runtime.get().load_program(lowered.data).load_method("decode").execute([latents])[0]
    with torch.no_grad():
        float_image, measured = to_rgb(vae(latents)), to_rgb(graph(latents))
    # Random weights are hard on int8; the two err alike, not in the same pixels.
    assert psnr_db(float_image, to_rgb(got)) == pytest.approx(psnr_db(float_image, measured), abs=1)


@pytest.mark.slow
def test_emoji_decoder_is_int8():
    model = load_model("builtin:emoji-dit")
    label = torch.tensor([model.labels.index("heart fluent-emoji")])
    noise = initial_noise(model.latent_shape, 7)
    latents = sample_latents(model.dit, model.process, noise, label, 6, 4.0) / model.vae.scaling_factor
    chosen = choose_decoder(model.vae, latents)
    assert chosen.about.precision == "int8"
    with torch.no_grad():
        expected, got = to_rgb(model.vae(latents)), to_rgb(chosen.module(latents))
    assert chosen.about.psnr_db == pytest.approx(psnr_db(expected, got), abs=0.06) and psnr_db(expected, got) > 45


def test_a_decoder_that_int8_would_harm_stays_float(vae, monkeypatch):
    latents = normal(4, 1, 4, 8, 8)
    monkeypatch.setattr(image_decoder, "with_int8_convolutions", lambda decoder, _: NoisyDecoder(decoder))
    chosen = choose_decoder(vae, latents)
    assert chosen.about.precision == "float32" and chosen.about.int8_psnr_db < 40
    assert isinstance(chosen.module, ImageDecoder)


class NoisyDecoder(torch.nn.Module):
    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, latents):
        image = self.decoder(latents)
        return image + 0.1 * normal(5, *image.shape)


def test_layers_next_to_latents_and_pixels_stay_float(vae):
    graph = with_int8_convolutions(ImageDecoder(vae, fused=True), (normal(6, 1, 4, 8, 8),))
    state = graph.state_dict()
    for name in ("vae.post_quant_conv", "vae.decoder.conv_in", "vae.decoder.conv_out"):
        assert torch.equal(state[f"{name}.weight"], vae.get_parameter(f"{name.removeprefix('vae.')}.weight"))
    assert sum(value.dtype == torch.int8 for value in state.values()) > 10


def test_other_activations_are_refused():
    with pytest.raises(CheckpointError, match="act_fn must be 'silu', not 'relu'"):
        random_vae_decoder(SMALL | {"act_fn": "relu"})
