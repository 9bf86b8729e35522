# SPDX-License-Identifier: Apache-2.0
"""F12: models that were trained without a null class, from a file to pictures without guidance.

The right values are those of plain_dit.py: the network's equations and DDIM's (Song et al. 2021, equation 12), float64.
"""

import json

import numpy as np
import plain_dit
import pytest
import tiny_model
import torch
from click.testing import CliRunner
from rich.console import Console

from hqdit_mobile.bench.prepare import steps_of
from hqdit_mobile.bench.report import step_kinds
from hqdit_mobile.cli.main import main
from hqdit_mobile.diffusion.trajectory import initial_noise, sample_latents
from hqdit_mobile.evaluate.group import process_group
from hqdit_mobile.evaluate.protocol import Protocol
from hqdit_mobile.evaluate.run import evaluate_candidates
from hqdit_mobile.export.bundle.job import export_bundle
from hqdit_mobile.export.bundle.model_files import denoisers
from hqdit_mobile.export.bundle.options import ExportOptions
from hqdit_mobile.model.checkpoints.diffusers import dit_to_diffusers
from hqdit_mobile.model.checkpoints.given import Given
from hqdit_mobile.model.loading import load_model
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.runtime.engine import InvalidArgumentError, InvalidBundleError, Pipeline
from hqdit_mobile.runtime.manifest import BundleError
from hqdit_mobile.runtime.manifest_file import read_manifest
from hqdit_mobile.runtime.open_bundle import open_bundle
from hqdit_mobile.util.metrics import snr_db
from hqdit_mobile.util.progress import Stages

CLASSES, LABEL, SEED, STEPS = 10, 9, 5, 5
STATE = plain_dit.random_state(channels=3, out=3, classes=CLASSES, null_row=False)
GIVEN = Given(family="dit", num_heads=2, num_classes=CLASSES)


def noise(x, t, state=STATE):
    """[1, 3, 8, 8] of x [1, 3, 8, 8]: for LABEL alone."""
    return plain_dit.forward(state, 2, x, torch.tensor([float(t)]), torch.tensor([LABEL]))


def drawn(state=STATE):
    """Latents [1, 3, 8, 8] at the end of DDIM with leading timesteps and linear betas."""
    alphas = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    x, gap = initial_noise((3, 8, 8), SEED).double(), 1000 // STEPS
    for t in range(1000 - gap, -1, -gap):
        a, before = alphas[t], alphas[t - gap] if t >= gap else 1.0
        eps = noise(x, t, state)
        x = before**0.5 * (x - (1 - a) ** 0.5 * eps) / a**0.5 + (1 - before) ** 0.5 * eps
    return x


def load(folder, content=STATE, given=GIVEN):
    torch.save(content, folder / "a.pt")
    return load_model(str(folder / "a.pt"), vae="none", given=given)


def test_the_float_model_draws_the_same(tmp_path):
    model = load(tmp_path)
    assert model.dit.null_label is None and model.dit.config.num_classes == CLASSES == len(model.labels)
    assert "no null class" in model.notes[-1]
    run = model.process, initial_noise((3, 8, 8), SEED), torch.tensor([LABEL]), STEPS
    assert snr_db(drawn(), sample_latents(model.dit, *run, 1.0)) > 90
    with pytest.raises(ValueError, match="no null class to guide away from: the guidance scale must be 1, not 4"):
        sample_latents(model.dit, *run, 4.0)
    with pytest.raises(ValueError, match="diffusers' network always has one"):
        dit_to_diffusers(model.dit, CLASSES)
    assert model.guidance(None, 4.0) == model.guidance(1.0, 4.0) == 1
    for asked in ((4.0, 4.0), (None, 4.0, (0.2, 0.8))):
        with pytest.raises(ValueError, match="no null class"):
            model.guidance(*asked)


def test_one_class(tmp_path):
    """One row crashed with "random_ expects 'from' to be less than 'to'"."""
    model = load(tmp_path, plain_dit.random_state(channels=3, out=3, classes=1, null_row=False), Given("dit", 2, 1))
    assert model.dit.null_label is None and model.labels == ["class 0"]


@pytest.mark.parametrize(
    ("arguments", "guided"), [({"cfg_prob": 0.0}, False), ({"cfg_prob": 0.1}, True), ({"class_dropout_prob": 0}, False)]
)
def test_a_null_row_that_no_training_saw_is_left_out(arguments, guided, tmp_path):
    """REPA's table has the row whatever its cfg_prob is; where that was 0 the row is noise."""
    state = plain_dit.random_state(channels=3, out=3, classes=CLASSES)
    model = load(tmp_path, {"ema": state, "args": arguments}, GIVEN)
    assert (model.dit.null_label is not None) == guided and model.dit.config.num_classes == CLASSES
    assert len(model.dit.y_embedder.weight) == CLASSES + guided


def test_a_dropped_share_tells_the_classes(tmp_path):
    state = plain_dit.random_state(channels=3, out=3, classes=CLASSES)
    assert load(tmp_path, {"ema": state, "args": {"cfg_prob": 0.1}}, Given("dit", 2)).dit.null_label == CLASSES


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["executorch", "onnxruntime"])
def test_from_a_file_to_a_picture(runtime, tmp_path):
    torch.save(STATE, tmp_path / "a.pt")
    options = ExportOptions(
        str(tmp_path / "a.pt"), tmp_path / "bundle", "desktop", vae="none", steps=STEPS, runtime=runtime, fast=True,
        config=HQDiTConfig(calibration_samples=2, calibration_steps=4, tuning_steps=2, tuning_samples=8), given=GIVEN,
        scheduler="ddim",
    )  # fmt: skip
    folder = export_bundle(options, Stages(Console(quiet=True)))
    manifest = read_manifest(folder)
    text = json.loads((folder / "manifest.json").read_text())
    assert "null_label" not in text["model"] and "guided" not in text["methods"]
    assert manifest.defaults.guidance_scale == 1 == text["quantization"]["config"]["guidance_scale"]
    parity = json.loads((folder / "parity.json").read_text())
    assert parity["passed"] and {check["stage"] for check in parity["checks"]} >= {"linear", "block", "step", "image"}
    assert "unguided: the model has no null class" in (folder / "README.md").read_text()
    with open_bundle(folder) as pipeline:
        assert pipeline.null_label is None
        latents = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        got = pipeline.denoise(latents[0].numpy(), 250, LABEL, guided=False)
        assert snr_db(noise(latents, 250), torch.from_numpy(np.array(got))) > 20
        picture = pipeline.generate_batch(LABEL, [SEED])
        assert snr_db(drawn(), torch.from_numpy(picture.latents)) > 20 and picture.evaluations == STEPS
        wrong = {
            "guidance_scale must be 1": {"guidance_scale": 3.0},
            r"label must be in 0 \.\. 9, not 10": {"label": 10},
        }
        for message, change in wrong.items():
            with pytest.raises(InvalidArgumentError, match=message):
                pipeline.generate(**({"label": LABEL} | change))
        for label, guided, message in ((LABEL, True, "guided must be [Ff]alse"), (-1, False, "0 .. 9, not -1")):
            with pytest.raises(InvalidArgumentError, match=message):
                pipeline.denoise(latents[0].numpy(), 250, label, guided=guided)


def test_commands(tiny_files, tmp_path):
    bundle = tiny_model.write_bundle(
        tmp_path / "b", tiny_files, tiny_model.without_null_class(tiny_model.make_manifest(tiny_files))
    )

    def hqdit(*arguments):
        return CliRunner().invoke(main, [str(word) for word in arguments])

    assert "5, no null class: it draws without guidance" in hqdit("info", bundle).stdout
    draw = "sample", bundle, "--label", 1, "--steps", 2, "-o", tmp_path / "a.png"
    assert hqdit(*draw, "--guidance-scale", 1).exit_code == 0
    judge = "evaluate-samplers", bundle, "-o", tmp_path / "out"
    for command in (
        (*draw, "--guidance-scale", 3),
        (*draw, "--guidance-interval", 0.2, 0.8),
        (*judge, "ddim:2", "--guidance-scale", 3),
        (*judge, "ddim:2:0.2-0.8"),
    ):
        done = hqdit(*command)
        assert done.exit_code == 2 and "no null class to guide away from" in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_evaluate_and_bench(tmp_path):
    """Of a model of pixels, too, which has no decoder to ask for its device. Pictures of 16 pixels, as SSIM needs."""
    torch.save(plain_dit.random_state(channels=3, out=3, grid=8, null_row=False), tmp_path / "a.pt")
    model = load_model(str(tmp_path / "a.pt"), vae="none", given=GIVEN)
    scale = model.guidance(None, 2.5)
    with Stages(Console(quiet=True)) as stages, process_group() as group:
        measured = evaluate_candidates(
            ["w4a8-nearest"], model, Protocol(2, 2, scale, 1), tmp_path / "out", group, stages
        )
    assert [len(part.all_images("")) for part in measured] == [2, 2]
    assert (measured[1].noise[0]["signal"] > 10 * measured[1].noise[0]["error"]).all()
    assert step_kinds({"unguided": {}}) == ["unguided"] and step_kinds({"unguided": {}, "guided": {}})[0] == "guided"
    assert steps_of(model.dit) == ("unguided",) and list(denoisers(model.dit, fused=False)) == ["denoise"]


CHANGES = {
    "methods.guided: needs model.null_label": ("methods", {"guided": "denoise_guided"}),
    "defaults.guidance_scale: must be 1": ("defaults", {"guidance_scale": 4.0}),
    "methods.guided: is missing": ("model", {"null_label": 5}),
}


@pytest.mark.parametrize("message", CHANGES)
def test_manifests_that_contradict_themselves(message, tiny_files, tmp_path):
    manifest = tiny_model.without_null_class(tiny_model.make_manifest(tiny_files))
    tiny_model.write_bundle(tmp_path, tiny_files, manifest)
    with Pipeline(tmp_path) as pipeline:
        assert pipeline.null_label is None and read_manifest(tmp_path).model.null_label is None
    section, change = CHANGES[message]
    manifest[section] |= change
    tiny_model.write_bundle(tmp_path, tiny_files, manifest)
    with pytest.raises(BundleError, match=message):
        read_manifest(tmp_path)
    with pytest.raises(InvalidBundleError, match=message):
        Pipeline(tmp_path)
