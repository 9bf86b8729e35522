# SPDX-License-Identifier: Apache-2.0
"""SiT and REPA from a file to a picture of the engine and of ONNX Runtime, against their equations in float64."""

import json

import numpy as np
import plain_dit
import pytest
import torch
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


def velocity(state, x, t, label):
    both, t = x.expand(2, -1, -1, -1), torch.full((2,), t)
    return plain_dit.forward(state, 2, both, t, torch.tensor([label, 10]))


def drawn(state, begin, end):
    """Euler's method with guidance, in float64."""
    x = initial_noise((3, 8, 8), SEED).double()
    for i in range(STEPS):
        own, null = velocity(state, x, begin + (end - begin) * i / STEPS, LABEL)
        x = x + (end - begin) / STEPS * (null + SCALE * (own - null))
    return to_rgb(x.float()[0])


@pytest.mark.parametrize(("family", "runtime"), [("sit", "executorch"), ("repa", "onnxruntime")])
def test_from_a_file_to_a_picture(family, runtime, tmp_path):
    state = plain_dit.random_state(channels=3, out=3)
    torch.save({"ema": state, "args": RUNS[family] | {"num_heads": 2, "num_classes": 10}}, tmp_path / "a.pt")
    options = ExportOptions(
        str(tmp_path / "a.pt"), tmp_path / "bundle", "desktop", vae="none", steps=STEPS, runtime=runtime, fast=True,
        config=HQDiTConfig(calibration_samples=2, calibration_steps=4), given=Given(licence="of the tests"),
        guidance_scale=SCALE,
    )  # fmt: skip
    folder = export_bundle(options, Stages(Console(quiet=True)))
    parity = json.loads((folder / "parity.json").read_text())
    assert parity["passed"] and {check["stage"] for check in parity["checks"]} >= {"linear", "block", "step", "image"}
    assert json.loads((folder / "manifest.json").read_text())["source"]["licence"] == "of the tests"
    begin, end = ENDS[family]
    with open_bundle(folder) as pipeline:
        latents = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        got = pipeline.denoise(latents[0].numpy(), 0.25, LABEL, guided=True)
        assert snr_db(velocity(state, latents.double(), 0.25, LABEL), torch.from_numpy(np.array(got))) > 20
        picture = pipeline.generate(LABEL, seed=SEED, steps=STEPS, guidance_scale=SCALE)  # by the family's own sampler
    assert psnr_db(drawn(state, begin, end), picture) > 25
    # And not what the time of the other family would give.
    assert psnr_db(drawn(state, end, begin), picture) < 20
