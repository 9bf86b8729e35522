# SPDX-License-Identifier: Apache-2.0
"""SiT, REPA and a network trained in diffusers, from a file to a picture of the engine or of ONNX Runtime, against
their equations in float64 and diffusers' own modules; each with another decoder."""

import json

import numpy as np
import plain_dit
import pytest
import torch
from checkpoint_folders import tiny_folder
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler
from rich.console import Console

from hqdit_mobile.diffusion.trajectory import initial_noise
from hqdit_mobile.export.bundle.job import export_bundle
from hqdit_mobile.export.bundle.options import ExportOptions
from hqdit_mobile.model.checkpoints.given import Given
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.runtime.open_bundle import open_bundle
from hqdit_mobile.util.metrics import psnr_db, snr_db
from hqdit_mobile.util.pictures import to_rgb
from hqdit_mobile.util.progress import Stages

pytestmark = pytest.mark.slow

STEPS, SCALE, LABEL, SEED = 6, 2.0, 3, 5
RUNS = {
    "sit": {"path_type": "Linear", "prediction": "velocity"},
    "repa": {"path_type": "linear", "prediction": "v", "enc_type": "dinov2-vit-b"},
}
ENDS = {"sit": (0.0, 1.0), "repa": (1.0, 0.0)}  # of the network's time
GUIDED = {"sit": 3, "repa": 4}  # channels of 4
STATISTICS = {"latents_mean": [0.1, -0.2, 0.3, 0.0], "latents_std": [2.0, 0.5, 1.0, 3.0], "scaling_factor": 0.5}


def velocity(state, x, t, label):
    both, t = x.expand(2, -1, -1, -1), torch.full((2,), t)
    return plain_dit.forward(state, 2, both, t, torch.tensor([label, 10]))


def drawn(state, begin, end, channels):
    """Latents by Euler's method with guidance, in float64."""
    x = initial_noise((4, 8, 8), SEED).double()
    for i in range(STEPS):
        own, null = velocity(state, x, begin + (end - begin) * i / STEPS, LABEL)
        guided = torch.cat([(null + SCALE * (own - null))[:channels], own[channels:]])
        x = x + (end - begin) / STEPS * guided
    return x.float()


def random_vae(kind, folder):
    """Writes a decoder of 16 pixels with pictures of some contrast; returns what diffusers decodes latents to."""
    torch.manual_seed(2)
    if kind == "tiny":
        blocks = {"encoder_block_out_channels": (16, 16), "decoder_block_out_channels": (16, 16)}
        vae = AutoencoderTiny(**blocks, num_encoder_blocks=(1, 1), num_decoder_blocks=(2, 1)).eval()
    else:
        blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
        vae = AutoencoderKL(block_out_channels=(32, 64), **blocks, **STATISTICS).eval()
    vae.save_pretrained(folder)
    mean, std = (torch.tensor(STATISTICS[f"latents_{x}"]).view(1, 4, 1, 1) for x in ("mean", "std"))

    def decode(latents):
        scaled = latents if kind == "tiny" else latents * std / STATISTICS["scaling_factor"] + mean
        with torch.no_grad():
            return to_rgb(vae.decode(scaled).sample[0])

    return decode


def exported(folder, **settings):
    options = ExportOptions(
        output=folder / "bundle", target="desktop", steps=STEPS, fast=True, guidance_scale=SCALE,
        config=HQDiTConfig(calibration_samples=2, calibration_steps=4), **settings,
    )  # fmt: skip
    bundle = export_bundle(options, Stages(Console(quiet=True)))
    parity = json.loads((bundle / "parity.json").read_text())
    assert parity["passed"] and {check["stage"] for check in parity["checks"]} >= {"linear", "block", "step", "image"}
    return bundle


@pytest.mark.parametrize(("family", "runtime", "kind"), [("sit", "executorch", "tiny"), ("repa", "onnxruntime", "kl")])
def test_from_a_file_to_a_picture(family, runtime, kind, tmp_path):
    state = plain_dit.random_state(out=4)
    decode = random_vae(kind, tmp_path / "vae")
    torch.save({"ema": state, "args": RUNS[family] | {"num_heads": 2, "num_classes": 10}}, tmp_path / "a.pt")
    given = Given(licence="of the tests")
    folder = exported(tmp_path, model=str(tmp_path / "a.pt"), vae=str(tmp_path / "vae"), runtime=runtime, given=given)
    assert json.loads((folder / "manifest.json").read_text())["source"]["licence"] == "of the tests"
    begin, end = ENDS[family]
    with open_bundle(folder) as pipeline:
        latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
        got = pipeline.denoise(latents[0].numpy(), 0.25, LABEL, guided=True)
        assert snr_db(velocity(state, latents.double(), 0.25, LABEL), torch.from_numpy(np.array(got))) > 20
        pictures = pipeline.generate_batch(LABEL, [SEED], steps=STEPS, guidance_scale=SCALE)  # by the family's sampler
    right = drawn(state, begin, end, GUIDED[family])
    assert snr_db(right, torch.from_numpy(pictures.latents)) > 20
    assert decode(right).std() > 5 and psnr_db(decode(right), pictures.images[0]) > 25
    # And not what the time of the other family, or the other's guidance, would give.
    assert snr_db(drawn(state, end, begin, GUIDED[family]), torch.from_numpy(pictures.latents)) < 15
    other = drawn(state, begin, end, 7 - GUIDED[family])
    assert snr_db(right[:, 3], torch.from_numpy(pictures.latents[:, 3])) > 5 + snr_db(right[:, 3], other[:, 3])


def test_a_network_trained_in_diffusers_through_onnx(tmp_path):
    """With embedders of its own in every block."""
    network, _ = tiny_folder(tmp_path / "model")
    torch.manual_seed(4)
    for parameter in network.transformer_blocks[1].norm1.emb.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    network.save_pretrained(tmp_path / "model/transformer")
    scheduler = DDIMScheduler(clip_sample=False)
    scheduler.save_pretrained(tmp_path / "model/scheduler")
    decode = random_vae("tiny", tmp_path / "vae")
    folder = exported(tmp_path, model=str(tmp_path / "model"), vae=str(tmp_path / "vae"), runtime="onnxruntime")
    x = initial_noise((4, 8, 8), SEED)
    scheduler.set_timesteps(STEPS)
    for t in scheduler.timesteps:
        with torch.no_grad():
            both = network(x.repeat(2, 1, 1, 1), timestep=t.expand(2), class_labels=torch.tensor([LABEL, 10])).sample
        own, null = both[:, :4]
        x = scheduler.step((null + SCALE * (own - null))[None], t, x).prev_sample
    with open_bundle(folder) as pipeline:
        assert pipeline.generate_batch(LABEL, [SEED], steps=1).images.shape == (1, 16, 16, 3)
        pictures = pipeline.generate_batch(LABEL, [SEED], steps=STEPS, guidance_scale=SCALE, scheduler="ddim")
    assert snr_db(x, torch.from_numpy(pictures.latents)) > 15
    assert psnr_db(decode(x), pictures.images[0]) > 25
