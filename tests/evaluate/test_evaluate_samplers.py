# SPDX-License-Identifier: Apache-2.0
"""hqdit evaluate-samplers: what is drawn, going on after a stop, and figures against their definitions."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqdit_mobile.evaluate.emoji_eval import FEATURES, FeatureStatistics, frechet_distance, training_gaussian
from hqdit_mobile.evaluate.protocol import Chunk, classes_of
from hqdit_mobile.evaluate.sampler_record import make_sampler_record, write_sampler_plot
from hqdit_mobile.evaluate.samplers import Drawn, Sampler, parse_sampler
from hqdit_mobile.evaluate.shards import Store
from hqdit_mobile.runtime.engine import Pipeline
from hqdit_mobile.util.metrics import psnr_db

pytestmark = pytest.mark.slow

SAMPLES = 35  # more than one chunk
SAMPLERS = ["ddim:6", "dpm-solver++:4:trailing:0.2-0.8"]


def run(bundle, output, *samplers, extra=()):
    command = [Path(sys.executable).parent / "hqdit", "evaluate-samplers", bundle, *samplers]
    command += ["-o", output, "--samples", str(SAMPLES), "--guidance-scale", "2.5", *extra]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def evaluated(tiny_bundle, tmp_path_factory):
    output = tmp_path_factory.mktemp("samplers")
    done = run(tiny_bundle, output, *SAMPLERS, extra=("--plot", output / "plot.png"))
    assert done.returncode == 0, done.stderr
    return output


def test_pictures_are_those_of_the_engine(evaluated, tiny_bundle):
    stored = [np.load(evaluated / f"dpm-solver++_4_trailing_guided_0.2-0.8/images-0000{part}.npz")["images"]
              for part in ("00-000032", "32-000035")]  # fmt: skip
    labels = classes_of(range(SAMPLES), [1] * 5)
    settings = {"steps": 4, "scheduler": "dpm-solver++", "spacing": "trailing", "guidance_interval": (0.2, 0.8)}
    with Pipeline(tiny_bundle) as pipeline:
        for i in (0, 34):
            expected = pipeline.generate(labels[i], seed=i, guidance_scale=2.5, **settings)
            assert np.array_equal(np.concatenate(stored)[i], expected)


def test_figures(evaluated):
    record = json.loads((evaluated / "samplers.json").read_text())
    first, second = record["samplers"]
    assert (first["name"], first["evaluations"]) == ("ddim 6 leading", 12)
    # Trailing timesteps of 4 steps: 999, 749, 499, 249; the first lies outside of the interval.
    assert second["evaluations"] == 7 and second["guidance_interval"] == [0.2, 0.8]
    images = [np.concatenate([np.load(path)["images"] for path in sorted((evaluated / folder).glob("*.npz"))])
              for folder in ("ddim_6_leading", "dpm-solver++_4_trailing_guided_0.2-0.8")]  # fmt: skip
    mean = np.mean([psnr_db(a, b) for a, b in zip(*images, strict=True)])
    assert second["psnr_db"] == pytest.approx(mean) and "psnr_db" not in first
    assert "fd_train" not in first and len(record["notes"]) == 1
    assert first["denoise_ms"] > 0 and first["decode_ms"] > 0
    with Image.open(evaluated / "plot.png") as plot:
        assert plot.size[0] > 300


def test_goes_on_and_draws_nothing_twice(evaluated, tiny_bundle):
    files = sorted(evaluated.glob("*/*.npz"))
    before = [path.stat().st_mtime_ns for path in files]
    files[1].unlink()
    done = run(tiny_bundle, evaluated, *SAMPLERS)
    assert done.returncode == 0 and "Draw" in done.stderr
    after = [path.stat().st_mtime_ns for path in files]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True, True]


def test_another_guidance_scale_is_refused(evaluated, tiny_bundle):
    done = run(tiny_bundle, evaluated, *SAMPLERS, extra=("--guidance-scale", "3"))
    assert done.returncode == 2 and "other values of guidance_scale" in " ".join(done.stderr.split())


def drawn(tmp_path, name: str, features: np.ndarray) -> Drawn:
    count = len(features)
    arrays = {"features": features, "semantic": np.ones(count, bool), "style": np.zeros(count, bool),
              "evaluations": np.full(count, 20), "denoise_ms": np.ones(count), "decode_ms": np.ones(count),
              "psnr_db": np.full(count, 30.0)}  # fmt: skip
    return Drawn(Sampler("ddim", 10, name), [arrays], Store(tmp_path / name, {}), Chunk(0, count))


def test_distances_and_their_change(tmp_path):
    generator = np.random.default_rng(0)
    mean, covariance = training_gaussian()
    features = generator.multivariate_normal(mean, covariance, 300).astype(np.float32)
    moved = features + np.float32(0.1)
    parts = [drawn(tmp_path, name, values) for name, values in (("a", features), ("b", features), ("c", moved))]
    record = make_sampler_record(parts, "emoji-dit", 300, 4.0, "")
    first, same, other = record["samplers"]
    statistics = FeatureStatistics.empty()
    statistics.add(features)
    assert first["fd_train"] == pytest.approx(frechet_distance(statistics.gaussian(), (mean, covariance)))
    assert same["fd_train_change"] == 0 and same["fd_train_change_interval"] == (0, 0)
    # Equal covariances: the distance changes by that of the means alone, |d + 0.1|^2 - |d|^2.
    off = features.astype(np.float64).mean(axis=0) - mean
    assert other["fd_train_change"] == pytest.approx(FEATURES * 0.01 + 0.2 * off.sum(), rel=1e-3)
    low, high = other["fd_train_change_interval"]
    assert low < other["fd_train_change"] < high < low + 1
    write_sampler_plot(tmp_path / "plot.png", record)
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_samplers_are_read():
    assert parse_sampler("ddim:50", "leading") == Sampler("ddim", 50, "leading", (0.0, 1.0))
    full = parse_sampler("dpm-solver++:15:0.1-0.85:linspace", "leading")
    assert full == Sampler("dpm-solver++", 15, "linspace", (0.1, 0.85))


@pytest.mark.parametrize(
    ("text", "word"),
    [("midpoint:10", "no sampler"), ("ddim", "no sampler"), ("ddim:0", "no sampler"), ("ddim:x", "no sampler"),
     ("ddim:5:middle", "'middle' is neither"), ("ddim:5:0.9-0.1", "low before high"), ("ddim:5:0-2", "0-1")],
)  # fmt: skip
def test_what_is_no_sampler_is_refused(text, word):
    with pytest.raises(ValueError, match=word):
        parse_sampler(text, "leading")
