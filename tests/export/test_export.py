# SPDX-License-Identifier: Apache-2.0
"""The main job on the real reference model: hqdit-export, then hqdit sample, as a user runs them."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hqdit_mobile.evaluate.emoji_eval import load_classifier
from hqdit_mobile.export.bundle.agreement import Agreement
from hqdit_mobile.export.bundle.folder import staged_folder
from hqdit_mobile.export.bundle.parity import ParityError, ParityReport
from hqdit_mobile.model.loading import load_model
from hqdit_mobile.runtime.engine import Pipeline
from hqdit_mobile.runtime.manifest import BundleError
from hqdit_mobile.runtime.manifest_file import describe_file, read_manifest

BIN = Path(sys.executable).parent


def run(program: str, *arguments) -> subprocess.CompletedProcess:
    return subprocess.run([BIN / program, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_bundle_is_complete_and_small(emoji_bundle):
    manifest = read_manifest(emoji_bundle)
    assert manifest.target == "android" and manifest.model.num_classes == 207
    for name, entry in manifest.files.items():
        assert entry == describe_file(emoji_bundle, entry.path), name
    transformer_parameters = sum(p.numel() for p in load_model("builtin:emoji-dit").dit.parameters())
    assert manifest.files["transformer"].bytes <= 0.2 * 4 * transformer_parameters
    assert manifest.decoder and manifest.decoder.precision == "int8"
    assert manifest.decoder.psnr_db is not None and manifest.decoder.psnr_db >= 40
    assert manifest.memory.weights_bytes < manifest.memory.peak_bytes < 300e6
    present = {path.name for path in emoji_bundle.iterdir()}
    assert present >= {"manifest.json", "parity.json", "preview.png", "report.html", "README.md"}
    assert [p.name for p in emoji_bundle.parent.iterdir()] == [emoji_bundle.name], "temporary files are left"
    card = (emoji_bundle / "README.md").read_text()
    assert "CC-BY-4.0" in card and "hqdit sample" in card


def test_parity_of_every_stage_is_recorded(emoji_bundle):
    parity = json.loads((emoji_bundle / "parity.json").read_text())
    assert parity["passed"]
    stages = {check["stage"] for check in parity["checks"]}
    assert stages == {"linear", "attention", "block", "step", "image"}
    linear = [check for check in parity["checks"] if check["stage"] == "linear"]
    assert len(linear) >= 15 and all(check["db"] == "equal bits" for check in linear)
    names = {check["name"] for check in linear}
    assert {f"blocks.{i}.mlp.fc2" for i in (0, 4, 7)} <= names and any(not n.startswith("blocks.") for n in names)
    # The block that is exported, so nothing but the order of its operators' own arithmetic is left to differ.
    assert [check["db"] for check in parity["checks"] if check["stage"] in ("attention", "block")] == ["equal bits"] * 6


def test_drawings_are_recognised(emoji_bundle):
    """The classifier trained beside the model sees what was asked for (float model: 79 % of all classes)."""
    model = load_model("builtin:emoji-dit")
    semantic = list(dict.fromkeys(label.rsplit(" ", 1)[0] for label in model.labels))
    classifier = load_classifier()
    with Pipeline(emoji_bundle) as pipeline:
        for kind in ("heart", "face", "fruit"):
            images = np.stack([pipeline.generate(f"{kind} fluent-emoji", seed=seed) for seed in range(5)])
            pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
            seen = classifier(pixels)[1].argmax(dim=1).tolist()
            assert sum(semantic[i] == kind for i in seen) >= 3, (kind, [semantic[i] for i in seen])


def test_sample_and_info_commands(emoji_bundle, tmp_path):
    picture = tmp_path / "heart.png"
    arguments = ("sample", emoji_bundle, "--label", "heart fluent-emoji", "--seed", 7, "--steps", 5)
    done = run("hqdit", *arguments, "-o", picture)
    assert done.returncode == 0, done.stderr
    with Image.open(picture) as image, Pipeline(emoji_bundle) as pipeline:
        assert image.size == (128, 128) and image.mode == "RGB"
        np.testing.assert_array_equal(image, pipeline.generate("heart fluent-emoji", seed=7, steps=5))
    done = run("hqdit", "info", emoji_bundle, "--labels")
    assert done.returncode == 0 and "heart fluent-emoji" in done.stdout and "bits per quantized weight" in done.stdout


def test_previews_beside_the_picture(tiny_bundle, tmp_path):
    arguments = ("sample", tiny_bundle, "--label", 1, "--steps", 5, "--preview-interval", 2)
    done = run("hqdit", *arguments, "--guidance-interval", 0.2, 0.8, "-o", tmp_path / "a.png")
    assert done.returncode == 0, done.stderr
    previews, settings = [], {"steps": 5, "guidance_interval": (0.2, 0.8)}
    with Pipeline(tiny_bundle) as pipeline:
        picture = pipeline.generate(1, progress=lambda u: previews.append(u.preview), preview_interval=2, **settings)
    shown = [preview.repeat(2, 0).repeat(2, 1) for preview in previews if preview is not None]
    assert len(shown) == 3  # after 2, 4 and the last
    with Image.open(tmp_path / "a-previews.png") as strip:
        np.testing.assert_array_equal(strip, np.concatenate([*shown, picture], axis=1))
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(image, picture)


def test_errors_of_the_commands(emoji_bundle, tmp_path):
    done = run("hqdit", "sample", emoji_bundle, "--label", "submarine", "-o", tmp_path / "x.png")
    assert done.returncode == 2 and "submarine" in done.stderr and not (tmp_path / "x.png").exists()
    done = run("hqdit", "info", tmp_path)
    assert done.returncode == 2 and "manifest.json" in done.stderr
    done = run("hqdit-export", "-o", emoji_bundle)
    assert done.returncode == 2 and "--force" in done.stderr
    done = run("hqdit-export", "-m", tmp_path / "missing", "-o", tmp_path / "out")
    assert done.returncode == 2 and "no model at" in done.stderr and not (tmp_path / "out").exists()


def test_force_replaces_bundles_only(tmp_path):
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "thesis.txt").write_text("years")
    with pytest.raises(BundleError, match="not a bundle"), staged_folder(documents, force=True):
        pass
    assert (documents / "thesis.txt").read_text() == "years"


def test_an_interrupted_export_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), staged_folder(tmp_path / "bundle", force=False) as folder:
        (folder / "transformer.pte").write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_failed_check_fails_the_export():
    good = Agreement("step", "t=0", 61.0, 50.0, 0.0, 0.0, 1.0)
    bad = Agreement("image", "seed 0", 39.0, 40.0, 9.0, 1.0, 0.99)
    bits = Agreement("linear", "blocks.0.mlp.fc1", 80.0, math.inf, 1e-4, 1e-9, 1.0)
    ParityReport("executorch", [good]).require("x")
    with pytest.raises(ParityError, match=r"image seed 0: 39\.0 dB PSNR, at least 40"):
        ParityReport("executorch", [good, bad]).require("x")
    with pytest.raises(ParityError, match=r"linear blocks\.0\.mlp\.fc1: 80\.0 dB SNR, at least equal bits needed"):
        ParityReport("executorch", [good, bits]).require("x")
    assert ParityReport("executorch", [good, bits]).worst("linear") is bits


def test_dropping_learned_sigma_keeps_the_noise():
    dit = load_model("builtin:emoji-dit").dit
    arguments = torch.randn(1, 4, 32, 32), torch.tensor([500.0]), torch.tensor([3])
    expected = dit(*arguments)[:, :4]
    dit.drop_learned_sigma_()
    torch.testing.assert_close(dit(*arguments), expected, atol=1e-5, rtol=0)
