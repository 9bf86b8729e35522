# SPDX-License-Identifier: Apache-2.0
"""ONNX bundles: drawing with them, hqdit parity, and what damaged ones say."""

import json
import re
import shutil
from types import SimpleNamespace

import msgspec
import numpy as np
import onnx
import pytest
import torch
from checkpoint_folders import tiny_folder
from click.testing import CliRunner
from onnx_cases import small_model
from safetensors import safe_open
from safetensors.torch import save_file

from hqdit_mobile.cli import main as cli
from hqdit_mobile.diffusion.rng import normal
from hqdit_mobile.diffusion.trajectory import IN_ENGINE, sample_latents
from hqdit_mobile.export.bundle.folder import write_json
from hqdit_mobile.export.bundle.job import clean_latents
from hqdit_mobile.export.bundle.manifest import build_manifest
from hqdit_mobile.export.bundle.model_files import write_model_files
from hqdit_mobile.export.bundle.options import ExportOptions
from hqdit_mobile.export.bundle.probe import PROBE, make_probe, write_probe
from hqdit_mobile.export.lowering.denoiser import Denoiser
from hqdit_mobile.runtime import onnx_session
from hqdit_mobile.runtime.engine import EngineError, InvalidArgumentError, Pipeline
from hqdit_mobile.runtime.manifest import MANIFEST, BundleError
from hqdit_mobile.runtime.manifest_file import describe_file, read_manifest, write_manifest
from hqdit_mobile.runtime.onnx_pipeline import OnnxPipeline
from hqdit_mobile.util.metrics import psnr_db
from hqdit_mobile.util.pictures import to_rgb

pytestmark = pytest.mark.slow

STEPS = 4


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def bundles(model, tmp_path_factory):
    """{runtime: bundle} of one model, to be left unchanged."""
    made = {}
    for runtime in ("onnxruntime", "executorch"):
        folder = tmp_path_factory.mktemp(runtime)
        options = ExportOptions("small", folder, "desktop", steps=STEPS, runtime=runtime)
        latents = clean_latents(model, options)
        files = write_model_files(runtime, model, folder, latents)
        quantized = SimpleNamespace(float_bytes=1 << 20, bits_per_weight=4.5)
        manifest = build_manifest(options, model, quantized, folder, files, latents)
        manifest.memory.peak_bytes = 1 << 20
        write_manifest(folder, manifest)
        write_probe(folder, model, make_probe(model, torch.tensor([2]), 0, STEPS, 4.0))
        made[runtime] = folder
    return made


@pytest.fixture
def copy(bundles, tmp_path):
    return shutil.copytree(bundles["onnxruntime"], tmp_path / "copy")


def hqdit(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


def file_entry(bundle, name):
    return msgspec.to_builtins(describe_file(bundle, name))


def edit_manifest(bundle, change):
    manifest = json.loads((bundle / MANIFEST).read_text())
    change(manifest)
    write_json(bundle / MANIFEST, manifest)


def test_export(tmp_path, capfd):
    """hqdit-export --runtime onnxruntime on a small checkpoint."""
    tiny_folder(tmp_path / "model")
    output = tmp_path / "bundle"
    arguments = ["-m", str(tmp_path / "model"), "--target", "ios", "--runtime", "onnxruntime", "--fast", "--steps", "3"]
    done = CliRunner().invoke(cli.export, [*arguments, "-o", str(output)])
    assert done.exit_code == 0, done.output
    said = capfd.readouterr().err
    assert "This export takes about" in said and "What now" in said and "report.html" in said
    # The app that the target names would refuse it.
    assert "with ONNX Runtime (docs/onnx.md)" in said and "install_bundle.sh" not in said
    card = (output / "README.md").read_text()
    assert "It is for ONNX Runtime" in card and "(ios_demo)" not in card
    assert not re.search("register_pal|cpuinfo|pytree|torchao|Warning", said), said
    manifest = read_manifest(output)
    assert manifest.runtime == "onnxruntime" and manifest.target == "ios" and manifest.memory.peak_bytes > 0
    assert manifest.onnx is not None and manifest.onnx.opset == 20
    assert set(manifest.files) == {"transformer", "vae_decoder"}
    parity = json.loads((output / "parity.json").read_text())
    assert parity["passed"] and any(c["name"].startswith("portable") for c in parity["checks"])
    assert {"README.md", "report.html", "preview.png"} <= {p.name for p in output.iterdir()}
    assert hqdit("parity", output).exit_code == 0


@pytest.mark.parametrize("scheduler", ["ddim", "dpm-solver++"])
def test_same_seed_same_picture_as_executorch(bundles, scheduler):
    settings = {"steps": 6, "scheduler": scheduler, "guidance_interval": (0.2, 0.9)}
    with Pipeline(bundles["executorch"]) as engine, OnnxPipeline(bundles["onnxruntime"]) as onnx_native:
        expected = engine.generate_batch("class 3", [7, 2**63], **settings)
        got = onnx_native.generate_batch("class 3", [7, 2**63], **settings)
    assert np.array_equal(got.latents, expected.latents)
    assert got.evaluations == expected.evaluations
    assert psnr_db(expected.images, got.images) > 50


def test_fresh_noise_and_initial_noise(bundles):
    noise = normal(5, 0, 256).reshape(1, 4, 8, 8)
    with Pipeline(bundles["executorch"]) as engine, OnnxPipeline(bundles["onnxruntime"]) as onnx_native:
        for settings in ({"eta": 0.7, "scheduler": "ddim"}, {"initial_noise": noise}, {"guidance_scale": 1.0}):
            expected = engine.generate_batch(1, [9], **settings)
            assert np.array_equal(onnx_native.generate_batch(1, [9], **settings).latents, expected.latents)


@pytest.mark.parametrize("scheduler", ["ddim", "dpm-solver++"])
def test_progress_and_previews_as_the_engine_s(bundles, scheduler):
    """All but the times and the memory, of two pictures in one call."""
    reports = []
    for pipeline in (Pipeline(bundles["executorch"]), OnnxPipeline(bundles["onnxruntime"])):
        with pipeline:
            assert pipeline.has_preview
            updates = []
            settings = {"steps": 5, "scheduler": scheduler, "preview_interval": 2, "progress": updates.append}
            pipeline.generate_batch(3, [7, 8], guidance_interval=(0.2, 0.9), **settings)
        reports.append(updates)
    for expected, got in zip(*reports, strict=True):
        same = ("phase", "image_index", "image_count", "step", "step_count", "timestep", "guided")
        assert [getattr(got, name) for name in same] == [getattr(expected, name) for name in same]
        np.testing.assert_array_equal(got.preview, expected.preview)
    shown = [update.step for update in reports[1] if update.preview is not None]
    assert shown == [2, 4, 5] * 2 and np.unique(reports[1][1].preview).size > 10


def test_bundle_without_a_preview(copy):
    edit_manifest(copy, lambda m: m.pop("preview"))
    with OnnxPipeline(copy) as pipeline:
        assert not pipeline.has_preview
        with pytest.raises(EngineError, match="no preview projection"):
            pipeline.generate(1, preview_interval=1)


def test_torch_draws_the_same(bundles, model):
    start = torch.from_numpy(normal(11, 0, 256)).view(1, 4, 8, 8)
    denoiser = Denoiser(model.dit, fused=True)
    latents = sample_latents(denoiser, model.process, start, torch.tensor([4]), STEPS, 4.0)
    expected = to_rgb(model.decode(latents)[0])
    with OnnxPipeline(bundles["onnxruntime"]) as native:
        assert psnr_db(expected, native.generate(4, seed=11, **IN_ENGINE)) > 50
    with OnnxPipeline(bundles["onnxruntime"], portable=True) as portable:
        assert psnr_db(expected, portable.generate(4, seed=11, **IN_ENGINE)) > 30


def test_commands(bundles, tmp_path):
    bundle = bundles["onnxruntime"]
    for flags in ([], ["--portable"]):
        done = hqdit("sample", bundle, "--label", "class 1", "-o", tmp_path / "out.png", *flags)
        assert done.exit_code == 0, done.output
        assert (tmp_path / "out.png").stat().st_size > 100
    info = hqdit("info", bundle)
    assert info.exit_code == 0 and "onnxruntime" in info.output
    refused = hqdit("sample", bundles["executorch"], "--label", "1", "--portable", "-o", tmp_path / "no.png")
    assert refused.exit_code == 2


@pytest.mark.parametrize(
    ("made_for", "flags"),
    [
        ("onnxruntime", []),
        ("onnxruntime", ["--against", "executorch"]),
        ("onnxruntime", ["--runtime", "onnxruntime-portable"]),
        ("executorch", ["--against", "onnxruntime"]),
    ],
)
def test_parity_passes(bundles, tmp_path, made_for, flags):
    done = hqdit("parity", bundles[made_for], *flags, "--json", tmp_path / "parity.json")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "parity.json").read_text())
    assert report["passed"] and {c["stage"] for c in report["checks"]} == {
        "linear", "attention", "block", "step", "image"
    }  # fmt: skip
    for check in report["checks"]:
        assert check["cosine"] > 0.99 and check["mean_error"] <= check["max_error"]
        if check["stage"] == "linear" and "onnxruntime-portable" not in flags:
            assert check["db"] == "equal bits" and check["max_error"] == 0


def test_parity_fails_when_a_layer_differs(copy, tmp_path):
    """The transformer of another model: one bit of one weight table changed, sizes and sha256 made to fit."""
    path = copy / "transformer.onnx"
    model = onnx.load(path)
    tables = next(t for t in model.graph.initializer if t.name.endswith("blocks.1.mlp.fc2.tables"))
    tables.raw_data = bytes([(tables.raw_data[0] + 5) % 28]) * 64 + tables.raw_data[64:]
    onnx.save(model, path)
    edit_manifest(copy, lambda m: m["files"].update(transformer=file_entry(copy, "transformer.onnx")))
    done = hqdit("parity", copy, "--json", tmp_path / "parity.json")
    assert done.exit_code == 1 and "failed" in done.output
    failed = {c["stage"] for c in json.loads((tmp_path / "parity.json").read_text())["checks"] if not c["passed"]}
    assert "step" in failed and "linear" not in failed


def damaged_probe(bundle):
    path = bundle / PROBE
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    del tensors["block.attn.qkv.codes"]
    save_file(tensors, path, metadata)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def newer_operators(bundle):
    edit_manifest(bundle, lambda m: m["onnx"].update(operator_version=2))


def unknown_opset(bundle):
    path = bundle / "transformer.onnx"
    model = onnx.load(path)
    model.opset_import[0].version = 99
    onnx.save(model, path)
    edit_manifest(bundle, lambda m: m["files"].update(transformer=file_entry(bundle, "transformer.onnx")))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda b: truncate(b / "transformer.onnx"), ["transformer.onnx", "incomplete"]),
        (lambda b: flip(b / "transformer.onnx"), ["transformer.onnx", "sha256", "copy the bundle again"]),
        (lambda b: flip(b / "vae_decoder.onnx"), ["vae_decoder.onnx", "sha256"]),
        (lambda b: (b / "vae_decoder.onnx").unlink(), ["vae_decoder.onnx", "missing"]),
        (newer_operators, ["version 2 of the hqdit operators", "update hqdit-mobile"]),
        (unknown_opset, ["transformer.onnx", "update onnxruntime"]),
    ],
    ids=["truncated", "changed", "changed decoder", "missing", "operator version", "opset"],
)
def test_damaged_bundles(copy, tmp_path, damage, words):
    damage(copy)
    with pytest.raises((EngineError, BundleError)) as caught:
        OnnxPipeline(copy)
    assert all(word in str(caught.value) for word in words), caught.value
    done = hqdit("sample", copy, "--label", "1", "-o", tmp_path / "out.png")
    assert done.exit_code == 2 and not (tmp_path / "out.png").exists()


def test_missing_library(bundles, monkeypatch):
    def nowhere(name):
        raise FileNotFoundError(f"lib{name}.so was not built.")

    monkeypatch.setattr(onnx_session, "library_path", nowhere)
    with pytest.raises(FileNotFoundError, match=r"libhqdit_ort.so was not built\. Or run the portable way"):
        OnnxPipeline(bundles["onnxruntime"])
    OnnxPipeline(bundles["onnxruntime"], portable=True).close()


@pytest.mark.parametrize("damage", [damaged_probe, lambda b: truncate(b / PROBE), lambda b: (b / PROBE).unlink()])
def test_parity_with_a_damaged_probe(copy, damage):
    damage(copy)
    done = hqdit("parity", copy)
    assert done.exit_code == 2


def test_wrong_runtime(bundles):
    with pytest.raises(EngineError, match="made for executorch"):
        OnnxPipeline(bundles["executorch"])
    with pytest.raises(EngineError, match="onnxruntime"):
        Pipeline(bundles["onnxruntime"])


def test_bad_settings(bundles):
    with OnnxPipeline(bundles["onnxruntime"]) as pipeline:
        for settings in ({"steps": 0}, {"scheduler": "euler"}, {"eta": 2.0}, {"preview_interval": -1}):
            with pytest.raises(EngineError):
                pipeline.generate(1, **settings)
        for settings in ({"guidance_scale": float("nan")}, {"guidance_scale": -1e4}, {"seed": -1}, {"seed": 2**64}):
            with pytest.raises(InvalidArgumentError, match="guidance_scale must be|seeds must be"):
                pipeline.generate(1, **settings)
        for label in (-1, 6, "no such class"):
            with pytest.raises(EngineError):
                pipeline.generate(label)
        with pytest.raises(EngineError, match="cancelled"):
            pipeline.generate(1, progress=lambda update: False)
