# SPDX-License-Identifier: Apache-2.0
"""hqdit evaluate as a user runs it, on a DiT of two blocks: figures, going on after a kill, several processes."""

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_folders import tiny_folder
from tiny_model import make_manifest, write_bundle

from hqdit_mobile.cli.evaluate import run_evaluate
from hqdit_mobile.diffusion.process import MultistepOptions
from hqdit_mobile.evaluate.candidates import find_candidates
from hqdit_mobile.evaluate.digests import sources
from hqdit_mobile.evaluate.emoji import EmojiJudge
from hqdit_mobile.evaluate.fidelity import Fidelity
from hqdit_mobile.evaluate.protocol import classes_of
from hqdit_mobile.evaluate.run import load_float_model
from hqdit_mobile.evaluate.shards import StaleError, Store
from hqdit_mobile.model.loading import load_model
from hqdit_mobile.quantize.weight_cost import a4_share, weight_bits
from hqdit_mobile.util.metrics import snr_db
from hqdit_mobile.util.progress import Stages

pytestmark = pytest.mark.slow

HQDIT = Path(sys.executable).parent / "hqdit"
SAMPLES, STEPS = 37, 2  # more than one chunk
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}


def arguments(model, output, *candidates, samples=SAMPLES, steps=STEPS, extra=()):
    settings = {"--model": model, "--output": output, "--samples": samples, "--steps": steps, "--noise-samples": 2}
    return [str(word) for word in ("evaluate", *candidates, *sum(settings.items(), ()), *extra)]


def run(words, environment=ONE_THREAD):
    return subprocess.run([HQDIT, *words], capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny_folder(path)
    return path


@pytest.fixture(scope="module")
def evaluated(folder, tmp_path_factory):
    """An output folder, to be left unchanged."""
    output = tmp_path_factory.mktemp("evaluated")
    done = run(arguments(folder, output, "float", "w4a8", extra=("--json", output / "figures.json", "--npz")))
    assert done.returncode == 0, done.stderr
    return output


def figures_of(output):
    record = json.loads((output / "evaluation.json").read_text())
    return {figures.pop("name"): figures for figures in record["candidates"]}


def without_times(figures):
    return {name: {k: v for k, v in part.items() if k != "seconds_per_image"} for name, part in figures.items()}


def test_figures_are_those_of_the_stored_images(evaluated):
    assert (evaluated / "figures.json").read_bytes() == (evaluated / "evaluation.json").read_bytes()
    figures = figures_of(evaluated)
    assert list(figures) == ["float", "w4a8"]
    images = {}
    for name in figures:
        parts = [np.load(path)["images"] for path in sorted((evaluated / name).glob("images-*.npz"))]
        images[name] = np.concatenate(parts)
    assert images["w4a8"].shape == (SAMPLES, 16, 16, 3)
    with np.load(evaluated / "w4a8.npz") as adm:
        assert adm.files == ["arr_0"] and np.array_equal(adm["arr_0"], images["w4a8"])
    error = np.square(images["w4a8"].astype(float) - images["float"]).mean(axis=(1, 2, 3))
    assert figures["w4a8"]["psnr_db"] == pytest.approx(np.mean(10 * np.log10(255**2 / error)))
    low, high = figures["w4a8"]["psnr_db_interval"]
    assert low < figures["w4a8"]["psnr_db"] < high
    assert 0 < figures["w4a8"]["ssim"] < 1 and figures["w4a8"]["a4_share"] == 0
    assert 4 < figures["w4a8"]["weight_bits"] < 6 and figures["float"]["weight_bits"] == 32
    assert figures["w4a8"]["megabytes"] < figures["float"]["megabytes"] / 3
    assert "fd_float" not in figures["w4a8"] and "semantic" not in figures["w4a8"]
    notes = json.loads((evaluated / "evaluation.json").read_text())["notes"]
    assert len(notes) == 1 and "Frechet" in notes[0]


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_noise_figures_are_those_of_the_models(evaluated, folder, one_thread):
    """Quantized again here: the same bits, so the same noise."""
    model = load_float_model(str(folder), None)
    reference, recipe = find_candidates(["w4a8"], model, STEPS, 2.5)
    dit = recipe.open(Stages()).dit
    with np.load(evaluated / "float/noise-000001.npz") as stored:
        latents, timesteps = torch.from_numpy(stored["latents"]), stored["timesteps"]
    label = torch.tensor([classes_of(range(1, 2), model.class_weights)[0], model.dit.null_label])
    with np.load(evaluated / "w4a8/noise-000001.npz") as stored, torch.no_grad():
        for i, t in enumerate(timesteps):
            inputs = torch.stack([latents[i]] * 2), torch.full((2,), float(t)), label
            expected = snr_db(model.dit(*inputs), dit(*inputs))
            assert 10 * np.log10(stored["signal"][i] / stored["error"][i]) == pytest.approx(expected, abs=0.2)
            block = [_last_block(network, inputs) for network in (model.dit, dit)]
            got = 10 * np.log10(stored["layer_signal"][-1, i] / stored["layer_error"][-1, i])
            assert got == pytest.approx(snr_db(*block), abs=0.2)
    layers = figures_of(evaluated)["w4a8"]["layer_snr_db"]
    assert list(layers)[-1] == "blocks.1.mlp.fc2" and len(layers) == 8
    assert min(min(values) for values in layers.values()) > 10, "moved means must not count as errors"
    assert reference.kind == "float"


def _last_block(network, inputs):
    """The output of the last block's fc2."""
    outputs = []
    handle = network.blocks[1].mlp.fc2.register_forward_hook(lambda _m, _i, output: outputs.append(output))
    network(*inputs)
    handle.remove()
    return outputs[0]


def test_goes_on_after_a_kill_and_draws_nothing_twice(evaluated, folder, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(evaluated, output)
    kept = output / "float/images-000000-000032.npz"
    for path in (output / "w4a8/images-000032-000037.npz", output / "w4a8/noise-000001.npz"):
        path.unlink()
    (output / "w4a8/.images-000032-000037.npz.part").write_bytes(b"half of a file")
    before = kept.stat().st_mtime_ns
    done = run(arguments(folder, output, "w4a8"))
    assert done.returncode == 0, done.stderr
    assert kept.stat().st_mtime_ns == before
    assert "float: open" not in done.stderr and "w4a8: draw" in done.stderr
    assert without_times(figures_of(output)) == without_times(figures_of(evaluated))
    again = run(arguments(folder, output, "w4a8"))
    assert again.returncode == 0 and "Quantize" not in again.stderr and "draw" not in again.stderr


def test_results_of_something_else_are_refused(evaluated, folder, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(evaluated, output)
    done = run(arguments(folder, output, "w4a8", steps=3))
    assert done.returncode == 2 and "other values of steps" in " ".join(done.stderr.split())


def test_two_processes_equal_one(evaluated, folder, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    output = tmp_path / "out"
    launcher = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen([HQDIT, *arguments(folder, output / f"rank{rank}", "w4a8")], stderr=subprocess.PIPE,
                         stdout=subprocess.DEVNULL, text=True, env=ONE_THREAD | launcher | {"RANK": str(rank)})
        for rank in range(2)
    ]  # fmt: skip
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    # Hosts without a common disk: each has its own half, rank 0 has the figures of both.
    assert [p.name for p in (output / "rank1/w4a8").glob("images-*")] == ["images-000032-000037.npz"]
    assert [p.name for p in (output / "rank0/w4a8").glob("images-*")] == ["images-000000-000032.npz"]
    assert without_times(figures_of(output / "rank0")) == without_times(figures_of(evaluated))


def test_fidelity_is_in_the_record_and_its_images_are_those_stored(evaluated, folder, tmp_path, monkeypatch, capsys):
    from fidelity_features import NAME

    monkeypatch.setattr("hqdit_mobile.evaluate.fidelity.EXTRACTOR", NAME)
    output = tmp_path / "out"
    shutil.copytree(evaluated, output)
    reference = tmp_path / "reference.npz"
    np.savez(reference, arr_0=np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8))
    settings = {
        "vae": None,
        "family": None,
        "num_heads": None,
        "num_classes": None,
        "samples": SAMPLES,
        "steps": STEPS,
        "guidance_scale": 2.5,
        "noise_samples": 2,
    }
    settings |= {"json_file": None, "npz": False, "fidelity": reference, "model": str(folder), "output": output}
    run_evaluate(("w4a8",), **settings)
    with Fidelity(reference, 16) as compared, np.load(evaluated / "w4a8.npz") as adm:
        expected = compared.figures(adm["arr_0"])
    figures = figures_of(output)
    assert {key: figures["w4a8"][key] for key in expected} == pytest.approx(expected)
    assert figures["float"]["fid"] != figures["w4a8"]["fid"] > 0.01
    assert "torch-fidelity" in json.loads((output / "evaluation.json").read_text())["notes"][-1]
    assert "FID" in capsys.readouterr().out and "Frechet Inception" in (output / "report.html").read_text()
    with pytest.raises(ValueError, match="--fidelity needs --samples 10"):
        run_evaluate(("w4a8",), **settings | {"samples": 9})


@pytest.mark.parametrize(
    ("candidates", "word"),
    [(["w4a9"], "'w4a9' is neither"), (["/nowhere/bundle"], "/nowhere/bundle"), (["w4a8", "w4a8"], "called w4a8")],
)
def test_wrong_candidates_are_named(folder, candidates, word):
    with pytest.raises(ValueError, match=word):
        find_candidates(candidates, load_model(str(folder)), STEPS, 2.5)


def test_baselines_are_candidates(folder):
    model = load_float_model(str(folder), None)
    reference, baseline = (candidate.open(Stages()) for candidate in find_candidates(["nvfp4-rtn"], model, STEPS, 2.5))
    assert baseline.facts().weight_bits == 4.5 and baseline.facts().a4_share > 0.5
    latents = torch.randn(model.latent_shape, generator=torch.Generator().manual_seed(0))
    assert 8 < snr_db(reference.noise(latents, 500, 1), baseline.noise(latents, 500, 1)) < 40
    assert baseline.draw([0], [1], lambda _: None).shape == (1, model.image_size, model.image_size, 3)


def test_a_bundle_of_another_model_is_refused(folder, tiny_bundle, tmp_path):
    done = run(arguments(folder, tmp_path / "out", tiny_bundle))
    assert done.returncode == 2 and "wasnotmadefrom" in "".join(done.stderr.split())


def test_a_bundle_of_another_process_is_refused(folder, tiny_files, tmp_path):
    """A v-prediction bundle has the shapes of the noise-predicting model that it was tuned from."""
    model = load_float_model(str(folder), None)
    shapes = {"latent_shape": [*model.latent_shape], "image_shape": [3, model.image_size, model.image_size]}
    classes = model.dit.config.num_classes
    shapes |= {"num_classes": classes, "null_label": classes, "vae_scaling_factor": 1.0}

    def bundle(name, process):
        manifest = make_manifest(tiny_files, process) | {"model": shapes, "labels": [str(i) for i in range(classes)]}
        manifest["conditions"][0]["null"] = classes
        manifest["source"] = {"model": "tiny", "licence": "none", "random_weights": False}
        manifest["quantization"] = {"bits_per_weight": 4.5, "float32_bytes": 1, "a4_share": 0.0}
        return str(write_bundle(tmp_path / name, tiny_files, manifest))

    other = replace(model.process, prediction="v_prediction", guided_channels=1)
    with pytest.raises(ValueError, match=r"process\.prediction, process\.guided_channels; give the bundle's own"):
        find_candidates([bundle("v", other)], model, STEPS, 2.5)
    # Both are drawn with DDIM here, whatever their defaults are.
    solver = replace(model.process, sampler="ddim", multistep=MultistepOptions(solver_order=1))
    found = find_candidates([bundle("solver", solver)], model, STEPS, 2.5)
    assert [candidate.kind for candidate in found] == ["float", "bundle"]


def test_report_is_one_page_with_the_command(evaluated):
    page = (evaluated / "report.html").read_text()
    assert "hqdit evaluate float w4a8" in page and "<script" not in page and "http" not in page
    # Two strips of four images; a heat map, but no plot of quality: one point alone tells nothing.
    assert page.count("data:image/png") == 2 and page.count("<svg") == 1


def test_store_writes_whole_files_and_tells_what_is_stale(tmp_path):
    store = Store(tmp_path / "a", {"steps": 20})
    store.write("part", values=np.arange(3))
    assert store.has("part") and not store.has("other") and store.read("part")["values"].tolist() == [0, 1, 2]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["part.npz"]
    with pytest.raises(StaleError, match=r"part.npz was made with other values of seed, steps"):
        Store(tmp_path / "a", {"steps": 10, "seed": 1}).has("part")
    for damage in (b"damaged", b"PK\x03\x04damaged"):
        (tmp_path / "a/part.npz").write_bytes(damage)
        with pytest.raises(StaleError, match=r"part.npz is damaged"):
            store.has("part")


def test_shares_and_bits_of_a_float_model_and_the_judge_of_emoji():
    model = load_model("builtin:emoji-dit")
    assert a4_share(model.dit) == 0 and weight_bits(model.dit) == 32
    judge = EmojiJudge(model.labels, torch.device("cpu"))
    images = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), dtype=np.uint8)
    found = judge.judge(images, [0, 1, 2])
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    features, semantic, _ = judge.classifier(pixels)
    np.testing.assert_allclose(found["features"], features.numpy(), rtol=1e-5, atol=1e-6)
    chosen = judge.semantic[int(semantic[0].argmax())]
    classes = [model.labels.index(next(label for label in model.labels if label.rsplit(" ", 1)[0] == chosen))] * 3
    assert judge.judge(images, classes)["semantic"][0] and len(judge.semantic) == 35 and len(judge.style) == 6


def test_the_sources_of_a_recipe_are_all_it_imports():
    """Python itself says what is loaded when the quantizer is imported: nothing of ours may be missing."""
    check = "import sys, hqdit_mobile.quantize.job; print(*[n for n in sys.modules if n.startswith('hqdit_mobile')])"
    loaded = subprocess.run([sys.executable, "-I", "-c", check], capture_output=True, text=True, check=True)
    assert set(loaded.stdout.split()) - {"hqdit_mobile"} <= set(sources("hqdit_mobile.quantize.job"))


def test_what_the_user_says_of_a_checkpoint_reaches_the_loader(folder, tmp_path):
    done = run(arguments(folder, tmp_path / "out", "float", extra=("--num-heads", 3)))
    assert done.returncode == 2 and "--num-heads 3" in done.stderr and "config.json says" in done.stderr
