# SPDX-License-Identifier: Apache-2.0
"""The figures of hqdit evaluate against their definitions, and the charts against what they must show."""

import math
import re

import numpy as np
import pytest
import scipy.linalg
from scipy.stats import binom

from hqdit_mobile.diffusion.rng import philox4x32
from hqdit_mobile.evaluate import bootstrap, summary
from hqdit_mobile.evaluate.candidates import Candidate
from hqdit_mobile.evaluate.emoji_eval import frechet_distance
from hqdit_mobile.evaluate.image_metrics import psnr_of_each, ssim_of_each
from hqdit_mobile.evaluate.protocol import Protocol, chunks, classes_of, noise_timesteps
from hqdit_mobile.evaluate.report import report_page
from hqdit_mobile.evaluate.run import Measured
from hqdit_mobile.evaluate.shards import Store
from hqdit_mobile.evaluate.subjects import Facts
from hqdit_mobile.evaluate.summary import json_ready, summarize
from hqdit_mobile.util.charts import Point, curve, heat_map, pareto, scatter, ticks


def ssim_by_definition(x, y):
    """Wang et al. 2004, equation 13, window by window in float64."""
    offset = np.arange(11) - 5
    window = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for channel in range(3):
        for i in range(x.shape[0] - 10):
            for j in range(x.shape[1] - 10):
                a, b = (z[i : i + 11, j : j + 11, channel].astype(np.float64) for z in (x, y))
                mean_a, mean_b = (window * a).sum(), (window * b).sum()
                var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
                cov = (window * (a - mean_a) * (b - mean_b)).sum()
                value = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
                values.append(value / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)))
    return np.mean(values)


def test_ssim_and_psnr_are_their_definitions():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (2, 16, 19, 3), dtype=np.uint8)
    y = np.clip(x + rng.normal(0, 25, x.shape), 0, 255).astype(np.uint8)
    expected = [ssim_by_definition(a, b) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(ssim_of_each(x, y), expected, rtol=1e-9)
    mse = [((a.astype(float) - b.astype(float)) ** 2).mean() for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(psnr_of_each(x, y), [20 * math.log10(255 / math.sqrt(m)) for m in mse], rtol=1e-12)
    assert psnr_of_each(x, x).tolist() == [math.inf] * 2 and ssim_of_each(x, x) == pytest.approx(1)


def test_ssim_refuses_images_smaller_than_its_window():
    with pytest.raises(ValueError, match="11 x 11"):
        ssim_of_each(np.zeros((1, 10, 32, 3), np.uint8), np.zeros((1, 10, 32, 3), np.uint8))


def test_interval_of_a_mean_holds_the_truth_about_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        low, high = bootstrap.mean_interval(rng.normal(3.0, 2.0, 60))
        hits += low <= 3.0 <= high
    # Of a true 93 % (the bootstrap is a little narrow at 60) fewer than 84 or all 100 would be a rare accident.
    assert binom.cdf(84, 100, 0.93) < 0.01
    assert 85 <= hits <= 99


def test_interval_of_a_distance_lies_about_the_estimate():
    low, high = bootstrap.centred_interval(2.0, np.linspace(2.5, 3.5, 101))
    assert low == pytest.approx(2.0 - 0.475) and high == pytest.approx(2.0 + 0.475)


def test_classes_do_not_depend_on_how_many_are_drawn_and_cover_all():
    many = classes_of(range(4000), [1] * 207)
    assert many[100:132] == classes_of(range(100, 132), [1] * 207)
    assert set(many) == set(range(207))
    # By the definition that the record states.
    word = int(philox4x32(np.array([[77, 0, 0, 0]], dtype=np.uint64), (1818321516, 1702259809))[0, 0])
    assert many[77] == word * 207 // 2**32
    assert classes_of(range(70, 80), [207]) == [0] * 10
    assert [chunk.seeds for chunk in chunks(70)] == [range(0, 32), range(32, 64), range(64, 70)]


def test_classes_are_drawn_as_often_as_their_weights_say():
    weights, draws = [3, 0, 1, 12], 4000
    counts = np.bincount(classes_of(range(draws), weights), minlength=4)
    assert counts[1] == 0 and counts.sum() == draws
    for count, weight in zip(counts, weights, strict=True):
        low, high = binom.interval(1 - 1e-6, draws, weight / 16)
        assert low <= count <= high


def test_noise_timesteps_are_those_of_the_published_table():
    assert noise_timesteps([50 * i for i in reversed(range(20))]) == [950, 800, 700, 550, 400, 250, 150, 0]
    assert noise_timesteps([500, 0]) == [500, 0]


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"steps": 0}, {"noise_samples": 9}])
def test_a_protocol_that_makes_no_sense_names_the_field(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Protocol(**{"samples": 8, "noise_samples": 4} | wrong)


def measured(folder, kind, rng, images=300, shift=0.0):
    features = rng.normal(shift, 1.0, (images, 256)).astype(np.float32)
    parts = []
    for start in range(0, images, 32):
        part = slice(start, min(start + 32, images))
        count = part.stop - part.start
        parts.append({"features": features[part], "semantic": np.arange(part.start, part.stop) % 4 != 0,
                      "style": np.ones(count, bool), "seconds": np.full(count, 2.0)})  # fmt: skip
        if kind != "float":
            parts[-1] |= {"psnr_db": np.full(count, 20.0), "ssim": np.full(count, 0.5)}
    noise = [] if kind == "float" else [
        {"signal": np.array([100.0, 10.0]), "error": np.array([1.0, 0.0]),
         "layer_signal": np.full((4, 2), 50.0), "layer_error": np.full((4, 2), 0.5)} for _ in range(3)
    ]  # fmt: skip
    candidate = Candidate(kind, kind, {}, lambda _: None)
    return Measured(candidate, Facts(4.5, 0.9, 12.0, "torch, cpu"), parts, noise, Store(folder, {}), [])


def test_summary_of_features_is_the_frechet_distance_of_all_of_them(monkeypatch, tmp_path):
    monkeypatch.setattr(summary, "RESAMPLES_OF_A_DISTANCE", 12)
    rng = np.random.default_rng(2)
    reference, candidate = measured(tmp_path, "float", rng), measured(tmp_path, "recipe", rng, shift=0.1)
    layers = ["blocks.0.attn.qkv", "blocks.0.attn.proj", "blocks.0.mlp.fc1", "blocks.0.mlp.fc2"]
    figures = summarize(candidate, reference, [500, 0], layers)
    a, b = (part.column("features").astype(np.float64) for part in (candidate, reference))
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(cov_a @ cov_b).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root)
    assert figures["fd_float"] == pytest.approx(expected, rel=1e-6)
    low, high = figures["fd_float_interval"]
    assert low < figures["fd_float"] < high
    assert figures["semantic"] == 0.75 and figures["style"] == 1.0 and figures["seconds_per_image"] == 2.0
    assert figures["eps_snr_db_by_timestep"] == {"500": 20.0, "0": math.inf}
    assert figures["layer_snr_db"]["blocks.0.mlp.fc2"] == [20.0, 20.0]
    assert json_ready(figures)["eps_snr_db"] is None
    assert figures["weight_bits"] == 4.5 and figures["a4_share"] == 0.9 and figures["psnr_db"] == 20.0
    assert frechet_distance((a.mean(0), cov_a), (a.mean(0), cov_a)) < 1e-6
    of_float = summarize(reference, reference, [500, 0], layers)
    assert "fd_float" not in of_float and "psnr_db" not in of_float and of_float["fd_train"] > 0


def test_pareto_front_and_ticks():
    points = [Point(1, 10, 5), Point(2, 20, 4), Point(3, 15, 6), Point(4, 30, 1), Point(5, 10, 7)]
    assert [p.number for p in pareto(points, higher_is_better=False)] == [1, 2, 4]
    assert [p.number for p in pareto(points, higher_is_better=True)] == [5]
    assert ticks(0, 87.6) == [0, 20, 40, 60, 80, 100] and ticks(0, 0.29) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert ticks(3.0, 3.0)[0] <= 3.0 <= ticks(3.0, 3.0)[-1]


def test_charts_show_every_value_and_escape_names():
    rows = {"a<b": [10.0, None], "noise": [49.96, -3.2]}
    chart = heat_map("SNR", rows, ["950", "0"], "timestep")
    assert "a&lt;b" in chart and all(f">{text}<" in chart for text in ("10.0", "equal", "50.0", "-3.2", "950", "0"))
    drawn = scatter("quality & size", "MB", "FD", [Point(1, 80.0, 0.0), Point(2, 12.0, 0.3)], False)
    assert drawn.count("<circle") == 2 and "quality &amp; size" in drawn


def test_report_plots_quality_against_size_and_time_with_float_at_zero():
    common = {"runtime": "torch, cpu", "megabytes": 13.4, "seconds_per_image": 0.5}
    candidates = [
        common | {"name": "float", "kind": "float", "megabytes": 87.7},
        common | {"name": "a<b", "kind": "recipe", "fd_float": 0.25, "fd_float_interval": [0.2, 0.3]},
    ]
    protocol = {"samples": 64, "steps": 20, "guidance_scale": 2.5}
    record = {"model": "m", "protocol": protocol, "candidates": candidates, "command": "hqdit evaluate 'a<b'"}
    record |= {"notes": ["A word."], "machine": "x86_64", "versions": {"torch": "2"}}
    drawn = {"float": np.zeros((2, 16, 16, 3), np.uint8), "a<b": np.full((2, 16, 16, 3), 9, np.uint8)}
    text = report_page(record, drawn, ["one", "two"])
    assert text.count("<svg") == 2 and text.count("<circle") == 4 and text.count("data:image/png") == 1
    assert "0.250<small>0.200 to 0.300" in text and "hqdit evaluate &#x27;a&lt;b&#x27;" in text and "a<b" not in text
    assert "A word." in text and "one, two" in text


@pytest.mark.parametrize("times", [(750, 500, 0), (0.0, 0.25, 0.75)])
def test_the_first_point_of_a_curve_is_on_the_left(times):
    """Noise comes first, whether a network's time falls to the data or rises to it."""
    chart = curve("SNR", "time", "dB", [(t, 10.0 + t) for t in times])
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', chart)]
    assert len(places) == 3 and places == sorted(places)
